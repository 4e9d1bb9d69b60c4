/**
 * SubBytes of sixteen bytes at once, in registers: sixteen-entry tables looked up by nibble.
 *
 * Constant time by construction: a look-up is a swizzle, never a load at a secret address.
 * Derivation: scripts/generate-aes-tables.mjs.
 */
import {
  INPUT_HIGH,
  INPUT_INVERSE_HIGH,
  INPUT_INVERSE_LOW,
  INPUT_LOW,
  INVERSE_T,
  INVERSE_U,
  INVERSES,
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

@inline
export function lowNibbles(x: v128): v128 {
  return v128.and(x, i8x16.splat(15));
}

@inline
export function highNibbles(x: v128): v128 {
  return v128.and(i16x8.shr_u(x, 4), i8x16.splat(15));
}

/** Hamburg's ladder between a pair of input tables and a pair of output tables. */
@inline
function ladder(x: v128, low: usize, high: usize, u: usize, t: usize): v128 {
  const inverses = v128.load(INVERSES);
  const ik = v128.xor(lookUp(v128.load(low), lowNibbles(x)), lookUp(v128.load(high), highNibbles(x)));
  const i = highNibbles(ik);
  const k = lowNibbles(ik);
  const j = v128.xor(i, k);
  const ak = lookUp(v128.load(QUOTIENTS), k);
  const io = v128.xor(lookUp(inverses, v128.xor(lookUp(inverses, i), ak)), j);
  const jo = v128.xor(lookUp(inverses, v128.xor(lookUp(inverses, j), ak)), i);
  return v128.xor(lookUp(v128.load(u), io), lookUp(v128.load(t), jo));
}

/** FIPS 197 §5.1.1 for sixteen bytes. */
export function subBytes(x: v128): v128 {
  return v128.xor(ladder(x, INPUT_LOW, INPUT_HIGH, SBOX_U, SBOX_T), i8x16.splat(0x63));
}

/** FIPS 197 §5.3.2 for sixteen bytes. */
export function inverseSubBytes(x: v128): v128 {
  x = v128.xor(x, i8x16.splat(0x63));
  return ladder(x, INPUT_INVERSE_LOW, INPUT_INVERSE_HIGH, INVERSE_U, INVERSE_T);
}
