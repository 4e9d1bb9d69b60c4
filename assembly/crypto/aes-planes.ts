/**
 * From bytes to planes, which hold one bit of many blocks' bytes: aes-bits.ts has the layout.
 */
import { bytesToPlanes } from "./aes-bits.gen";
import { highNibbles, lookUp, lowNibbles } from "./aes-sbox";
import { OUTPUT_HIGH, OUTPUT_LOW } from "./aes-tables.gen";
import { storeTransposed } from "./lanes";

/** Planes of all bytes after round 2, then planes of column 0 after round 1. */
export const CONSTANTS_SIZE: u32 = 640;

/** Bits whose number has not the bit 1, 2, 4, 8, 16. */
export const LEVEL_MASKS: usize = memory.data<u32>([
  0x55555555, 0x55555555, 0x55555555, 0x55555555, 0x33333333, 0x33333333, 0x33333333, 0x33333333,
  0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x00ff00ff, 0x00ff00ff, 0x00ff00ff, 0x00ff00ff,
  0x0000ffff, 0x0000ffff, 0x0000ffff, 0x0000ffff,
], 16);

/** All ones in the lanes whose bit `number` is set. */
@inline
export function planeOf(x: v128, number: i32): v128 {
  return i32x4.shr_s(i32x4.shl(x, 31 - number), 31);
}

/** The tower's bytes (aes-lanes.ts) to FIPS 197's. */
@inline
export function fromTower(x: v128): v128 {
  return v128.xor(lookUp(v128.load(OUTPUT_LOW), lowNibbles(x)), lookUp(v128.load(OUTPUT_HIGH), highNibbles(x)));
}

/** @param afterTwo all bytes after round 2, @param column four times column 0 after round 1 */
export function spreadConstants(afterTwo: v128, column: v128, to: usize): void {
  storePlanes(to, afterTwo);
  // Row r of column 0 goes to lane −r.
  const rows = i8x16.shuffle(column, column, 0, 0, 0, 0, 3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1);
  for (let weight = 0; weight < 8; weight++) v128.store(to + (weight << 4), planeOf(rows, weight), 512);
}

/**
 * The same for sixteen packets of those that share RUNs.
 * @param sliced column 0 after round 1, then all bytes after round 2: 20 vectors, a packet in each lane
 * @param group 0 or 1, @param groups of sixteen packets: with the last one, which comes last, `to` is complete
 */
export function shareConstants(sliced: usize, group: i32, groups: i32, to: usize): void {
  let row = to + (<usize>group << 6);
  for (let bytes = sliced + 64; bytes < sliced + 128; bytes += 16, row += 128) {
    storeRow(row, v128.load(bytes), v128.load(bytes, 64), v128.load(bytes, 128), v128.load(bytes, 192));
  }
  // Row r of column 0 goes to lane −r.
  storeRow(row, v128.load(sliced), v128.load(sliced, 48), v128.load(sliced, 32), v128.load(sliced, 16));
  if (group + 1 < groups) return;
  for (row = to; row < to + CONSTANTS_SIZE; row += 128) {
    if (groups == 1) {
      for (let x: usize = 0; x < 64; x += 16) v128.store(row + x, v128.load(row + x), 64);
    }
    bytesToPlanes(row, LEVEL_MASKS);
  }
}

/** Four lanes' bytes, of sixteen packets each, to four vectors of four packets. */
@inline
function storeRow(to: usize, x0: v128, x1: v128, x2: v128, x3: v128): void {
  storeTransposed(to, 16, fromTower(x0), fromTower(x1), fromTower(x2), fromTower(x3));
}

/** Bit `weight` of the counters 32 · run + n, n = 0 … 31. */
@inline
export function counterPlane(weight: i32, run: u32): v128 {
  if (weight >= 5) return i32x4.splat(0 - ((run >> (weight - 5)) & 1));
  return v128.not(v128.load(LEVEL_MASKS + (weight << 4)));
}

/** One counter's bit of its RUN's STARTS in all bits that have not the bit 4, another one's in the rest. */
export function shareStart(to: usize, a: usize, b: usize, counter: u32, other: u32): void {
  const firsts = v128.load(LEVEL_MASKS, 32);
  for (let plane: usize = 0; plane < 256; plane += 32) {
    const x = i32x4.shr_s(i32x4.shl(v128.load(a + plane), 31 - (counter & 31)), 31);
    const y = i32x4.shr_s(i32x4.shl(v128.load(b + plane), 31 - (other & 31)), 31);
    v128.store(to + plane, v128.bitselect(x, y, firsts));
  }
}

/** Sixteen vectors' bytes, each the same in all its lanes. */
@inline
export function rowOf(sliced: usize): v128 {
  return i64x2.shuffle(eightOf(sliced), eightOf(sliced + 128), 0, 2);
}

@inline
function eightOf(sliced: usize): v128 {
  return i32x4.shuffle(fourOf(sliced), fourOf(sliced + 64), 0, 4, 1, 5);
}

@inline
function fourOf(sliced: usize): v128 {
  const low = i8x16.shuffle(v128.load(sliced), v128.load(sliced, 16), 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const high = i8x16.shuffle(
    v128.load(sliced, 32), v128.load(sliced, 48), 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
  );
  return i16x8.shuffle(low, high, 0, 8, 1, 9, 2, 10, 3, 11);
}

/** All bits of `x`'s lanes to planes, the most significant ones first. */
@inline
export function storePlanes(to: usize, x: v128): void {
  for (let plane = to + 448; plane >= to; plane -= 64) {
    v128.store(plane, i32x4.shr_s(x, 31), 48);
    x = i32x4.add(x, x);
    v128.store(plane, i32x4.shr_s(x, 31), 32);
    x = i32x4.add(x, x);
    v128.store(plane, i32x4.shr_s(x, 31), 16);
    x = i32x4.add(x, x);
    v128.store(plane, i32x4.shr_s(x, 31));
    x = i32x4.add(x, x);
  }
}
