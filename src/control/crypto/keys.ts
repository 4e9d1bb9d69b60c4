/**
 * IKEv2's key schedule (RFC 7296 §2.13–§2.18), with additional key exchanges (RFC 9370 §2.2.2) and
 * post-quantum preshared keys (RFC 8784 §3).
 *
 *   g^ir ─┐                          ┌► SK_d ──► KEYMAT of child SAs, SKEYSEED of the next IKE SA
 *  Ni|Nr ─┴► SKEYSEED ─► prf+ ───────┼► SK_ai SK_ar   integrity of SK payloads (none with an AEAD)
 *                        Ni|Nr|SPIs  ├► SK_ei SK_er   encryption, salt included
 *                                    └► SK_pi SK_pr   AUTH
 */
import { concat, NO_BYTES, Writer } from '../wire/bytes.ts';
import type { Cipher, Integrity, Prf } from './provider.ts';
import { wipe } from './secret.ts';

/** Keys of one IKE SA. The initiator of the SA sends with `…i`. */
export interface IkeKeys {
  readonly d: Uint8Array;
  /** Empty with an AEAD. */
  readonly ai: Uint8Array;
  readonly ar: Uint8Array;
  readonly ei: Uint8Array;
  readonly er: Uint8Array;
  readonly pi: Uint8Array;
  readonly pr: Uint8Array;
}

/** The algorithms whose key lengths shape the schedule. */
export interface IkeAlgorithms {
  readonly prf: Prf;
  readonly cipher: Cipher;
  /** Undefined with an AEAD. */
  readonly integrity?: Integrity;
}

/** Nonces and SPIs of the exchange that makes an IKE SA, by role in that exchange. */
export interface SaInputs {
  readonly nonceI: Uint8Array;
  readonly nonceR: Uint8Array;
  readonly spiI: bigint;
  readonly spiR: bigint;
}

/** prf+ has at most 255 blocks (RFC 7296 §2.13). */
const MAX_PRF_BLOCKS = 255;

/**
 * prf+ (RFC 7296 §2.13): T1 = prf(K, S | 1), T2 = prf(K, T1 | S | 2), …
 * @param length in bytes
 * @throws RangeError beyond 255 blocks
 */
export function prfPlus(prf: Prf, key: Uint8Array, seed: Uint8Array, length: number): Uint8Array {
  const blocks = Math.ceil(length / prf.length);
  if (blocks > MAX_PRF_BLOCKS) throw new RangeError(`prf+ cannot give ${length} bytes`);
  const stream = new Uint8Array(blocks * prf.length);
  let previous: Uint8Array = new Uint8Array();
  for (let block = 1; block <= blocks; block++) {
    const next = prf.compute(key, previous, seed, Uint8Array.of(block));
    stream.set(next, (block - 1) * prf.length);
    wipe(previous);
    previous = next;
  }
  wipe(previous);
  const out = stream.slice(0, length);
  wipe(stream);
  return out;
}

/** @throws Error for an empty secret: no key exchange yields one, and keys from nothing must not exist */
function requireSecret(secret: Uint8Array, what: string): void {
  if (secret.length === 0) throw new Error(`${what} is empty`);
}

/** SKEYSEED = prf(Ni | Nr, g^ir) (RFC 7296 §2.14). Wipes nothing: `secret` is the caller's. */
export function skeyseed(prf: Prf, secret: Uint8Array, nonceI: Uint8Array, nonceR: Uint8Array): Uint8Array {
  requireSecret(secret, 'shared secret');
  return prf.compute(concat(nonceI, nonceR), secret);
}

/**
 * SKEYSEED of a rekeyed IKE SA (RFC 7296 §2.18; RFC 9370 §2.2.4): prf(SK_d, SK(0) | Ni | Nr | SK(1) | …),
 * with the old SA's prf and SK_d.
 * @param additional shared secrets of IKE_FOLLOWUP_KE exchanges, in order
 */
export function rekeySkeyseed(
  prf: Prf,
  oldD: Uint8Array,
  secret: Uint8Array,
  nonceI: Uint8Array,
  nonceR: Uint8Array,
  additional: readonly Uint8Array[] = [],
): Uint8Array {
  requireSecret(secret, 'shared secret');
  return prf.compute(oldD, secret, nonceI, nonceR, ...additional);
}

