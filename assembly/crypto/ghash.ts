/**
 * GHASH (NIST SP 800-38D §6.4) of one message by look-ups in registers, up to six blocks to a reduction.
 *
 * A block Y is sixteen bytes Y_p, and Y·H = Σ_p x^8p · (Y_p·H). Byte q of Y_p·H is linear in Y_p:
 * one look-up by its low nibble plus one by its high nibble, in two tables that depend on q and
 * H alone. One swizzle therefore gives byte q of all sixteen products:
 *
 *                 p = 0      1      2            15
 *               +------+------+------+-- ··· --+------+
 *   column q    | byte q of Y_p·H in lane p           |   counts at x^8(p+q)
 *               +------+------+------+-- ··· --+------+
 *
 * Columns of blocks i with their own powers H^(n-i) are summed before anything is shifted, so n
 * blocks cost 32n look-ups and 32n XORs, and fifteen byte shifts and one reduction in all. The
 * Y_p·H are reduced already in the tables, which keeps the sum below x^248. Blocks are hashed as they
 * lie in memory; four messages of about the same length cost less side by side (ghash-lanes.ts).
 *
 *  TABLES, 512 bytes a power, H^1 first:
 *     0      16     32     48                 480    496
 *     +------+------+------+------+--- ··· ---+------+------+
 *     | q=0  | q=0  | q=1  | q=1  |           | q=15 | q=15 |
 *     | low  | high | low  | high |           | low  | high |
 *     +------+------+------+------+--- ··· ---+------+------+
 */
import { highNibbles, lookUp, lowNibbles } from "./aes-sbox";
import { NIBBLE_MASK } from "./aes-tables.gen";
import { loadPartial } from "./bytes";

/** Blocks that one reduction serves at most: powers of H in the tables. More gain little and cost memory per SA. */
export const GHASH_BLOCKS: u32 = 6;
/**
 * A few packets are hashed with fewer powers: what a reduction more often costs is less than what
 * it takes to fetch more tables from far away, if there are thousands of SAs.
 */
export const FEW_BLOCKS: u32 = 4;
const POWER_SIZE: u32 = 512;
export const GHASH_TABLES_SIZE: u32 = GHASH_BLOCKS * POWER_SIZE;
/** Bytes of tables that few packets use. */
export const GHASH_FEW_SIZE: u32 = FEW_BLOCKS * POWER_SIZE;

/**
 * HASH, one message in work: its blocks wait as nibbles until there are as many as `hashEnd` said. Functions
 * take and return the address where the next block goes.
 *
 *      0     16    32                         192   208
 *     +-----+-----+-----+------- ··· ---+-----+-----+
 *     | low | high| low |               | high| Y   |
 *     +-----+-----+-----+------- ··· ---+-----+-----+
 *     | block 0   | block 1             |     |
 */
const HASH_Y: usize = 32 * GHASH_BLOCKS;
/** Bytes of HASH, a multiple of 64. */
export const HASH_SIZE: usize = 256;

/** @returns the end of the blocks that wait in HASH, for tables of so many powers */
@inline
export function hashEnd(hash: usize, powers: u32): usize {
  return hash + (powers << 5);
}

/**
 * Builds the tables of H, H², … one by one.
 * @param power H^n, @param n 1 … GHASH_BLOCKS
 */
export function expandPower(tables: usize, n: u32, power: v128): void {
  const p1 = timesX(power);
  const p2 = timesX(p1);
  const p3 = timesX(p2);
  const p4 = timesX(p3);
  const p5 = timesX(p4);
  const p6 = timesX(p5);
  nibbleTables(tables + (n - 1) * POWER_SIZE, 16, power, p1, p2, p3, p4, p5, p6, timesX(p6));
}

/** block·H^n; needs the table of H^n alone. */
export function timesPower(tables: usize, n: u32, hash: usize, block: v128): v128 {
  const table = tables + (n - 1) * POWER_SIZE;
  return hashFlush(hash, table, hashBlock(hash, table, hashStart(hash), hash + HASH_Y, block));
}

/**
 * Sixteen entries per nibble and column: bit b of a byte stands for x^(7-b) (SP 800-38D §6.3).
 * @param p0 the factor; p1 … p7 are x times, … x^7 times as much
 */
export function nibbleTables(
  table: usize, columns: i32, p0: v128, p1: v128, p2: v128, p3: v128, p4: v128, p5: v128, p6: v128, p7: v128,
): void {
  for (let q = 0; q < columns; q++, table += 32) {
    v128.store(table, nibbleTable(p4, p5, p6, p7, q));
    v128.store(table, nibbleTable(p0, p1, p2, p3, q), 16);
  }
}

/** Entry v is the sum of byte q of p8, p4, p2, p1 for the bits 8, 4, 2, 1 of v. */
@inline
function nibbleTable(p8: v128, p4: v128, p2: v128, p1: v128, q: i32): v128 {
  const byte = i8x16.splat(<i8>q);
  const half = v128.xor(
    v128.and(lookUp(p8, byte), i64x2(0, -1)),
    v128.and(lookUp(p4, byte), i32x4(0, -1, 0, -1)),
  );
  return v128.xor(
    half,
    v128.xor(
      v128.and(lookUp(p2, byte), i16x8(0, -1, 0, -1, 0, -1, 0, -1)),
      v128.and(lookUp(p1, byte), i16x8.splat(<i16>0xff00)),
    ),
  );
}

