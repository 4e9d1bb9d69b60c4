/**
 * ChaCha20 (RFC 8439 §2.3): four blocks at once, one per i32x4 lane.
 *
 *     vector i = word i of blocks  c, c+1, c+2, c+3          (16 vectors, rounds need no shuffles)
 */

/** Bytes of keystream that one call of `chachaBlocks4` makes. */
export const KEYSTREAM_SIZE: u32 = 256;

@inline
function rotate16(x: v128): v128 {
  return i8x16.shuffle(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
}

@inline
function rotate8(x: v128): v128 {
  return i8x16.shuffle(x, x, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14);
}

@inline
function rotate(x: v128, bits: i32): v128 {
  return v128.or(i32x4.shl(x, bits), i32x4.shr_u(x, 32 - bits));
}

/**
 * Writes keystream blocks counter … counter + 3 to `out`.
 * @param key 32 bytes
 * @param salt the nonce's first word (RFC 7634 §2), iv its other two
 */
export function chachaBlocks4(key: usize, salt: u32, iv: u64, counter: u32, out: usize): void {
  let x0 = i32x4.splat(0x61707865);
  let x1 = i32x4.splat(0x3320646e);
  let x2 = i32x4.splat(0x79622d32);
  let x3 = i32x4.splat(0x6b206574);
  let x4 = v128.load32_splat(key);
  let x5 = v128.load32_splat(key, 4);
  let x6 = v128.load32_splat(key, 8);
  let x7 = v128.load32_splat(key, 12);
  let x8 = v128.load32_splat(key, 16);
  let x9 = v128.load32_splat(key, 20);
  let x10 = v128.load32_splat(key, 24);
  let x11 = v128.load32_splat(key, 28);
  const counters = i32x4.add(i32x4.splat(counter), i32x4(0, 1, 2, 3));
  let x12 = counters;
  let x13 = i32x4.splat(salt);
  let x14 = i32x4.splat(<u32>iv);
  let x15 = i32x4.splat(<u32>(iv >> 32));
  for (let round = 0; round < 10; round++) {
    x0 = i32x4.add(x0, x4); x12 = rotate16(v128.xor(x12, x0));
    x1 = i32x4.add(x1, x5); x13 = rotate16(v128.xor(x13, x1));
    x2 = i32x4.add(x2, x6); x14 = rotate16(v128.xor(x14, x2));
    x3 = i32x4.add(x3, x7); x15 = rotate16(v128.xor(x15, x3));
    x8 = i32x4.add(x8, x12); x4 = rotate(v128.xor(x4, x8), 12);
    x9 = i32x4.add(x9, x13); x5 = rotate(v128.xor(x5, x9), 12);
    x10 = i32x4.add(x10, x14); x6 = rotate(v128.xor(x6, x10), 12);
    x11 = i32x4.add(x11, x15); x7 = rotate(v128.xor(x7, x11), 12);
    x0 = i32x4.add(x0, x4); x12 = rotate8(v128.xor(x12, x0));
    x1 = i32x4.add(x1, x5); x13 = rotate8(v128.xor(x13, x1));
    x2 = i32x4.add(x2, x6); x14 = rotate8(v128.xor(x14, x2));
    x3 = i32x4.add(x3, x7); x15 = rotate8(v128.xor(x15, x3));
    x8 = i32x4.add(x8, x12); x4 = rotate(v128.xor(x4, x8), 7);
    x9 = i32x4.add(x9, x13); x5 = rotate(v128.xor(x5, x9), 7);
    x10 = i32x4.add(x10, x14); x6 = rotate(v128.xor(x6, x10), 7);
    x11 = i32x4.add(x11, x15); x7 = rotate(v128.xor(x7, x11), 7);

    x0 = i32x4.add(x0, x5); x15 = rotate16(v128.xor(x15, x0));
    x1 = i32x4.add(x1, x6); x12 = rotate16(v128.xor(x12, x1));
    x2 = i32x4.add(x2, x7); x13 = rotate16(v128.xor(x13, x2));
    x3 = i32x4.add(x3, x4); x14 = rotate16(v128.xor(x14, x3));
    x10 = i32x4.add(x10, x15); x5 = rotate(v128.xor(x5, x10), 12);
    x11 = i32x4.add(x11, x12); x6 = rotate(v128.xor(x6, x11), 12);
    x8 = i32x4.add(x8, x13); x7 = rotate(v128.xor(x7, x8), 12);
    x9 = i32x4.add(x9, x14); x4 = rotate(v128.xor(x4, x9), 12);
    x0 = i32x4.add(x0, x5); x15 = rotate8(v128.xor(x15, x0));
    x1 = i32x4.add(x1, x6); x12 = rotate8(v128.xor(x12, x1));
    x2 = i32x4.add(x2, x7); x13 = rotate8(v128.xor(x13, x2));
    x3 = i32x4.add(x3, x4); x14 = rotate8(v128.xor(x14, x3));
    x10 = i32x4.add(x10, x15); x5 = rotate(v128.xor(x5, x10), 7);
    x11 = i32x4.add(x11, x12); x6 = rotate(v128.xor(x6, x11), 7);
    x8 = i32x4.add(x8, x13); x7 = rotate(v128.xor(x7, x8), 7);
    x9 = i32x4.add(x9, x14); x4 = rotate(v128.xor(x4, x9), 7);
  }
  x0 = i32x4.add(x0, i32x4.splat(0x61707865));
  x1 = i32x4.add(x1, i32x4.splat(0x3320646e));
  x2 = i32x4.add(x2, i32x4.splat(0x79622d32));
  x3 = i32x4.add(x3, i32x4.splat(0x6b206574));
  storeTransposed(out, x0, x1, x2, x3);
  x4 = i32x4.add(x4, v128.load32_splat(key));
  x5 = i32x4.add(x5, v128.load32_splat(key, 4));
  x6 = i32x4.add(x6, v128.load32_splat(key, 8));
  x7 = i32x4.add(x7, v128.load32_splat(key, 12));
  storeTransposed(out + 16, x4, x5, x6, x7);
  x8 = i32x4.add(x8, v128.load32_splat(key, 16));
  x9 = i32x4.add(x9, v128.load32_splat(key, 20));
  x10 = i32x4.add(x10, v128.load32_splat(key, 24));
  x11 = i32x4.add(x11, v128.load32_splat(key, 28));
  storeTransposed(out + 32, x8, x9, x10, x11);
  x12 = i32x4.add(x12, counters);
  x13 = i32x4.add(x13, i32x4.splat(salt));
  x14 = i32x4.add(x14, i32x4.splat(<u32>iv));
  x15 = i32x4.add(x15, i32x4.splat(<u32>(iv >> 32)));
  storeTransposed(out + 48, x12, x13, x14, x15);
}

/** Four words of four blocks: rows to columns, each 64 bytes after the one before. */
@inline
function storeTransposed(out: usize, a: v128, b: v128, c: v128, d: v128): void {
  const ab = i8x16.shuffle(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const cd = i8x16.shuffle(c, d, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const abHigh = i8x16.shuffle(a, b, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  const cdHigh = i8x16.shuffle(c, d, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  v128.store(out, v128.shuffle<i64>(ab, cd, 0, 2));
  v128.store(out, v128.shuffle<i64>(ab, cd, 1, 3), 64);
  v128.store(out, v128.shuffle<i64>(abHigh, cdHigh, 0, 2), 128);
  v128.store(out, v128.shuffle<i64>(abHigh, cdHigh, 1, 3), 192);
}
