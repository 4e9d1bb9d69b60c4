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

/** Zeroes `length` bytes, a multiple of 16, without memory.fill's way out of WebAssembly: 15 ns, more than a few stores. */
@inline
export function wipeBlocks(at: usize, length: u32): void {
  const zero = i64x2.splat(0);
  for (const end = at + length; at < end; at += 16) v128.store(at, zero);
}

/** Writes the first `length` bytes of `x` and no other; 0 ≤ length ≤ 16. */
export function storePartial(address: usize, x: v128, length: u32): void {
  if (length & 16) {
    v128.store(address, x);
    return;
  }
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
export function xorKeystream(at: usize, keystream: usize, length: u32): void {
  for (; length >= 16; length -= 16, at += 16, keystream += 16) {
    v128.store(at, v128.xor(v128.load(at), v128.load(keystream)));
  }
  if (length > 0) storePartial(at, v128.xor(v128.load(at), v128.load(keystream)), length);
}