/** SP 800-38D §7.1: what ends a message. Lengths in bytes. */
@inline
export function bitLengths(aadLength: u32, length: u32): v128 {
  return i64x2.replace_lane(i64x2.splat(bswap<u64>(<u64>aadLength << 3)), 1, bswap<u64>(<u64>length << 3));
}

/** x·p: the bit string moves right by one, x^128 = 1 + x + x² + x^7. */
function timesX(p: v128): v128 {
  const high = bswap<u64>(i64x2.extract_lane(p, 0));
  const low = bswap<u64>(i64x2.extract_lane(p, 1));
  const reduced = (high >> 1) ^ ((0 - (low & 1)) & 0xe100000000000000);
  const shifted = i64x2.splat(bswap<u64>(reduced));
  return i64x2.replace_lane(shifted, 1, bswap<u64>((low >> 1) | (high << 63)));
}

/** Begins a message. */
@inline
export function hashStart(hash: usize): usize {
  v128.store(hash, i64x2.splat(0), HASH_Y);
  return hash;
}

/** Adds `length` bytes, zero-padded to whole blocks. */
@inline
export function hashPadded(hash: usize, tables: usize, to: usize, end: usize, data: usize, length: u32): usize {
  const mask = v128.load(NIBBLE_MASK);
  for (const last = data + (length & ~15); data < last; data += 16) {
    const block = v128.load(data);
    v128.store(to, v128.and(block, mask));
    v128.store(to, v128.and(i16x8.shr_u(block, 4), mask), 16);
    to += 32;
    if (to == end) {
      hashFlush(hash, tables, to);
      to = hash;
    }
  }
  return length & 15 ? hashBlock(hash, tables, to, end, loadPartial(data, length & 15)) : to;
}

/** Adds one block. */
@inline
export function hashBlock(hash: usize, tables: usize, to: usize, end: usize, block: v128): usize {
  v128.store(to, lowNibbles(block));
  v128.store(to, highNibbles(block), 16);
  to += 32;
  if (to != end) return to;
  hashFlush(hash, tables, to);
  return hash;
}

/** Takes in the blocks that wait before `to`. @returns Y */
export function hashFlush(hash: usize, tables: usize, to: usize): v128 {
  const y = v128.load(hash, HASH_Y);
  if (to == hash) return y;
  v128.store(hash, v128.xor(v128.load(hash), lowNibbles(y)));
  v128.store(hash, v128.xor(v128.load(hash, 16), highNibbles(y)), 16);
  const sum = hashNibbles(tables, hash, <u32>(to - hash) >> 5);
  v128.store(hash, sum, HASH_Y);
  return sum;
}

/** The heart: Σ block_i·H^(n-i), i = 0 … n-1, of blocks as nibbles. */
function hashNibbles(tables: usize, nibbles: usize, n: u32): v128 {
  let low = i64x2.splat(0);
  let high = low;
  // Four columns at a time fit the machine's registers; the upper ones come first, as Horner's rule has it.
  for (let columns: i32 = 384; columns >= 0; columns -= 128) {
    let c0 = i64x2.splat(0);
    let c1 = c0;
    let c2 = c0;
    let c3 = c0;
    let table = tables + columns;
    // From the last block on: block 0 carries y, which is known last.
    for (let at = nibbles + (n << 5) - 32; at >= nibbles; at -= 32, table += POWER_SIZE) {
      const l = v128.load(at);
      const h = v128.load(at, 16);
      c0 = v128.xor(c0, v128.xor(lookUp(v128.load(table, 0), l), lookUp(v128.load(table, 16), h)));
      c1 = v128.xor(c1, v128.xor(lookUp(v128.load(table, 32), l), lookUp(v128.load(table, 48), h)));
      c2 = v128.xor(c2, v128.xor(lookUp(v128.load(table, 64), l), lookUp(v128.load(table, 80), h)));
      c3 = v128.xor(c3, v128.xor(lookUp(v128.load(table, 96), l), lookUp(v128.load(table, 112), h)));
    }
    high = nextByte(low, high);
    low = v128.xor(nextByte(i64x2.splat(0), low), c3);
    high = nextByte(low, high);
    low = v128.xor(nextByte(i64x2.splat(0), low), c2);
    high = nextByte(low, high);
    low = v128.xor(nextByte(i64x2.splat(0), low), c1);
    high = nextByte(low, high);
    low = v128.xor(nextByte(i64x2.splat(0), low), c0);
  }
  return v128.xor(low, fold(high));
}

/** `x` moved up by one byte, with the last byte of `before` moving in. */
@inline
function nextByte(before: v128, x: v128): v128 {
  return i8x16.shuffle(before, x, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30);
}

/** x^128·high for high below x^120: high·(1 + x + x² + x^7). */
@inline
function fold(high: v128): v128 {
  const x = reverse(high);
  const right = v128.xor(v128.xor(i64x2.shr_u(x, 1), i64x2.shr_u(x, 2)), i64x2.shr_u(x, 7));
  const carried = v128.xor(v128.xor(i64x2.shl(x, 63), i64x2.shl(x, 62)), i64x2.shl(x, 57));
  const sum = v128.xor(v128.xor(x, right), i64x2.shuffle(carried, i64x2.splat(0), 1, 2));
  return reverse(sum);
}

@inline
function reverse(x: v128): v128 {
  return i8x16.shuffle(x, x, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
}
