/**
 * ChaCha20 (RFC 8439 §2.3): four blocks side by side, one per i32x4 lane, of one packet or of four.
 *
 *     vector i = word i of blocks  0, 1, 2, 3          (16 vectors; rounds need no shuffles)
 *
 * Such a SET of four blocks leaves a processor waiting for results, so several go through each round
 * one after the other (scripts/generate-chacha-rounds.mjs has the rounds). A START is what the blocks
 * are before the rounds, in the same order; SETs of consecutive blocks share one, of which only word
 * 12, the counter, moves on.
 *
 *     START ─► first round ─► SETs ─► chachaRounds ─► SETs + START ─► transposed ─► packet, or keystream
 */
import { KEY_KEY, KEY_SALT } from "../layout";
import { chachaRounds } from "./chacha20-rounds.gen";
import { scatterTransposed, storeTransposed } from "./lanes";

/** Bytes of a SET, of a START, and of the keystream of either. */
export const CHACHA_SET_SIZE: u32 = 256;
const COUNTER: usize = 12 * 16;

/** What rotates each word left by 16 and by 8, as indices of bytes. */
export const BYTES_16: usize = memory.data<u8>([2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13], 16);
export const BYTES_8: usize = memory.data<u8>([3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14], 16);

/**
 * Rotations by whole bytes are one look-up. V8 builds a shuffle's constant anew each time, while a
 * relaxed swizzle takes it from a register; the plain swizzle would check indices, which costs more.
 */
