/**
 * Certificate payload (RFC 7296 §3.6).
 *
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * | Cert Encoding |                                               |
 * +-+-+-+-+-+-+-+-+                                               |
 * ~                       Certificate Data                        ~
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { Reader } from '../bytes.ts';
import { PAYLOAD } from '../iana.ts';
import type { Codec } from './codec.ts';

export interface CertPayload {
  readonly kind: 'CERT';
  /** CERT_ENCODING. */
  readonly encoding: number;
  readonly data: Uint8Array;
}

export const cert: Codec<CertPayload> = {
  type: PAYLOAD.CERT,

  parse(body) {
    const reader = new Reader(body, 'CERT payload');
    return { kind: 'CERT', encoding: reader.u8(), data: reader.rest() };
  },

  length: ({ data }) => 1 + data.length,

  emit({ encoding, data }, out) {
    out.u8(encoding);
    out.put(data);
  },
};
