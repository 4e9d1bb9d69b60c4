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
