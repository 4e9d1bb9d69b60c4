/**
 * The AES key schedule and the cipher on one block, both constant time.
 *
 *      0        16        32               16·rounds
 *     +---------+---------+--------- ··· -+---------+
 *     | round 0 | round 1 |               | last    |   240 bytes at most (AES-256)
 *     +---------+---------+--------- ··· -+---------+
 */
import { KEY_KEY, KEY_KEY_LENGTH } from "../layout";
import { subBytes } from "./aes-sbox";

/** Bytes of a schedule, a multiple of 64. */
export const ROUND_KEYS_SIZE: u32 = 256;

/** FIPS 197 §5: 10, 12 or 14 rounds. */
@inline
export function roundsOf(keyLength: u32): i32 {
  return (keyLength >> 2) + 6;
}

/** FIPS 197 §5.2: expands the KEY block's raw key into the schedule at `roundKeys`. */
export function expandKey(key: usize, roundKeys: usize): void {
  const length = load<u32>(key, KEY_KEY_LENGTH);
  const words = length >> 2;
  const end = roundKeys + ((roundsOf(length) + 1) << 4);
  memory.copy(roundKeys, key + KEY_KEY, length);
  let constant: u32 = 1;
  let position: u32 = 0;
  for (let at = roundKeys + length; at < end; at += 4) {
    let word = load<u32>(at - 4);
    if (position == 0) {
      word = subWord(rotr<u32>(word, 8)) ^ constant;
      constant = (constant << 1) ^ ((constant >> 7) * 0x11b);
    } else if (position == 4 && words == 8) {
      word = subWord(word);
    }
    store<u32>(at, load<u32>(at - length) ^ word);
    if (++position == words) position = 0;
  }
}

@inline
function subWord(word: u32): u32 {
  return i32x4.extract_lane(subBytes(i32x4.splat(word)), 0);
}

/** FIPS 197 §5.1 for one block; for set-up and odd blocks, not for bulk. */
export function encryptBlock(roundKeys: usize, rounds: i32, block: v128): v128 {
  const last = roundKeys + (rounds << 4);
  let state = v128.xor(block, v128.load(roundKeys));
  for (let at = roundKeys + 16; at < last; at += 16) {
    state = v128.xor(mixColumns(shiftRows(subBytes(state))), v128.load(at));
  }
  return v128.xor(shiftRows(subBytes(state)), v128.load(last));
}

@inline
function shiftRows(x: v128): v128 {
  return i8x16.shuffle(x, x, 0, 5, 10, 15, 4, 9, 14, 3, 8, 13, 2, 7, 12, 1, 6, 11);
}

/** FIPS 197 §5.1.3: with t the sum of a column, out_q = x_q + t + 2(x_q + x_{q+1}). */
@inline
function mixColumns(x: v128): v128 {
  const pairs = v128.xor(x, rotateColumns(x));
  const sums = v128.xor(pairs, i8x16.shuffle(pairs, pairs, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  return v128.xor(v128.xor(x, sums), double(pairs));
}

@inline
function rotateColumns(x: v128): v128 {
  return i8x16.shuffle(x, x, 1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12);
}

@inline
function double(x: v128): v128 {
  return v128.xor(i8x16.add(x, x), v128.and(i8x16.shr_s(x, 7), i8x16.splat(0x1b)));
}