@inline
export function rotate16(x: v128, bytes: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i8x16.relaxed_swizzle(x, bytes);
  return i8x16.shuffle(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
}

@inline
export function rotate8(x: v128, bytes: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i8x16.relaxed_swizzle(x, bytes);
  return i8x16.shuffle(x, x, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14);
}

@inline
export function rotate(x: v128, bits: i32): v128 {
  return v128.or(i32x4.shl(x, bits), i32x4.shr_u(x, 32 - bits));
}

// ─── Before the rounds ────────────────────────────────────────────────────────────────────────

/**
 * Starts SETs for consecutive blocks of one nonce, from block `counter` on.
 * @param key 32 bytes
 * @param salt the nonce's first word (RFC 7634 §2), iv its other two
 */
export function startBlocks(sets: usize, count: i32, start: usize, key: usize, salt: u32, iv: u64, counter: u32): void {
  startConstants(start);
  for (let word: usize = 0; word < 8; word++) {
    v128.store(start + 64 + (word << 4), v128.load32_splat(key + (word << 2)));
  }
  let counters = i32x4.add(i32x4.splat(counter), i32x4(0, 1, 2, 3));
  v128.store(start, counters, COUNTER);
  v128.store(start, i32x4.splat(salt), COUNTER + 16);
  v128.store(start, i32x4.splat(<u32>iv), COUNTER + 32);
  v128.store(start, i32x4.splat(<u32>(iv >> 32)), COUNTER + 48);
  // The counter is in the first column: the others' quarter rounds are the same in all SETs.
  for (let column: usize = 16; column < 64; column += 16) {
    firstQuarterRound(sets + column, start + column, v128.load(start + column, COUNTER));
  }
  firstQuarterRound(sets, start, counters);
  const end = sets + count * CHACHA_SET_SIZE;
  for (let set = sets + CHACHA_SET_SIZE; set < end; set += CHACHA_SET_SIZE) {
    counters = i32x4.add(counters, i32x4.splat(4));
    firstQuarterRound(set, start, counters);
    for (let row: usize = 0; row < CHACHA_SET_SIZE; row += 64) {
      v128.store(set + row, v128.load(sets + row, 16), 16);
      v128.store(set + row, v128.load(sets + row, 32), 32);
      v128.store(set + row, v128.load(sets + row, 48), 48);
    }
  }
}

/**
 * Starts a SET for four blocks of any packets.
 * @param lanes four times u32 address of the KEY, u32 counter, u64 IV
 */
export function startLanes(set: usize, start: usize, lanes: usize): void {
  const a: usize = load<u32>(lanes);
  const b: usize = load<u32>(lanes, 16);
  const c: usize = load<u32>(lanes, 32);
  const d: usize = load<u32>(lanes, 48);
  startConstants(start);
  storeTransposed(
    start + 64, 16, v128.load(a, KEY_KEY), v128.load(b, KEY_KEY), v128.load(c, KEY_KEY), v128.load(d, KEY_KEY),
  );
  storeTransposed(
    start + 128, 16,
    v128.load(a, KEY_KEY + 16), v128.load(b, KEY_KEY + 16), v128.load(c, KEY_KEY + 16), v128.load(d, KEY_KEY + 16),
  );
  storeTransposed(
    start + 192, 16, nonceRow(lanes, a), nonceRow(lanes + 16, b), nonceRow(lanes + 32, c), nonceRow(lanes + 48, d),
  );
  for (let column: usize = 0; column < 64; column += 16) {
    firstQuarterRound(set + column, start + column, v128.load(start + column, COUNTER));
  }
}

/** Counter, salt, IV: the last row of a block's state. */
@inline
function nonceRow(lane: usize, key: usize): v128 {
  const counter = v128.load32_zero(lane + 4);
  return v128.load64_lane(lane + 8, v128.load32_lane(key + KEY_SALT, counter, 1), 1);
}

@inline
function startConstants(start: usize): void {
  v128.store(start, i32x4.splat(0x61707865));
  v128.store(start, i32x4.splat(0x3320646e), 16);
  v128.store(start, i32x4.splat(0x79622d32), 32);
  v128.store(start, i32x4.splat(0x6b206574), 48);
}

/** A column's quarter round in the first round, from START, but for its last word, into a SET. */
@inline
function firstQuarterRound(set: usize, start: usize, last: v128): void {
  const bytes16 = v128.load(BYTES_16);
  const bytes8 = v128.load(BYTES_8);
  let b = v128.load(start, 64);
  let a = i32x4.add(v128.load(start), b);
  let d = rotate16(v128.xor(last, a), bytes16);
  let c = i32x4.add(v128.load(start, 128), d);
  b = rotate(v128.xor(b, c), 12);
  a = i32x4.add(a, b);
  d = rotate8(v128.xor(d, a), bytes8);
  c = i32x4.add(c, d);
  b = rotate(v128.xor(b, c), 7);
  v128.store(set, a);
  v128.store(set, b, 64);
  v128.store(set, c, 128);
  v128.store(set, d, 192);
}

// ─── After the rounds ─────────────────────────────────────────────────────────────────────────

/** XORs a SET's keystream to the 256 bytes at `at`, and moves START on to the next four blocks. */
export function xorSet(set: usize, start: usize, at: usize): void {
  for (let row: usize = 0; row < CHACHA_SET_SIZE; row += 64, at += 16) {
    const a = i32x4.add(v128.load(set + row), v128.load(start + row));
    const b = i32x4.add(v128.load(set + row, 16), v128.load(start + row, 16));
    const c = i32x4.add(v128.load(set + row, 32), v128.load(start + row, 32));
    const d = i32x4.add(v128.load(set + row, 48), v128.load(start + row, 48));
    const abLow = i32x4.shuffle(a, b, 0, 4, 1, 5);
    const cdLow = i32x4.shuffle(c, d, 0, 4, 1, 5);
    const abHigh = i32x4.shuffle(a, b, 2, 6, 3, 7);
    const cdHigh = i32x4.shuffle(c, d, 2, 6, 3, 7);
    v128.store(at, v128.xor(v128.load(at), i64x2.shuffle(abLow, cdLow, 0, 2)));
    v128.store(at, v128.xor(v128.load(at, 64), i64x2.shuffle(abLow, cdLow, 1, 3)), 64);
    v128.store(at, v128.xor(v128.load(at, 128), i64x2.shuffle(abHigh, cdHigh, 0, 2)), 128);
    v128.store(at, v128.xor(v128.load(at, 192), i64x2.shuffle(abHigh, cdHigh, 1, 3)), 192);
  }
  v128.store(start, i32x4.add(v128.load(start, COUNTER), i32x4.splat(4)), COUNTER);
}

/**
 * Writes a SET's keystream block by block.
 * @param targets four times u32: where each block goes
 */
export function storeLanes(set: usize, start: usize, targets: usize): void {
  const to0: usize = load<u32>(targets);
  const to1: usize = load<u32>(targets, 4);
  const to2: usize = load<u32>(targets, 8);
  const to3: usize = load<u32>(targets, 12);
  for (let row: usize = 0, at: usize = 0; row < CHACHA_SET_SIZE; row += 64, at += 16) {
    scatterTransposed(
      to0 + at, to1 + at, to2 + at, to3 + at,
      i32x4.add(v128.load(set + row), v128.load(start + row)),
      i32x4.add(v128.load(set + row, 16), v128.load(start + row, 16)),
      i32x4.add(v128.load(set + row, 32), v128.load(start + row, 32)),
      i32x4.add(v128.load(set + row, 48), v128.load(start + row, 48)),
    );
  }
}

/** Writes the 256 bytes of keystream from block 0 of a nonce on. @param scratch 1 KiB, wiped afterwards */
export function chachaKeystream(out: usize, key: usize, iv: u64, scratch: usize): void {
  const start = scratch + CHACHA_SET_SIZE;
  // A POLY of zeros: nothing is pending.
  memory.fill(scratch, 0, 1024);
  startBlocks(scratch, 1, start, key, 0, iv, 0);
  chachaRounds(scratch, 1, start + CHACHA_SET_SIZE);
  memory.fill(out, 0, CHACHA_SET_SIZE);
  xorSet(scratch, start, out);
  memory.fill(scratch, 0, 1024);
}
