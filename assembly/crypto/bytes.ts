/** Odd ends: parts of blocks that must be read as zero-padded and written to the byte. */

/** The first `length` bytes at `address`, the rest zero; 0 ≤ length ≤ 16. Reads all sixteen. */
@inline
export function loadPartial(address: usize, length: u32): v128 {
  return v128.and(v128.load(address), partialMask(length));
}

/** 0xff in the first `length` bytes. */
@inline
export function partialMask(length: u32): v128 {
  return i8x16.lt_u(i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), i8x16.splat(<i8>length));
}

/** Zeroes `length` bytes, rounded up to 64, without memory.fill's way out of WebAssembly: 15 ns, more than a few stores. */
@inline
export function wipeLines(at: usize, length: u32): void {
  const zero = i64x2.splat(0);
  for (const end = at + length; at < end; at += 64) {
    v128.store(at, zero);
    v128.store(at, zero, 16);
    v128.store(at, zero, 32);
    v128.store(at, zero, 48);
  }
}

/** Writes the first `length` bytes of `x` and no other; 0 ≤ length ≤ 16. */
@inline
export function storePartial(address: usize, x: v128, length: u32): void {
  if (length & 16) v128.store(address, x);
  else storeBits(address, x, length);
}

/** By the bits of `length` < 16. */
function storeBits(address: usize, x: v128, length: u32): void {
  if (length & 8) {
    store<i64>(address, i64x2.extract_lane(x, 0));
    address += 8;
    x = i64x2.shuffle(x, x, 1, 1);
  }
  if (length & 4) {
    store<i32>(address, i32x4.extract_lane(x, 0));
    address += 4;
    x = i32x4.shuffle(x, x, 1, 1, 1, 1);
  }
  if (length & 2) {
    store<i16>(address, i16x8.extract_lane_s(x, 0));
    address += 2;
    x = i16x8.shuffle(x, x, 1, 1, 1, 1, 1, 1, 1, 1);
  }
  if (length & 1) store<i8>(address, i8x16.extract_lane_s(x, 0));
}

/** XORs `length` bytes of keystream to `at` and writes no other byte. */
@inline
export function xorKeystream(at: usize, keystream: usize, length: u32): void {
  for (; length >= 64; length -= 64, at += 64, keystream += 64) {
    v128.store(at, v128.xor(v128.load(at), v128.load(keystream)));
    v128.store(at, v128.xor(v128.load(at, 16), v128.load(keystream, 16)), 16);
    v128.store(at, v128.xor(v128.load(at, 32), v128.load(keystream, 32)), 32);
    v128.store(at, v128.xor(v128.load(at, 48), v128.load(keystream, 48)), 48);
  }
  for (; length >= 16; length -= 16, at += 16, keystream += 16) {
    v128.store(at, v128.xor(v128.load(at), v128.load(keystream)));
  }
  if (length > 0) storeBits(at, v128.xor(v128.load(at), v128.load(keystream)), length);
}
