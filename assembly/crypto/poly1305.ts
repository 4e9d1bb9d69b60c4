/**
 * Poly1305 (RFC 8439 §2.5) over one message in 64-bit integer arithmetic.
 *
 * The accumulator h and the clamped r are written in radix 2^32:
 *
 *     h = h0 + h1·2^32 + h2·2^64 + h3·2^96 + h4·2^128        r = r0 + r1·2^32 + r2·2^64 + r3·2^96
 *
 * Clamping clears the top four bits of every r_i and the low two of r1, r2, r3. So r_i < 2^28, and a
 * partial product of weight 2^128 · x with x divisible by 4 folds back exactly, since
 * 2^130 ≡ 5 (mod p): 2^128 · r_i ≡ (5/4) · r_i = r_i + (r_i >> 2) =: s_i < 1.25 · 2^28.
 *
 * Before a multiplication h0 < 3.25 · 2^32, h1, h2, h3 < 2^33 and h4 ≤ 4 (message words are added
 * without carrying), so each column sums to less than 10.75 · 2^60 and fits 64 bits: one carry chain
 * per block is enough.
 *
 * POLY, the state of one message, in scratch:
 *
 *      0        8        16       24       32       40
 *     +--------+--------+--------+--------+--------+
 *   0 | h0     | h1     | h2     | h3     | h4     |   u64 each
 *     +--------+--------+--------+--------+--------+
 *  40 | r (16, clamped) | pad (16)        | AT, LEFT|   pad: the one-time s; blocks that are pending
 *     +--------+--------+--------+--------+--------+
 *  80 | BLOCK (16): a padded one          |
 *     +--------+--------+--------+--------+
 */

import { loadPartial } from "./bytes";

/** u64 × 5 */
export const POLY_H: usize = 0;
/** u32 × 4 */
export const POLY_R: usize = 40;
const PAD: usize = 56;
/** u32: where the next pending block is, and how many are left. */
export const POLY_AT: usize = 72;
export const POLY_LEFT: usize = 76;
const BLOCK: usize = 80;
/** Bytes of POLY. */
export const POLY_SIZE: usize = 96;

const LOW: u64 = 0xffffffff;

/** Starts a message under the one-time key r ‖ s at `oneTimeKey` (32 bytes). */
export function polyStart(poly: usize, oneTimeKey: usize): void {
  for (let i: usize = 0; i < POLY_R; i += 8) store<u64>(poly + i, 0, POLY_H);
  polyPend(poly, 0, 0);
  store<u64>(poly, load<u64>(oneTimeKey) & 0x0ffffffc0fffffff, POLY_R);
  store<u64>(poly, load<u64>(oneTimeKey, 8) & 0x0ffffffc0ffffffc, POLY_R + 8);
  store<u64>(poly, load<u64>(oneTimeKey, 16), PAD);
  store<u64>(poly, load<u64>(oneTimeKey, 24), PAD + 8);
}

/** Absorbs `blocks` whole 16-byte blocks. */
export function polyBlocks(poly: usize, from: usize, blocks: u32): void {
  const r0: u64 = load<u32>(poly, POLY_R);
  const r1: u64 = load<u32>(poly, POLY_R + 4);
  const r2: u64 = load<u32>(poly, POLY_R + 8);
  const r3: u64 = load<u32>(poly, POLY_R + 12);
  const s1 = r1 + (r1 >> 2);
  const s2 = r2 + (r2 >> 2);
  const s3 = r3 + (r3 >> 2);
  let h0 = load<u64>(poly, POLY_H);
  let h1 = load<u64>(poly, POLY_H + 8);
  let h2 = load<u64>(poly, POLY_H + 16);
  let h3 = load<u64>(poly, POLY_H + 24);
  let h4 = load<u64>(poly, POLY_H + 32);
  for (; blocks != 0; blocks--, from += 16) {
    h0 += <u64>load<u32>(from);
    h1 += <u64>load<u32>(from, 4);
    h2 += <u64>load<u32>(from, 8);
    h3 += <u64>load<u32>(from, 12);
    h4 += 1;
    const d0 = h0 * r0 + h1 * s3 + h2 * s2 + h3 * s1;
    const d1 = h0 * r1 + h1 * r0 + h2 * s3 + h3 * s2 + h4 * s1 + (d0 >> 32);
    const d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s3 + h4 * s2 + (d1 >> 32);
    const d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s3 + (d2 >> 32);
    const d4 = h4 * r0 + (d3 >> 32);
    h0 = (d0 & LOW) + (d4 >> 2) + (d4 & ~3);
    h1 = d1 & LOW;
    h2 = d2 & LOW;
    h3 = d3 & LOW;
    h4 = d4 & 3;
  }
  store<u64>(poly, h0, POLY_H);
  store<u64>(poly, h1, POLY_H + 8);
  store<u64>(poly, h2, POLY_H + 16);
  store<u64>(poly, h3, POLY_H + 24);
  store<u64>(poly, h4, POLY_H + 32);
}

