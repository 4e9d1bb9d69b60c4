/**
 * AES's inverse cipher (FIPS 197 §5.3) on sixteen blocks at once: aes-lanes.ts, mirrored.
 *
 * Its rounds are those of the equivalent inverse cipher (§5.3.5): InvSubBytes, InvShiftRows,
 * InvMixColumns, and a round key that InvMixColumns has been applied to. InvSubBytes first undoes the
 * S-box's affine part, which is linear but for a constant, so between rounds a byte x is
 * tower(A⁻¹(x + 0x63)); A⁻¹ is part of the output tables and 0x63 of the round keys. Each byte is looked
 * up times 14, 11, 13 and 9, and a column's byte q is (indices mod 4)
 *
 *     14·s_q + 11·s_{q+1} + 13·s_{q+2} + 9·s_{q+3}
 *
 * SET: state and the four multiples, sixteen vectors each.
 *
 *      0        256      512      768      1024     1280
 *     +--------+--------+--------+--------+--------+
 *     | state  | ·14    | ·11    | ·13    | ·9     |
 *     +--------+--------+--------+--------+--------+
 *
 * Sliced keys: as for encryption, in the order in which decryption wants them.
 */
import { expandKey, inverseMixColumns, roundsOf } from "./aes-key";
import { SLICED_SIZE, sliceKey, substituteLast } from "./aes-lanes";
import { highNibbles, ladderOutput, lookUp, lowNibbles, toInverseTower } from "./aes-sbox";
import {
  AFFINE_INVERSE,
  INVERSE_9_T,
  INVERSE_9_U,
  INVERSE_11_T,
  INVERSE_11_U,
  INVERSE_13_T,
  INVERSE_13_U,
  INVERSE_14_T,
  INVERSE_14_U,
  INVERSE_T,
  INVERSE_U,
  INVERSES,
  QUOTIENTS,
} from "./aes-tables.gen";

export const INVERSE_SET_SIZE: u32 = 1280;

/** Expands `keyLength` bytes of key at `key` and slices it for decryption into `keys`. */
export function sliceInverseKeys(key: usize, keyLength: u32, keys: usize, scratch: usize): void {
  const rounds = roundsOf(keyLength);
  expandKey(key, keyLength, scratch);
  const constant = v128.load(AFFINE_INVERSE);
  for (let round = rounds; round >= 0; round--, keys += SLICED_SIZE) {
    let row = v128.load(scratch + (round << 4));
    if (round != 0 && round != rounds) row = inverseMixColumns(row);
    sliceKey(keys, round == 0 ? row : v128.xor(toInverseTower(row), constant));
  }
  memory.fill(scratch, 0, <usize>(rounds + 1) << 4);
}

/** Decrypts SETs of sliced bytes; leaves sixteen blocks at the start of each. */
export function decryptSets(state: usize, sets: i32, keys: usize, rounds: i32): void {
  const end = state + sets * INVERSE_SET_SIZE;
  for (let set = state; set < end; set += INVERSE_SET_SIZE) {
    for (let at: usize = 0; at < SLICED_SIZE; at += 16) {
      v128.store(set + at, v128.xor(toInverseTower(v128.load(set + at)), v128.load(keys + at)));
    }
  }
  for (let round = 1; round < rounds; round++) {
    keys += SLICED_SIZE;
    for (let set = state; set < end; set += INVERSE_SET_SIZE) {
      inverseSubBytes(set);
      inverseMix(set, keys);
    }
  }
  substituteLast(state, sets, INVERSE_SET_SIZE, keys + SLICED_SIZE, INVERSE_U, INVERSE_T, 3);
}

@inline
function inverseSubBytes(set: usize): void {
  const inverses = v128.load(INVERSES);
  const quotients = v128.load(QUOTIENTS);
  for (let at = set; at < set + SLICED_SIZE; at += 16) {
    const x = v128.load(at);
    const k = lowNibbles(x);
    const i = highNibbles(x);
    const j = v128.xor(i, k);
    const ak = lookUp(quotients, k);
    const io = ladderOutput(inverses, i, j, ak);
    const jo = ladderOutput(inverses, j, i, ak);
    v128.store(at, v128.xor(lookUp(v128.load(INVERSE_14_U), io), lookUp(v128.load(INVERSE_14_T), jo)), 256);
    v128.store(at, v128.xor(lookUp(v128.load(INVERSE_11_U), io), lookUp(v128.load(INVERSE_11_T), jo)), 512);
    v128.store(at, v128.xor(lookUp(v128.load(INVERSE_13_U), io), lookUp(v128.load(INVERSE_13_T), jo)), 768);
    v128.store(at, v128.xor(lookUp(v128.load(INVERSE_9_U), io), lookUp(v128.load(INVERSE_9_T), jo)), 1024);
  }
}

/** InvShiftRows, InvMixColumns and AddRoundKey. */
@inline
function inverseMix(set: usize, keys: usize): void {
  for (let column: usize = 0; column < 4; column++) {
    const b0 = set + (column << 6);
    const b1 = set + (((column + 3) & 3) << 6) + 16;
    const b2 = set + (((column + 2) & 3) << 6) + 32;
    const b3 = set + (((column + 1) & 3) << 6) + 48;
    const key = keys + (column << 6);
    v128.store(b0, v128.xor(inverseSum(b0, b1, b2, b3), v128.load(key)));
    v128.store(b0, v128.xor(inverseSum(b1, b2, b3, b0), v128.load(key, 16)), 16);
    v128.store(b0, v128.xor(inverseSum(b2, b3, b0, b1), v128.load(key, 32)), 32);
    v128.store(b0, v128.xor(inverseSum(b3, b0, b1, b2), v128.load(key, 48)), 48);
  }
}

@inline
function inverseSum(b0: usize, b1: usize, b2: usize, b3: usize): v128 {
  const left = v128.xor(v128.load(b0, 256), v128.load(b1, 512));
  return v128.xor(left, v128.xor(v128.load(b2, 768), v128.load(b3, 1024)));
}
