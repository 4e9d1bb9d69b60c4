/**
 * GHASH (NIST SP 800-38D §6.4) of four messages under one key, side by side: a word of each in a vector.
 *
 *               message 0    1        2        3
 *              +--------+--------+--------+--------+
 *   w0         | word 0 | word 0 | word 0 | word 0 |      x^0 … x^31 of a block
 *   ⋮          |        |        |        |        |
 *   w3         | word 3 | word 3 | word 3 | word 3 |      x^96 … x^127
 *              +--------+--------+--------+--------+
 *
 * Words are multiplied by Karatsuba's rule, twice over: of two halves, and of the two words in each.
 * So a block costs nine products of words instead of sixteen, for
 *
 *     k     0   1   2      3   4   5      6      7      8
 *          w0  w1  w0+w1  w2  w3  w2+w3  w0+w2  w1+w3  all four         (and of H^n the same sums)
 *
 * A product of a word is made as in ghash.ts, by nibbles: byte q of Y_p·W, where Y_p is one of a
 * word's four bytes, is two look-ups in tables that depend on q and W alone; W has 32 bits, so q = 0 … 4.
 * That is 90 look-ups for four blocks, where ghash.ts has 128, and all that comes after (columns to
 * words, nine products to one, reduction) is done for six blocks of each message at a time. scripts/generate-ghash-sums.mjs
 * has the look-ups.
 *
 * Messages end together: a message that is shorter than the longest begins with blocks of zero, which
 * add nothing. Block number `n` counts from the end and goes with H^n, n = 1 being the lengths.
 *
 *  TABLES, 1440 bytes a power of H, H^1 first; of each, k = 0 … 8:
 *     0      16     32     48            128    144
 *     +------+------+------+------+-- ·· --+------+------+
 *     | q=0  | q=0  | q=1  | q=1  |      | q=4  | q=4  |
 *     | low  | high | low  | high |      | low  | high |
 *     +------+------+------+------+-- ·· --+------+------+
 */
import { PACKET_AAD, PACKET_AAD_LENGTH, PACKET_LENGTH, PACKET_PAYLOAD } from "../layout";
import { loadPartial } from "./bytes";
import { bitLengths, GHASH_BLOCKS, GHASH_TABLES_SIZE, nibbleTables, timesPower } from "./ghash";
import { sumProducts } from "./ghash-sums.gen";
import { storeTransposed } from "./lanes";

/** Messages side by side. */
export const HASH_LANES: i32 = 4;
const PRODUCTS: u32 = 9;
const PRODUCT_SIZE: u32 = 160;
const POWER_SIZE: u32 = PRODUCTS * PRODUCT_SIZE;
/**
 * Behind them what the ends of the messages before come to, as words: their last block by H and, if PREFIX is one,
 * that much of their AAD by its power of H. u32 × 2: their lengths, if they were equal; u64: PREFIX.
 */
const ENDS: usize = GHASH_BLOCKS * POWER_SIZE;
const LENGTHS: usize = ENDS + 64;
const PREFIX: usize = LENGTHS + 8;
/** Bytes of tables, a multiple of 64. */
export const LANES_TABLES_SIZE: u32 = <u32>LENGTHS + 64;

/**
 * Scratch:
 *      0                   864           1152      1216
 *     +-------------------+-------------+---------+
 *     | STAGE             | SUMS        | Y       |
 *     | 9 × 6 vectors     | 9 × 2       | 4       |
 *     +-------------------+-------------+---------+
 *
 *     STAGE   words and their sums, by k, then by power of H
 *     SUMS    Σ of word k's products, 64 bits: low word, high word
 *     Y       words, as above; in the end, blocks
 */
export const STAGE_STRIDE: u32 = 16 * GHASH_BLOCKS;
const SUMS: usize = PRODUCTS * STAGE_STRIDE;
const Y: usize = SUMS + 32 * PRODUCTS;
/** Bytes of scratch, a multiple of 64. */
export const LANES_SCRATCH_SIZE: usize = Y + 64;

