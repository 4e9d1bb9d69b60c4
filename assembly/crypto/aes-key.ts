/**
 * The AES key schedule, in constant time.
 *
 *      0        16        32               16·rounds
 *     +---------+---------+--------- ··· -+---------+
 *     | round 0 | round 1 |               | last    |   240 bytes at most (AES-256)
 *     +---------+---------+--------- ··· -+---------+
 */
import { subBytes } from "./aes-sbox";

/** FIPS 197 §5: 10, 12 or 14 rounds. */
@inline
export function roundsOf(keyLength: u32): i32 {
  return (keyLength >> 2) + 6;
}

/** FIPS 197 §5.2: expands `length` bytes of key at `key` into the schedule at `roundKeys`. */
export function expandKey(key: usize, length: u32, roundKeys: usize): void {
  const words = length >> 2;
  const end = roundKeys + ((roundsOf(length) + 1) << 4);
  memory.copy(roundKeys, key, length);
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

/** FIPS 197 §5.3.3 for a round key: MixColumns of x_q + 4(x_q + x_{q+2}). */
export function inverseMixColumns(x: v128): v128 {
  const opposite = i8x16.shuffle(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  return mixColumns(v128.xor(x, double(double(v128.xor(x, opposite)))));
}

/** FIPS 197 §5.1.3: with t the sum of a column, out_q = x_q + t + 2(x_q + x_{q+1}). */
@inline
function mixColumns(x: v128): v128 {
  const next = i8x16.shuffle(x, x, 1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12);
  const pairs = v128.xor(x, next);
  const sums = v128.xor(pairs, i8x16.shuffle(pairs, pairs, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  return v128.xor(v128.xor(x, sums), double(pairs));
}

@inline
function double(x: v128): v128 {
  return v128.xor(i8x16.add(x, x), v128.and(i8x16.shr_s(x, 7), i8x16.splat(0x1b)));
}
