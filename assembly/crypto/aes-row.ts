/**
 * AES on one block, a byte per lane, for chains too few to fill the lanes of aes-lanes.ts.
 *
 * The same look-ups as there, D = 2·S and T = 3·S. ShiftRows and MixColumns' rotation by k rows
 * become one shuffle: byte q of column c comes from row p = q + k of column c + p (all mod 4).
 */
import { ladderOutput, lookUp, toTower } from "./aes-sbox";
import {
  DOUBLE_T,
  DOUBLE_U,
  INVERSES,
  NIBBLE_MASK,
  QUOTIENTS,
  SBOX_T,
  SBOX_U,
  TRIPLE_T,
  TRIPLE_U,
} from "./aes-tables.gen";

/** Bytes of row keys, at most: 15 rounds. */
export const ROW_KEYS_SIZE: usize = 256;

/** Sliced keys (aes-lanes.ts) back to one vector a round. */
export function rowKeys(sliced: usize, rounds: i32, rows: usize): void {
  const end = rows + (<usize>(rounds + 1) << 4);
  for (let at = rows; at < end; at++, sliced += 16) store<u8>(at, load<u8>(sliced));
}

/** Encrypts a block under row keys. */
@inline
export function encryptRow(rows: usize, rounds: i32, block: v128): v128 {
  const mask = v128.load(NIBBLE_MASK);
  const inverses = v128.load(INVERSES);
  const quotients = v128.load(QUOTIENTS);
  const last = rows + (<usize>rounds << 4);
  let x = v128.xor(toTower(block), v128.load(rows));
  let key = rows;
  while (true) {
    key += 16;
    const k = v128.and(x, mask);
    const i = v128.and(i16x8.shr_u(x, 4), mask);
    const j = v128.xor(i, k);
    const ak = lookUp(quotients, k);
    const io = ladderOutput(inverses, i, j, ak);
    const jo = ladderOutput(inverses, j, i, ak);
    if (key == last) {
      x = v128.xor(lookUp(v128.load(SBOX_U), io), lookUp(v128.load(SBOX_T), jo));
      break;
    }
    const d = v128.xor(lookUp(v128.load(DOUBLE_U), io), lookUp(v128.load(DOUBLE_T), jo));
    const t = v128.xor(lookUp(v128.load(TRIPLE_U), io), lookUp(v128.load(TRIPLE_T), jo));
    const s = v128.xor(d, t);
    const near = v128.xor(v128.xor(shifted0(d), v128.load(key)), shifted1(t));
    x = v128.xor(near, v128.xor(shifted2(s), shifted3(s)));
  }
  return v128.xor(shifted0(x), v128.load(last));
}

@inline
function shifted0(x: v128): v128 {
  return i8x16.shuffle(x, x, 0, 5, 10, 15, 4, 9, 14, 3, 8, 13, 2, 7, 12, 1, 6, 11);
}

@inline
function shifted1(x: v128): v128 {
  return i8x16.shuffle(x, x, 5, 10, 15, 0, 9, 14, 3, 4, 13, 2, 7, 8, 1, 6, 11, 12);
}

@inline
function shifted2(x: v128): v128 {
  return i8x16.shuffle(x, x, 10, 15, 0, 5, 14, 3, 4, 9, 2, 7, 8, 13, 6, 11, 12, 1);
}

@inline
function shifted3(x: v128): v128 {
  return i8x16.shuffle(x, x, 15, 0, 5, 10, 3, 4, 9, 14, 7, 8, 13, 2, 11, 12, 1, 6);
}