/** Stands in LENGTHS for none; no packet is so long. */
const UNEQUAL: u64 = 0xffffffffffffffff;
/** Stands in PREFIX for none. SPI 0 means that there is no SA (RFC 4303 §2.1). */
export const NO_PREFIX: u64 = 0;
/** A bit for each product. */
export const ALL_PRODUCTS: u32 = (1 << PRODUCTS) - 1;
/** Those without words 2 and 3 alone. */
const PRODUCTS_OF_W01: u32 = 0x1c7;

/** Builds the tables of one power of H. @param n 1 … GHASH_BLOCKS */
export function expandLanesPower(tables: usize, n: u32, power: v128): void {
  const w0 = bswap<u32>(i32x4.extract_lane(power, 0));
  const w1 = bswap<u32>(i32x4.extract_lane(power, 1));
  const w2 = bswap<u32>(i32x4.extract_lane(power, 2));
  const w3 = bswap<u32>(i32x4.extract_lane(power, 3));
  const table = tables + (n - 1) * POWER_SIZE;
  expandWord(table, 0, w0);
  expandWord(table, 1, w1);
  expandWord(table, 2, w0 ^ w1);
  expandWord(table, 3, w2);
  expandWord(table, 4, w3);
  expandWord(table, 5, w2 ^ w3);
  expandWord(table, 6, w0 ^ w2);
  expandWord(table, 7, w1 ^ w3);
  expandWord(table, 8, w0 ^ w1 ^ w2 ^ w3);
}

/** @param word its most significant bit stands for x^0 */
function expandWord(table: usize, k: u32, word: u32): void {
  const w = <u64>word << 32;
  nibbleTables(
    table + k * PRODUCT_SIZE, 5,
    shiftedWord(w, 0), shiftedWord(w, 1), shiftedWord(w, 2), shiftedWord(w, 3),
    shiftedWord(w, 4), shiftedWord(w, 5), shiftedWord(w, 6), shiftedWord(w, 7),
  );
}

@inline
function shiftedWord(w: u64, n: u64): v128 {
  return i64x2.splat(bswap<u64>(w >> n));
}

/** Blocks that a packet's message has: AAD, ciphertext, lengths. */
@inline
export function messageBlocks(packet: usize): u32 {
  return ((load<u32>(packet, PACKET_AAD_LENGTH) + 15) >> 4) + ((load<u32>(packet, PACKET_LENGTH) + 15) >> 4) + 1;
}

/** Begins with new tables. */
@inline
export function startLanes(tables: usize): void {
  store<u64>(tables, UNEQUAL, LENGTHS);
}

/** @returns lengths of AAD and payload, if they are those of all four packets */
@inline
function commonLengths(a: usize, b: usize, c: usize, d: usize): u64 {
  const lengths = lengthsAt(a);
  return lengths == lengthsAt(b) && lengths == lengthsAt(c) && lengths == lengthsAt(d) ? lengths : UNEQUAL;
}

@inline
function lengthsAt(packet: usize): u64 {
  return (<u64>load<u32>(packet, PACKET_AAD_LENGTH) << 32) | load<u32>(packet, PACKET_LENGTH);
}

/**
 * Has ENDS of messages as long as this packet's, of n blocks: made once for all that have these lengths.
 * @param prefix the first eight bytes of their AAD, or NO_PREFIX
 */
@inline
export function knowEnds(packet: usize, prefix: u64, n: u32, tables: usize, scratch: usize): void {
  const ownTables = tables + GHASH_TABLES_SIZE;
  if (lengthsAt(packet) == load<u64>(ownTables, LENGTHS) && prefix == load<u64>(ownTables, PREFIX)) return;
  multiplyEnds(packet, prefix, n, tables, scratch);
}

function multiplyEnds(packet: usize, prefix: u64, n: u32, tables: usize, scratch: usize): void {
  const ownTables = tables + GHASH_TABLES_SIZE;
  let ends = timesPower(tables, 1, scratch, lengthsOf(packet));
  if (prefix != NO_PREFIX) {
    const block = i64x2.replace_lane(i64x2.splat(0), 0, prefix);
    ends = v128.xor(ends, timesPower(tables, n, scratch, block));
  }
  v128.store(ownTables, i32x4.splat(i32x4.extract_lane(ends, 0)), ENDS);
  v128.store(ownTables, i32x4.splat(i32x4.extract_lane(ends, 1)), ENDS + 16);
  v128.store(ownTables, i32x4.splat(i32x4.extract_lane(ends, 2)), ENDS + 32);
  v128.store(ownTables, i32x4.splat(i32x4.extract_lane(ends, 3)), ENDS + 48);
  store<u64>(ownTables, lengthsAt(packet), LENGTHS);
  store<u64>(ownTables, prefix, PREFIX);
}