/** Leaves `blocks` blocks to be absorbed while ChaCha20 is at work, or by `polyDrain`; none must be pending. */
@inline
export function polyPend(poly: usize, from: usize, blocks: u32): void {
  store<u32>(poly, <u32>from, POLY_AT);
  store<u32>(poly, blocks, POLY_LEFT);
}

/** Absorbs whatever is pending. */
export function polyDrain(poly: usize): void {
  const at = load<u32>(poly, POLY_AT);
  const left = load<u32>(poly, POLY_LEFT);
  polyBlocks(poly, at, left);
  polyPend(poly, at + (left << 4), 0);
}

/** Absorbs `length` bytes and zeros up to the next multiple of 16 (RFC 8439 §2.8: pad16). */
export function polyPadded(poly: usize, from: usize, length: u32): void {
  polyBlocks(poly, from, length >> 4);
  const rest = length & 15;
  if (rest == 0) return;
  v128.store(poly, loadPartial(from + (length & ~15), rest), BLOCK);
  polyBlocks(poly, poly + BLOCK, 1);
}

/** Absorbs the block of both lengths (RFC 8439 §2.8). */
export function polyLengths(poly: usize, aadLength: u32, length: u32): void {
  store<u64>(poly, aadLength, BLOCK);
  store<u64>(poly, length, BLOCK + 8);
  polyBlocks(poly, poly + BLOCK, 1);
}

/** Writes the 16-byte tag: (h mod p) + s mod 2^128. */
export function polyFinish(poly: usize, tag: usize): void {
  const d0 = load<u64>(poly, POLY_H);
  const d1 = load<u64>(poly, POLY_H + 8) + (d0 >> 32);
  const d2 = load<u64>(poly, POLY_H + 16) + (d1 >> 32);
  const d3 = load<u64>(poly, POLY_H + 24) + (d2 >> 32);
  const h4 = load<u64>(poly, POLY_H + 32) + (d3 >> 32);
  const low = (d0 & LOW) | (d1 << 32);
  const high = (d2 & LOW) | (d3 << 32);
  // h ≥ p = 2^130 − 5 exactly if h + 5 carries into bit 130; h < 2p here. Adding 5·(h + 5 >> 130)
  // and dropping what lies above 2^128 subtracts p then.
  const carry1 = addCarry(low, 5);
  const carry2 = addCarry(high, carry1);
  const five = ((h4 + carry2) >> 2) * 5;
  const reduced = low + five;
  const reducedHigh = high + addCarry(low, five);
  const pad = load<u64>(poly, PAD);
  store<u64>(tag, reduced + pad);
  store<u64>(tag, reducedHigh + load<u64>(poly, PAD + 8) + addCarry(reduced, pad), 8);
}

/** @returns the carry out of a + b, without a branch */
@inline
function addCarry(a: u64, b: u64): u64 {
  return ((a & b) | ((a | b) & ~(a + b))) >> 63;
}
