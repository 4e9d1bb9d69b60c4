/**
 * Certificate Request payload (RFC 7296 §3.7). For X.509 the authority is a list of SHA-1 hashes,
 * 20 bytes each, of the Subject Public Key Info of trusted CAs; here SHA-1 only names keys.
 *
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * | Cert Encoding |                                               |
 * +-+-+-+-+-+-+-+-+                                               |
 * ~                    Certification Authority                    ~
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { Reader } from '../bytes.ts';
import { PAYLOAD } from '../iana.ts';
import type { Codec } from './codec.ts';

const KEY_HASH_LENGTH = 20;

export interface CertreqPayload {
  readonly kind: 'CERTREQ';
  /** CERT_ENCODING. */
  readonly encoding: number;
  readonly authority: Uint8Array;
}

export const certreq: Codec<CertreqPayload> = {
  type: PAYLOAD.CERTREQ,

  parse(body) {
    const reader = new Reader(body, 'CERTREQ payload');
    return { kind: 'CERTREQ', encoding: reader.u8(), authority: reader.rest() };
  },

  length: ({ authority }) => 1 + authority.length,

  emit({ encoding, authority }, out) {
    out.u8(encoding);
    out.put(authority);
  },
};

/** @returns the 20-byte key hashes; a rest shorter than that is left out, as the payload is advisory */
export function authorityHashes({ authority }: CertreqPayload): Uint8Array[] {
  const count = Math.floor(authority.length / KEY_HASH_LENGTH);
  return Array.from({ length: count }, (_, index) =>
    authority.subarray(index * KEY_HASH_LENGTH, (index + 1) * KEY_HASH_LENGTH),
  );
}
