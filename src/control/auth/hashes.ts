/**
 * SIGNATURE_HASH_ALGORITHMS (RFC 7427 §4): the hashes a side can verify signatures over, as 16-bit
 * numbers. SHA-1 is neither announced nor accepted (RFC 8247 §3.2).
 */
import { concat, Writer } from '../wire/bytes.ts';
import { HASH, NOTIFY } from '../wire/iana.ts';
import { type NotifyPayload, notification } from '../wire/payloads/notify.ts';

/** What we sign with and verify, in order of preference; IDENTITY is Ed25519's and Ed448's (RFC 8420 §2). */
export const SIGNATURE_HASHES: readonly number[] = [HASH.SHA2_256, HASH.SHA2_384, HASH.SHA2_512, HASH.IDENTITY];

/** @returns the notification for IKE_SA_INIT */
export function signatureHashes(): NotifyPayload {
  const numbers = SIGNATURE_HASHES.map((hash) => {
    const out = new Writer(2);
    out.u16(hash);
    return out.bytes;
  });
  return notification(NOTIFY.SIGNATURE_HASH_ALGORITHMS, concat(...numbers));
}

/** @returns those of the peer's hashes that we know, whatever else it sent */
export function parseSignatureHashes({ data }: Pick<NotifyPayload, 'data'>): number[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const count = Math.floor(data.length / 2);
  const numbers = Array.from({ length: count }, (_, index) => view.getUint16(index * 2));
  return SIGNATURE_HASHES.filter((hash) => numbers.includes(hash));
}