/** {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr) (RFC 7296 §2.14). */
export function ikeKeys(algorithms: IkeAlgorithms, seed: Uint8Array, inputs: SaInputs): IkeKeys {
  const { prf, cipher, integrity } = algorithms;
  const a = integrity?.keyLength ?? 0;
  const e = cipher.keyLength;
  const p = prf.length;
  const spis = new Writer(16);
  spis.u64(inputs.spiI);
  spis.u64(inputs.spiR);
  const stream = prfPlus(prf, seed, concat(inputs.nonceI, inputs.nonceR, spis.bytes), 3 * p + 2 * a + 2 * e);
  const [d, ai, ar, ei, er, pi, pr] = cut(stream, [p, a, a, e, e, p, p]);
  return { d: d!, ai: ai!, ar: ar!, ei: ei!, er: er!, pi: pi!, pr: pr! };
}

/**
 * Keys after one IKE_INTERMEDIATE exchange with a KE payload (RFC 9370 §2.2.2):
 * SKEYSEED(n) = prf(SK_d(n-1), SK(n) | Ni | Nr), then the schedule again.
 */
export function additionalKeys(
  algorithms: IkeAlgorithms,
  previousD: Uint8Array,
  secret: Uint8Array,
  inputs: SaInputs,
): IkeKeys {
  requireSecret(secret, 'shared secret');
  const seed = algorithms.prf.compute(previousD, secret, inputs.nonceI, inputs.nonceR);
  const keys = ikeKeys(algorithms, seed, inputs);
  wipe(seed);
  return keys;
}

/** SK_d, SK_pi and SK_pr mixed with a PPK (RFC 8784 §3): SK_d = prf+(PPK, SK_d'), and so on. */
export function mixPpk(prf: Prf, keys: IkeKeys, ppk: Uint8Array): IkeKeys {
  requireSecret(ppk, 'PPK');
  const mix = (key: Uint8Array) => prfPlus(prf, ppk, key, prf.length);
  return { ...keys, d: mix(keys.d), pi: mix(keys.pi), pr: mix(keys.pr) };
}

/**
 * KEYMAT of a child SA (RFC 7296 §2.17): prf+(SK_d, [g^ir |] Ni | Nr [| SK(1) | …]) (RFC 9370 §2.2.4).
 * @param length in bytes: both directions, see `childKeys`
 * @param secret of a fresh key exchange (PFS)
 */
export function keymat(
  prf: Prf,
  d: Uint8Array,
  nonceI: Uint8Array,
  nonceR: Uint8Array,
  length: number,
  secret?: Uint8Array,
  additional: readonly Uint8Array[] = [],
): Uint8Array {
  if (secret !== undefined) requireSecret(secret, 'shared secret');
  const seed = concat(secret ?? new Uint8Array(), nonceI, nonceR, ...additional);
  const out = prfPlus(prf, d, seed, length);
  wipe(seed);
  return out;
}

/** Keys of one child SA; the exchange's initiator sends with `initiator`. Encryption keys include their salt. */
export interface ChildKeys {
  readonly initiator: { readonly encryption: Uint8Array; readonly integrity: Uint8Array };
  readonly responder: { readonly encryption: Uint8Array; readonly integrity: Uint8Array };
}

/**
 * Cuts KEYMAT: initiator's encryption, its integrity, responder's encryption, its integrity
 * (RFC 7296 §2.17). Wipes `material`.
 * @param encryptionLength bytes of key and salt @param integrityLength bytes of key (and salt)
 */
export function childKeys(material: Uint8Array, encryptionLength: number, integrityLength: number): ChildKeys {
  const e = encryptionLength;
  const a = integrityLength;
  if (material.length !== 2 * (e + a)) throw new RangeError(`KEYMAT of ${material.length} bytes, not ${2 * (e + a)}`);
  const [ei, ai, er, ar] = cut(material, [e, a, e, a]);
  return { initiator: { encryption: ei!, integrity: ai! }, responder: { encryption: er!, integrity: ar! } };
}

/** @returns copies of consecutive pieces; `stream` is wiped */
function cut(stream: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  let offset = 0;
  const pieces = lengths.map((length) => {
    offset += length;
    return stream.slice(offset - length, offset);
  });
  wipe(stream);
  return pieces;
}

/**
 * Overwrites all keys but SK_d, which children and the next IKE SA are made of (RFC 7296 §2.12): AUTH is
 * over, and whatever protects SK payloads has its own copies.
 */
export function keepSkD({ d, ...others }: IkeKeys): IkeKeys {
  wipe(...Object.values(others));
  return { d, ai: NO_BYTES, ar: NO_BYTES, ei: NO_BYTES, er: NO_BYTES, pi: NO_BYTES, pr: NO_BYTES };
}

/** Overwrites all keys of an IKE SA. */
export function wipeIkeKeys(keys: IkeKeys): void {
  wipe(keys.d, keys.ai, keys.ar, keys.ei, keys.er, keys.pi, keys.pr);
}
