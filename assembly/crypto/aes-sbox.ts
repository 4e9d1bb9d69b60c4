/**
 * SubBytes of sixteen bytes at once, in registers: sixteen-entry tables looked up by nibble.
 *
 * Constant time by construction: a look-up is a swizzle, never a load at a secret address.
 * Derivation: scripts/generate-aes-tables.mjs.
 */
import {
  AFFINE,
  INPUT_HIGH,
  INPUT_INVERSE_HIGH,
  INPUT_INVERSE_LOW,
  INPUT_LOW,
  INVERSES,
  NIBBLE_MASK,
  QUOTIENTS,
  SBOX_T,
  SBOX_U,
} from "./aes-tables.gen";

/**
 * table[index] for sixteen indices that are 0–15, or ≥ 128 for 0: where both builds agree.
 * The plain swizzle must turn 16–127 to 0 too, which costs x86 an instruction more.
 */
@inline
export function lookUp(table: v128, index: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i8x16.relaxed_swizzle(table, index) : i8x16.swizzle(table, index);
}

// V8 builds a constant anew wherever it is used; a load is less work.
@inline
export function lowNibbles(x: v128): v128 {
  return v128.and(x, v128.load(NIBBLE_MASK));
}

@inline
export function highNibbles(x: v128): v128 {
  return v128.and(i16x8.shr_u(x, 4), v128.load(NIBBLE_MASK));
}

/** One output of Hamburg's ladder, 1/(1/i + ak) + j; the other is the same with i and j exchanged. */
@inline
export function ladderOutput(inverses: v128, i: v128, j: v128, ak: v128): v128 {
  return v128.xor(lookUp(inverses, v128.xor(lookUp(inverses, i), ak)), j);
}

/** From bytes to nibble pairs of the tower field, where the ladder starts. */
@inline
export function toTower(x: v128): v128 {
  return v128.xor(lookUp(v128.load(INPUT_LOW), lowNibbles(x)), lookUp(v128.load(INPUT_HIGH), highNibbles(x)));
}

/** FIPS 197 §5.1.1 for sixteen bytes; for key schedules, not for bulk. */
export function subBytes(x: v128): v128 {
  const ik = toTower(x);
  const inverses = v128.load(INVERSES);
  const i = highNibbles(ik);
  const k = lowNibbles(ik);
  const j = v128.xor(i, k);
  const ak = lookUp(v128.load(QUOTIENTS), k);
  const u = lookUp(v128.load(SBOX_U), ladderOutput(inverses, i, j, ak));
  const t = lookUp(v128.load(SBOX_T), ladderOutput(inverses, j, i, ak));
  return v128.xor(v128.xor(u, t), v128.load(AFFINE));
}

/** From bytes to tower(A⁻¹(x)), where the inverse cipher's ladder starts. */
@inline
export function toInverseTower(x: v128): v128 {
  const low = lookUp(v128.load(INPUT_INVERSE_LOW), lowNibbles(x));
  return v128.xor(low, lookUp(v128.load(INPUT_INVERSE_HIGH), highNibbles(x)));
}