/**
 * GHASH of the AAD, payload and lengths of four packets.
 * @param packets array of their addresses
 * @param tables those of ghash.ts, and the ones above behind them
 * @returns the address of four hashes, 16 bytes each
 */
export function hashLanes(packets: usize, tables: usize, scratch: usize): usize {
  const ownTables = tables + GHASH_TABLES_SIZE;
  const a: usize = load<u32>(packets);
  const b: usize = load<u32>(packets, 4);
  const c: usize = load<u32>(packets, 8);
  const d: usize = load<u32>(packets, 12);
  // Blocks `most` … `least` are whole blocks of payload in all four.
  const most = min(min(payloadBlocks(a), payloadBlocks(b)), min(payloadBlocks(c), payloadBlocks(d))) + 1;
  const least: u32 = (load<u32>(a, PACKET_LENGTH) | load<u32>(b, PACKET_LENGTH) | load<u32>(c, PACKET_LENGTH) | load<u32>(d, PACKET_LENGTH)) & 15 ? 3 : 2;
  const endA = payloadEnd(a);
  const endB = payloadEnd(b);
  const endC = payloadEnd(c);
  const endD = payloadEnd(d);
  const lengths = commonLengths(a, b, c, d);
  if (lengths != UNEQUAL) knowEnds(a, NO_PREFIX, 0, tables, scratch);
  /** Blocks at the end that need no work. */
  const known: u32 = lengths != UNEQUAL ? 1 : 0;
  clearY(scratch);
  let n = max(max(messageBlocks(a), messageBlocks(b)), max(messageBlocks(c), messageBlocks(d)));
  /** Are the first blocks the AADs? */
  let begins = lengths != UNEQUAL && n == most + 1;
  while (n > known) {
    const powers = ((n - 1) % GHASH_BLOCKS) + 1;
    let power = powers;
    /** Products that have the highest power: an AAD of 8 bytes has no words 2 and 3. */
    let products = ALL_PRODUCTS;
    if (begins) {
      begins = false;
      if (load<u32>(a, PACKET_AAD_LENGTH) <= 8 && powers > 2) products = PRODUCTS_OF_W01;
      stage(scratch, power--, false, aadOf(a), aadOf(b), aadOf(c), aadOf(d));
      n--;
    }
    for (; power > 0 && n > most; power--, n--) stageAny(scratch, power, power == powers, packets, n);
    for (; power > 0 && n >= least; power--, n--) {
      const at = <usize>n << 4;
      stage(
        scratch, power, power == powers,
        v128.load(endA - at), v128.load(endB - at), v128.load(endC - at), v128.load(endD - at),
      );
    }
    for (; power > 0 && n > known; power--, n--) stageAny(scratch, power, power == powers, packets, n);
    sumAll(scratch, ownTables, power, powers, products);
    reduce(scratch);
  }
  return storeHashes(scratch, tables, known != 0);
}

/** Y's words to blocks, ENDS added if they are known. @returns their address */
@inline
export function storeHashes(scratch: usize, tables: usize, known: bool): usize {
  const ends = tables + GHASH_TABLES_SIZE + ENDS;
  const y = scratch + Y;
  let w0 = v128.load(y);
  let w1 = v128.load(y, 16);
  let w2 = v128.load(y, 32);
  let w3 = v128.load(y, 48);
  if (known) {
    w0 = v128.xor(w0, v128.load(ends));
    w1 = v128.xor(w1, v128.load(ends, 16));
    w2 = v128.xor(w2, v128.load(ends, 32));
    w3 = v128.xor(w3, v128.load(ends, 48));
  }
  storeTransposed(y, 16, w0, w1, w2, w3);
  return y;
}

@inline
function clearY(scratch: usize): void {
  const zero = i64x2.splat(0);
  v128.store(scratch, zero, Y);
  v128.store(scratch, zero, Y + 16);
  v128.store(scratch, zero, Y + 32);
  v128.store(scratch, zero, Y + 48);
}

