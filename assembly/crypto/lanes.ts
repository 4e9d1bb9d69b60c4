/** Rows to lanes and back: what ciphers that process several blocks or packets at once have in common. */

/**
 * Transposes a 4 × 4 matrix of u32 whose rows are a, b, c, d, and stores its columns `stride` bytes apart.
 *
 *     a0 a1 a2 a3          a0 b0 c0 d0  → out
 *     b0 b1 b2 b3    ──►   a1 b1 c1 d1  → out + stride
 *     c0 c1 c2 c3          a2 b2 c2 d2  → out + 2·stride
 *     d0 d1 d2 d3          a3 b3 c3 d3  → out + 3·stride
 */
@inline
export function storeTransposed(out: usize, stride: usize, a: v128, b: v128, c: v128, d: v128): void {
  scatterTransposed(out, out + stride, out + 2 * stride, out + 3 * stride, a, b, c, d);
}

/** The same with an address for each column. */
@inline
export function scatterTransposed(
  out0: usize, out1: usize, out2: usize, out3: usize, a: v128, b: v128, c: v128, d: v128,
): void {
  const abLow = i32x4.shuffle(a, b, 0, 4, 1, 5);
  const cdLow = i32x4.shuffle(c, d, 0, 4, 1, 5);
  const abHigh = i32x4.shuffle(a, b, 2, 6, 3, 7);
  const cdHigh = i32x4.shuffle(c, d, 2, 6, 3, 7);
  v128.store(out0, i64x2.shuffle(abLow, cdLow, 0, 2));
  v128.store(out1, i64x2.shuffle(abLow, cdLow, 1, 3));
  v128.store(out2, i64x2.shuffle(abHigh, cdHigh, 0, 2));
  v128.store(out3, i64x2.shuffle(abHigh, cdHigh, 1, 3));
}

/** The same, but XORs the columns to the 64 bytes at `to`. */
@inline
export function xorTransposed(to: usize, a: v128, b: v128, c: v128, d: v128): void {
  const abLow = i32x4.shuffle(a, b, 0, 4, 1, 5);
  const cdLow = i32x4.shuffle(c, d, 0, 4, 1, 5);
  const abHigh = i32x4.shuffle(a, b, 2, 6, 3, 7);
  const cdHigh = i32x4.shuffle(c, d, 2, 6, 3, 7);
  v128.store(to, v128.xor(v128.load(to), i64x2.shuffle(abLow, cdLow, 0, 2)));
  v128.store(to, v128.xor(v128.load(to, 16), i64x2.shuffle(abLow, cdLow, 1, 3)), 16);
  v128.store(to, v128.xor(v128.load(to, 32), i64x2.shuffle(abHigh, cdHigh, 0, 2)), 32);
  v128.store(to, v128.xor(v128.load(to, 48), i64x2.shuffle(abHigh, cdHigh, 1, 3)), 48);
}

/** Four big-endian u32 at `address`. */
@inline
export function bigEndian32(address: usize): v128 {
  const x = v128.load(address);
  return i8x16.shuffle(x, x, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
}

/** Two big-endian u64 at `address`. */
@inline
export function bigEndian64(address: usize): v128 {
  const x = v128.load(address);
  return i8x16.shuffle(x, x, 7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8);
}
