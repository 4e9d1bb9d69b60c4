/**
 * Poly1305 (RFC 8439 §2.5) over one message in 64-bit integer arithmetic.
 *
 * The accumulator h and the clamped r are written in radix 2^32:
 *
 *     h = h0 + h1·2^32 + h2·2^64 + h3·2^96        r = r0 + r1·2^32 + r2·2^64 + r3·2^96
 *
 * Clamping clears the top four bits of every r_i and the low two of r1, r2, r3. So r_i < 2^28, and a
 * partial product of weight 2^128 · x with x divisible by 4 folds back exactly, since
 * 2^130 ≡ 5 (mod p): 2^128 · r_i ≡ (5/4) · r_i = r_i + (r_i >> 2) =: s_i < 1.25 · 2^28.
 *
 * A block m is absorbed by h ← h·r + m, where m has the bit 2^128 set behind its sixteen bytes; so
 * one multiplication is left at the end, and none is needed for the first block. A product's columns
 * d0 … d3 are carried into the next one, and what d3 has from bit 130 on, times 5, is added to h0.
 * Afterwards, with the block in it,
 *
 *     h0 < 2^32 + 5·2^30 + 2^32 = 3.25 · 2^32        h1, h2 < 2 · 2^32        h3 < 2^34 + 2·2^32 = 6 · 2^32
 *
 * and the largest column of the next product, d0 = h0·r0 + h1·s3 + h2·s2 + h3·s1, is less than
 * (3.25 + 2.5 + 2.5 + 7.5) · 2^60 = 15.75 · 2^60, which leaves room for the carry: one chain of
 * carries per block is enough.
 *
 * POLY, the state of one message, in scratch:
 *
 *      0        8        16       24       32       40
 *     +--------+--------+--------+--------+
 *   0 | h0     | h1     | h2     | h3     |              u64 each
 *     +--------+--------+--------+--------+--------+
 *  32 | r (16, clamped) | pad (16)        | AT, LEFT|    pad: the one-time s; blocks that are pending
 *     +--------+--------+--------+--------+--------+
 *  80 | TAIL (48): the message's end                    the last bytes, padded; the lengths; zeros
 *     +--------+--------+--------
 */

import { loadPartial } from "./bytes";

/** u64 × 4 */
export const POLY_H: usize = 0;
/** u32 × 4 */
export const POLY_R: usize = 32;
const PAD: usize = 48;
/** u32: where the next pending block is, and how many are left. */
export const POLY_AT: usize = 64;
export const POLY_LEFT: usize = 68;
const TAIL: usize = 80;
/** Bytes of POLY. */
export const POLY_SIZE: usize = 128;

export const LOW_32: u64 = 0xffffffff;
export const LOW_34: u64 = 0x3ffffffff;
/** 2^128, as part of h3. */
export const BIT_128: u64 = 0x100000000;

/**
 * Starts a message under the one-time key r ‖ s at `oneTimeKey` (32 bytes), and absorbs the AAD and
 * zeros up to the next multiple of 16 (RFC 8439 §2.8: pad16).
 */
export function polyStart(poly: usize, oneTimeKey: usize, aad: usize, aadLength: u32): void {
  polyPend(poly, 0, 0);
  store<u64>(poly, load<u64>(oneTimeKey) & 0x0ffffffc0fffffff, POLY_R);
  store<u64>(poly, load<u64>(oneTimeKey, 8) & 0x0ffffffc0ffffffc, POLY_R + 8);
  v128.store(poly, v128.load(oneTimeKey, 16), PAD);
  const first = loadPartial(aad, min(aadLength, 16));
  v128.store(poly, i64x2.extend_low_i32x4_u(first), POLY_H);
  v128.store(poly, i64x2.extend_high_i32x4_u(first), POLY_H + 16);
  if (aadLength != 0) store<u32>(poly, 1, POLY_H + 28);
  if (aadLength <= 16) return;
  aad += 16;
  aadLength -= 16;
  polyBlocks(poly, aad, aadLength >> 4);
  const rest = aadLength & 15;
  if (rest == 0) return;
  v128.store(poly, loadPartial(aad + (aadLength & ~15), rest), TAIL);
  polyBlocks(poly, poly + TAIL, 1);
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
  for (; blocks != 0; blocks--, from += 16) {
    const d0 = h0 * r0 + h1 * s3 + h2 * s2 + h3 * s1;
    const d1 = h0 * r1 + h1 * r0 + h2 * s3 + h3 * s2 + (d0 >> 32);
    const d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s3 + (d1 >> 32);
    const d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + (d2 >> 32);
    h0 = (d0 & LOW_32) + (d3 >> 34) * 5 + <u64>load<u32>(from);
    h1 = (d1 & LOW_32) + <u64>load<u32>(from, 4);
    h2 = (d2 & LOW_32) + <u64>load<u32>(from, 8);
    h3 = (d3 & LOW_34) + <u64>load<u32>(from, 12) + BIT_128;
  }
  store<u64>(poly, h0, POLY_H);
  store<u64>(poly, h1, POLY_H + 8);
  store<u64>(poly, h2, POLY_H + 16);
  store<u64>(poly, h3, POLY_H + 24);
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
  if (left == 0) return;
  polyBlocks(poly, at, left);
  polyPend(poly, at + (left << 4), 0);
}

/**
 * Absorbs the end of a message whose whole blocks are absorbed, its padding and the block of both
 * lengths (RFC 8439 §2.8), and writes the 16-byte tag: (h mod p) + s mod 2^128.
 */
export function polyFinish(poly: usize, message: usize, length: u32, aadLength: u32, tag: usize): void {
  const rest = length & 15;
  v128.store(poly, loadPartial(message + (length & ~15), rest), TAIL);
  store<u64>(poly, aadLength, TAIL + 16);
  store<u64>(poly, length, TAIL + 24);
  // The multiplication that is left over, as a block of zeros; its bit 128 does not belong there.
  v128.store(poly, i64x2.splat(0), TAIL + 32);
  if (rest != 0) polyBlocks(poly, poly + TAIL, 3);
  else polyBlocks(poly, poly + TAIL + 16, 2);
  const d0 = load<u64>(poly, POLY_H);
  const d1 = load<u64>(poly, POLY_H + 8) + (d0 >> 32);
  const d2 = load<u64>(poly, POLY_H + 16) + (d1 >> 32);
  const d3 = load<u64>(poly, POLY_H + 24) - BIT_128 + (d2 >> 32);
  const low = (d0 & LOW_32) | (d1 << 32);
  const high = (d2 & LOW_32) | (d3 << 32);
  // h ≥ p = 2^130 − 5 exactly if h + 5 carries into bit 130; h < 2p here. Adding 5·(h + 5 >> 130)
  // and dropping what lies above 2^128 subtracts p then.
  const carry1 = addCarry(low, 5);
  const carry2 = addCarry(high, carry1);
  const five = (((d3 >> 32) + carry2) >> 2) * 5;
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