/** An AAD of one block. */
@inline
function aadOf(packet: usize): v128 {
  return loadPartial(load<u32>(packet, PACKET_AAD), load<u32>(packet, PACKET_AAD_LENGTH));
}

/** Σ of the products with powers `from` + 1 to `to` of H, at least one, for all k; `to` itself for those that are in `products`. */
@inline
export function sumAll(scratch: usize, tables: usize, from: u32, to: u32, products: u32): void {
  const words = scratch + (from << 4);
  const table = tables + from * POWER_SIZE;
  for (let k: usize = 0; k < PRODUCTS; k++) {
    const powers = to - from - 1 + ((products >> <u32>k) & 1);
    sumProducts(words + k * <usize>STAGE_STRIDE, table + k * PRODUCT_SIZE, powers, scratch + SUMS + (k << 5));
  }
}

@inline
function payloadBlocks(packet: usize): u32 {
  return (load<u32>(packet, PACKET_LENGTH) + 15) >> 4;
}

/** Where the payload's blocks end, and one more: block n lies 16·n before. */
@inline
function payloadEnd(packet: usize): usize {
  return load<u32>(packet, PACKET_PAYLOAD) + ((payloadBlocks(packet) + 1) << 4);
}

/** Blocks n of four packets, whatever they are. */
function stageAny(scratch: usize, power: u32, first: bool, packets: usize, n: u32): void {
  const a: usize = load<u32>(packets);
  const b: usize = load<u32>(packets, 4);
  const c: usize = load<u32>(packets, 8);
  const d: usize = load<u32>(packets, 12);
  if (n == 1) stage(scratch, power, first, lengthsOf(a), lengthsOf(b), lengthsOf(c), lengthsOf(d));
  else stage(scratch, power, first, blockOf(a, n), blockOf(b, n), blockOf(c, n), blockOf(d, n));
}

@inline
export function lengthsOf(packet: usize): v128 {
  return bitLengths(load<u32>(packet, PACKET_AAD_LENGTH), load<u32>(packet, PACKET_LENGTH));
}

/** Block n of a packet's AAD or payload, zero-padded; or what comes before. */
function blockOf(packet: usize, n: u32): v128 {
  let at: usize = load<u32>(packet, PACKET_PAYLOAD);
  let length = load<u32>(packet, PACKET_LENGTH);
  let from = (((length + 15) >> 4) + 1 - n) << 4;
  if (<i32>from < 0) {
    at = load<u32>(packet, PACKET_AAD);
    length = load<u32>(packet, PACKET_AAD_LENGTH);
    from += (length + 15) & ~15;
    if (<i32>from < 0) return i64x2.splat(0);
  }
  return loadPartial(at + from, min(length - from, 16));
}

/** Blocks to words and their sums; the first ones after a reduction take Y in. */
@inline
export function stage(scratch: usize, power: u32, first: bool, a: v128, b: v128, c: v128, d: v128): void {
  const abLow = i32x4.shuffle(a, b, 0, 4, 1, 5);
  const cdLow = i32x4.shuffle(c, d, 0, 4, 1, 5);
  const abHigh = i32x4.shuffle(a, b, 2, 6, 3, 7);
  const cdHigh = i32x4.shuffle(c, d, 2, 6, 3, 7);
  let w0 = i64x2.shuffle(abLow, cdLow, 0, 2);
  let w1 = i64x2.shuffle(abLow, cdLow, 1, 3);
  let w2 = i64x2.shuffle(abHigh, cdHigh, 0, 2);
  let w3 = i64x2.shuffle(abHigh, cdHigh, 1, 3);
  if (first) {
    w0 = v128.xor(w0, v128.load(scratch, Y));
    w1 = v128.xor(w1, v128.load(scratch, Y + 16));
    w2 = v128.xor(w2, v128.load(scratch, Y + 32));
    w3 = v128.xor(w3, v128.load(scratch, Y + 48));
  }
  const to = scratch + ((power - 1) << 4);
  const w02 = v128.xor(w0, w2);
  const w13 = v128.xor(w1, w3);
  v128.store(to, w0);
  v128.store(to, w1, STAGE_STRIDE);
  v128.store(to, v128.xor(w0, w1), 2 * STAGE_STRIDE);
  v128.store(to, w2, 3 * STAGE_STRIDE);
  v128.store(to, w3, 4 * STAGE_STRIDE);
  v128.store(to, v128.xor(w2, w3), 5 * STAGE_STRIDE);
  v128.store(to, w02, 6 * STAGE_STRIDE);
  v128.store(to, w13, 7 * STAGE_STRIDE);
  v128.store(to, v128.xor(w02, w13), 8 * STAGE_STRIDE);
}

