/**
 * AUTH by a shared key (RFC 7296 §2.15) and NULL authentication, which is the same with SK_p as the
 * shared secret and proves nothing about who the peer is (RFC 7619 §2.1).
 */
import type { Prf } from '../crypto/provider.ts';
import { equalSecrets, wipe } from '../crypto/secret.ts';

const KEY_PAD = Uint8Array.from(Buffer.from('Key Pad for IKEv2', 'ascii'));

/**
 * @returns prf(prf(Shared Secret, "Key Pad for IKEv2"), octets)
 * @throws Error for an empty secret: anyone could compute that AUTH
 */
export function sharedKeyMic(prf: Prf, secret: Uint8Array, octets: Uint8Array): Uint8Array {
  if (secret.length === 0) throw new Error('shared key is empty');
  const key = prf.compute(secret, KEY_PAD);
  const mic = prf.compute(key, octets);
  wipe(key);
  return mic;
}

/** @returns whether `data` is the AUTH of that secret; takes the same time wherever they differ */
export function verifySharedKeyMic(prf: Prf, secret: Uint8Array, octets: Uint8Array, data: Uint8Array): boolean {
  const expected = sharedKeyMic(prf, secret, octets);
  const same = equalSecrets(expected, data);
  wipe(expected);
  return same;
}
