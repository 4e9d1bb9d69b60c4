/**
 * ChaCha20 (RFC 8439 §2.3): four blocks side by side, one per i32x4 lane, of one packet or of four.
 *
 *     vector i = word i of blocks  0, 1, 2, 3          (16 vectors; rounds need no shuffles)
 *
 * One SET of four blocks leaves a processor waiting for results, so several go through each round
 * one after the other (scripts/generate-chacha-rounds.mjs has the rounds).
 *
 *  SET:
 *      0        256      512      768
 *     +--------+--------+--------+
 *     | work   | start  | stream |      start: word 0, word 1, … of four blocks before the rounds
 *     +--------+--------+--------+      stream: block 0, block 1, … of keystream
 */
import { KEY_KEY, KEY_SALT } from "../layout";
import { chachaRounds } from "./chacha20-rounds.gen";
import { storeTransposed } from "./lanes";

export const CHACHA_SET_SIZE: u32 = 768;
export const SET_STREAM: usize = 512;
const START: usize = 256;
/** Word 12 of the four blocks, and what is behind it. */
const START_COUNTER: usize = START + 12 * 16;

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

/**
 * Starts SETs for consecutive blocks of one nonce, from block `counter` on.
 * @param key 32 bytes
 * @param salt the nonce's first word (RFC 7634 §2), iv its other two
 */
export function startBlocks(sets: usize, count: i32, key: usize, salt: u32, iv: u64, counter: u32): void {
  for (let i = 0; i < count; i++, sets += CHACHA_SET_SIZE) {
    startConstants(sets);
    for (let word: usize = 0; word < 8; word++) {
      v128.store(sets + START + 64 + (word << 4), v128.load32_splat(key + (word << 2)));
    }
    v128.store(sets, i32x4.add(i32x4.splat(counter + (i << 2)), i32x4(0, 1, 2, 3)), START_COUNTER);
    v128.store(sets, i32x4.splat(salt), START_COUNTER + 16);
    v128.store(sets, i32x4.splat(<u32>iv), START_COUNTER + 32);
    v128.store(sets, i32x4.splat(<u32>(iv >> 32)), START_COUNTER + 48);
  }
}

/**
 * Starts a SET for four blocks of any packets.
 * @param lanes four times u32 address of the KEY, u32 counter, u64 IV
 */
export function startLanes(set: usize, lanes: usize): void {
  const a: usize = load<u32>(lanes);
  const b: usize = load<u32>(lanes, 16);
  const c: usize = load<u32>(lanes, 32);
  const d: usize = load<u32>(lanes, 48);
  const to = set + START;
  startConstants(set);
  storeTransposed(
    to + 64, 16, v128.load(a, KEY_KEY), v128.load(b, KEY_KEY), v128.load(c, KEY_KEY), v128.load(d, KEY_KEY),
  );
  storeTransposed(
    to + 128, 16,
    v128.load(a, KEY_KEY + 16), v128.load(b, KEY_KEY + 16), v128.load(c, KEY_KEY + 16), v128.load(d, KEY_KEY + 16),
  );
  storeTransposed(
    to + 192, 16, nonceRow(lanes, a), nonceRow(lanes + 16, b), nonceRow(lanes + 32, c), nonceRow(lanes + 48, d),
  );
}

/** Counter, salt, IV: the last row of a block's state. */
@inline
function nonceRow(lane: usize, key: usize): v128 {
  const counter = v128.load32_zero(lane + 4);
  return v128.load64_lane(lane + 8, v128.load32_lane(key + KEY_SALT, counter, 1), 1);
}

@inline
function startConstants(set: usize): void {
  v128.store(set, i32x4.splat(0x61707865), START);
  v128.store(set, i32x4.splat(0x3320646e), START + 16);
  v128.store(set, i32x4.splat(0x79622d32), START + 32);
  v128.store(set, i32x4.splat(0x6b206574), START + 48);
}

/**
 * Makes the keystream of `count` SETs.
 * @param poly a POLY, of whose pending blocks up to 20 per SET are absorbed on the way
 */
export function chachaBlocks(sets: usize, count: i32, poly: usize): void {
  const end = sets + count * CHACHA_SET_SIZE;
  for (let set = sets; set < end; set += CHACHA_SET_SIZE) {
    for (let at = set; at < set + START; at += 16) v128.store(at, v128.load(at, START));
  }
  chachaRounds(sets, count, poly);
  for (let set = sets; set < end; set += CHACHA_SET_SIZE) {
    for (let row: usize = 0; row < 4; row++) {
      const from = set + (row << 6);
      storeTransposed(
        set + SET_STREAM + (row << 4), 64,
        i32x4.add(v128.load(from), v128.load(from, START)),
        i32x4.add(v128.load(from, 16), v128.load(from, START + 16)),
        i32x4.add(v128.load(from, 32), v128.load(from, START + 32)),
        i32x4.add(v128.load(from, 48), v128.load(from, START + 48)),
      );
    }
  }
}
