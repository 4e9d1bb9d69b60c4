/** From a chosen IKE proposal and a shared secret to the keys of an IKE SA (RFC 7296 §2.14, RFC 9370 §2.2.2). */
import { INTEG } from '../../algorithms.ts';
import { additionalKeys, type IkeAlgorithms, type IkeKeys, ikeKeys, skeyseed, wipeIkeKeys } from '../crypto/keys.ts';
import { protectIke } from '../crypto/protection.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { wipe } from '../crypto/secret.ts';
import { TRANSFORM } from '../wire/iana.ts';
import type { Transform } from '../wire/payloads/sa.ts';
import type { Context } from './context.ts';
import { Failure } from './failure.ts';
import type { IkeSa } from './sa.ts';

/** RFC 7296 §2.10: at least 16 bytes and half the PRF's key; as long as the longest PRF output we know is enough for all. */
export const NONCE_LENGTH = 32;

const DEFAULT_KEY_BITS = 256;

/**
 * @returns the algorithms of a chosen proposal
 * @throws Failure if the provider lacks one
 */
export function algorithmsOf(crypto: CryptoProvider, transforms: readonly Transform[]): IkeAlgorithms {
  const pick = (type: number) => transforms.find((transform) => transform.type === type);
  const encr = pick(TRANSFORM.ENCR);
  const prf = crypto.prf(pick(TRANSFORM.PRF)?.id ?? 0);
  const cipher = encr && crypto.cipher(encr.id, encr.keyBits ?? DEFAULT_KEY_BITS);
  if (prf === undefined || cipher === undefined) {
    throw new Failure('ERR_UNSUPPORTED', `the provider "${crypto.name}" lacks an algorithm of the chosen proposal`);
  }
  if (cipher.icvLength > 0) return { prf, cipher };
  const integrity = crypto.integrity(pick(TRANSFORM.INTEG)?.id ?? INTEG.NONE);
  if (integrity === undefined) throw new Failure('ERR_UNSUPPORTED', 'the chosen proposal has no integrity algorithm');
  return { prf, cipher, integrity };
}

/** Gives the SA its algorithms and first keys. Wipes `secret`. */
export function keyInitial(cx: Context, sa: IkeSa, transforms: readonly Transform[], secret: Uint8Array): void {
  const { nonceI, nonceR } = sa.handshake!;
  sa.transforms = transforms;
  sa.algorithms = algorithmsOf(cx.crypto, transforms);
  const seed = skeyseed(sa.algorithms.prf, secret, nonceI, nonceR);
  wipe(secret);
  useKeys(cx, sa, ikeKeys(sa.algorithms, seed, { nonceI, nonceR, spiI: sa.spiI, spiR: sa.spiR }));
  wipe(seed);
}

/** Mixes the secret of an additional key exchange into all keys (RFC 9370 §2.2.2). Wipes `secret`. */
export function keyAdditional(cx: Context, sa: IkeSa, secret: Uint8Array): void {
  const { nonceI, nonceR } = sa.handshake!;
  const old = sa.keys!;
  const next = additionalKeys(sa.algorithms!, old.d, secret, { nonceI, nonceR, spiI: sa.spiI, spiR: sa.spiR });
  wipe(secret);
  useKeys(cx, sa, next);
}

/** Puts keys into use and overwrites those before. */
export function useKeys(cx: Context, sa: IkeSa, keys: IkeKeys): void {
  if (sa.keys !== undefined) wipeIkeKeys(sa.keys);
  sa.protection?.outbound.destroy();
  sa.protection?.inbound.destroy();
  sa.keys = keys;
  sa.protection = protectIke(sa.algorithms!, keys, sa.initiator, cx.crypto.random);
  if (cx.parts.exportKeys) exportIkeKeys(cx, sa, keys);
}

function exportIkeKeys(cx: Context, sa: IkeSa, keys: IkeKeys): void {
  const encr = sa.transforms.find(({ type }) => type === TRANSFORM.ENCR)!;
  const integ = sa.transforms.find(({ type }) => type === TRANSFORM.INTEG)?.id ?? INTEG.NONE;
  const [ei, er, ai, ar] = [keys.ei, keys.er, keys.ai, keys.ar].map((key) => key.slice());
  cx.push({
    type: 'keys',
    keys: {
      kind: 'ike',
      spiI: sa.spiI,
      spiR: sa.spiR,
      encr: encr.id,
      keyBits: encr.keyBits ?? DEFAULT_KEY_BITS,
      integ,
      ei: ei!,
      er: er!,
      ai: ai!,
      ar: ar!,
    },
  });
}