@inline
function low(scratch: usize, k: usize): v128 {
  return v128.load(scratch + (k << 5), SUMS);
}

@inline
function high(scratch: usize, k: usize): v128 {
  return v128.load(scratch + (k << 5), SUMS + 16);
}

/**
 * Nine sums of products to one of eight words p0 … p7, and that modulo x^128 + x^7 + x² + x + 1 into Y.
 *
 *     half l = 0, 3, 6:  | low l | high l + m | m' + low l+1 | high l+1 |    m, m' = sums l + (l+1) + (l+2)
 *
 *     p0 … p7:           | half 0                  | half 3             |
 *                                    | half 0 + half 3 + half 6 |
 */
export function reduce(scratch: usize): void {
  const a0 = low(scratch, 0);
  const a3 = high(scratch, 1);
  const am = v128.xor(a0, low(scratch, 1));
  const an = v128.xor(a3, high(scratch, 0));
  const a1 = v128.xor(high(scratch, 0), v128.xor(am, low(scratch, 2)));
  const a2 = v128.xor(low(scratch, 1), v128.xor(an, high(scratch, 2)));
  const b0 = low(scratch, 3);
  const b3 = high(scratch, 4);
  const bm = v128.xor(b0, low(scratch, 4));
  const bn = v128.xor(b3, high(scratch, 3));
  const b1 = v128.xor(high(scratch, 3), v128.xor(bm, low(scratch, 5)));
  const b2 = v128.xor(low(scratch, 4), v128.xor(bn, high(scratch, 5)));
  const c0 = low(scratch, 6);
  const c3 = high(scratch, 7);
  const cm = v128.xor(c0, low(scratch, 7));
  const cn = v128.xor(c3, high(scratch, 6));
  const c1 = v128.xor(high(scratch, 6), v128.xor(cm, low(scratch, 8)));
  const c2 = v128.xor(low(scratch, 7), v128.xor(cn, high(scratch, 8)));
  const ab2 = v128.xor(a2, b0);
  const ab3 = v128.xor(a3, b1);
  const p2 = v128.xor(ab2, v128.xor(a0, c0));
  const p3 = v128.xor(ab3, v128.xor(a1, c1));
  const p4 = bigEndian(v128.xor(ab2, v128.xor(b2, c2)));
  const p5 = bigEndian(v128.xor(ab3, v128.xor(b3, c3)));
  const p6 = bigEndian(b2);
  const p7 = bigEndian(b3);
  // What x^7 shifts out of p7 is at x^128 again: it joins p4 first.
  const top = v128.xor(p4, carries(p7));
  const y = scratch + Y;
  v128.store(y, v128.xor(a0, bigEndian(multiples(top))));
  v128.store(y, v128.xor(a1, bigEndian(v128.xor(multiples(p5), carries(top)))), 16);
  v128.store(y, v128.xor(p2, bigEndian(v128.xor(multiples(p6), carries(p5)))), 32);
  v128.store(y, v128.xor(p3, bigEndian(v128.xor(multiples(p7), carries(p6)))), 48);
}

/** p·(1 + x + x² + x^7), what stays in the word. */
@inline
function multiples(p: v128): v128 {
  return v128.xor(v128.xor(p, i32x4.shr_u(p, 1)), v128.xor(i32x4.shr_u(p, 2), i32x4.shr_u(p, 7)));
}

/** What goes to the next word. */
@inline
function carries(p: v128): v128 {
  return v128.xor(v128.xor(i32x4.shl(p, 31), i32x4.shl(p, 30)), i32x4.shl(p, 25));
}

/** Between words whose first byte in memory is the least significant and those where it is the most. */
@inline
function bigEndian(x: v128): v128 {
  return i8x16.shuffle(x, x, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
}
