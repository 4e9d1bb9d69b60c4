/**
 * AES on sixteen blocks at once, byte-sliced: one lane per block.
 *
 *               lane 0    lane 1           lane 15
 *              +---------+---------+- ··· -+---------+
 *   vector j   | byte j  | byte j  |       | byte j  |     j = 0 … 15, FIPS 197's byte order:
 *              | block 0 | block 1 |       | block 15|     row j mod 4, column j div 4
 *              +---------+---------+- ··· -+---------+
 *
 * ShiftRows is then a choice of vectors, AddRoundKey an XOR with sixteen copies of a key byte, and
 * MixColumns needs no shuffles. SubBytes looks up D = 2·S and T = 3·S at once (aes-sbox.ts,
 * scripts/generate-aes-tables.mjs), so that a column costs only XORs (indices mod 4):
 *
 *     u_q = T_q + D_{q+1}      t = u_0 + u_1 + u_2 + u_3 = S_0 + S_1 + S_2 + S_3
 *     u_q + t = 2·S_q + 3·S_{q+1} + S_{q+2} + S_{q+3}      which is the sum of the other three u
 *
 * Between rounds bytes are nibble pairs of the tower field; only the last round prints bytes. The
 * S-box's constant 0x63 goes through ShiftRows and MixColumns unchanged, so it sits in the round keys.
 *
 * SET: sixteen blocks in work. Several sets go through each round one after the other: while one
 * waits for its last bytes, the next one's first are being worked on.
 *
 *      0        256      384      512      640      768
 *     +--------+--------+--------+--------+--------+
 *     | state  | products of column 0, 1, 2, 3     |
 *     +--------+--------+--------+--------+--------+
 *
 *     products of a column, after ShiftRows:  | D_0 | u_0 | T_1 |  –  | D_2 | u_2 | T_3 |  –  |
 *
 * scripts/generate-aes-rounds.mjs has the rounds.
 *
 * Packed KEYS: round r at 16·r, 0x63 and the tower folded in. Sliced KEYS: round r at 256·r, each of
 * its bytes sixteen times.
 */
import { KEY_STATE, PACKET_KEY } from "../layout";
import { expandKey, roundsOf } from "./aes-key";
import { middleRounds } from "./aes-rounds.gen";
import { ladderOutput, lookUp, toTower } from "./aes-sbox";
import { AFFINE, AFFINE_TOWER, INVERSES, NIBBLE_MASK, QUOTIENTS, SBOX_T, SBOX_U } from "./aes-tables.gen";
import { storeTransposed, xorTransposed } from "./lanes";

/** Bytes of a SET. */
export const SET_SIZE: u32 = 768;
/** Bytes of one round's sliced key, and of one state. */
export const SLICED_SIZE: u32 = 256;

/** The most bytes of sliced KEYS: AES-256's. */
export const SLICED_KEYS_MAX: usize = 15 * SLICED_SIZE;

/** @returns bytes of packed KEYS, a multiple of 64 */
@inline
export function packedKeysSize(keyLength: u32): u32 {
  return ((roundsOf(keyLength) << 4) + 79) & ~63;
}

/** @returns bytes of sliced KEYS, a multiple of 64 */
@inline
export function slicedKeysSize(keyLength: u32): u32 {
  return SLICED_SIZE * (roundsOf(keyLength) + 1);
}

/** Expands a raw key for encryption into packed `keys`. */
export function packKeys(key: usize, keyLength: u32, keys: usize): void {
  const rounds = roundsOf(keyLength);
  expandKey(key, keyLength, keys);
  for (let round = 0; round <= rounds; round++) {
    const at = keys + (round << 4);
    const row = v128.load(at);
    if (round == rounds) v128.store(at, v128.xor(row, v128.load(AFFINE)));
    else v128.store(at, round == 0 ? toTower(row) : v128.xor(toTower(row), v128.load(AFFINE_TOWER)));
  }
}

/** From packed to sliced KEYS. */
export function spreadKeys(packed: usize, keyLength: u32, sliced: usize): void {
  const end = packed + ((roundsOf(keyLength) + 1) << 4);
  for (; packed < end; packed += 4, sliced += 64) {
    v128.store(sliced, v128.load8_splat(packed));
    v128.store(sliced, v128.load8_splat(packed, 1), 16);
    v128.store(sliced, v128.load8_splat(packed, 2), 32);
    v128.store(sliced, v128.load8_splat(packed, 3), 48);
  }
}

/**
 * Sliced KEYS with one packet's in each lane.
 * @param list of PACKETs, up to 16, whose KEYs have packed KEYS as their STATE
 */
export function sliceLaneKeys(list: usize, count: i32, keyLength: u32, sliced: usize, scratch: usize): void {
  const rounds = roundsOf(keyLength);
  for (let round = 0; round <= rounds; round++, sliced += SLICED_SIZE) {
    for (let lane = 0; lane < count; lane++) {
      const key: usize = load<u32>(load<u32>(list + (lane << 2)), PACKET_KEY);
      v128.store(scratch + (lane << 4), v128.load(key + KEY_STATE + (round << 4)));
    }
    sliceBlocks(scratch, scratch + SLICED_SIZE, sliced);
  }
}

/** Expands the KEY block's raw key and slices it for encryption into `keys`. */
export function sliceKeys(key: usize, keyLength: u32, keys: usize, scratch: usize): void {
  packKeys(key, keyLength, scratch);
  spreadKeys(scratch, keyLength, keys);
  memory.fill(scratch, 0, packedKeysSize(keyLength));
}

/** E(K, 0): GCM's hash key. Wipes what it leaves in scratch. */
export function encryptZero(keys: usize, keyLength: u32, scratch: usize): v128 {
  const rounds = roundsOf(keyLength);
  memory.fill(scratch, 0, SET_SIZE);
  encryptSets(scratch, 1, keys, rounds);
  const block = v128.load(scratch);
  memory.fill(scratch, 0, SET_SIZE);
  return block;
}

/** All rounds, for SETs of sliced bytes; leaves sixteen blocks at the start of each. */
export function encryptSets(state: usize, sets: i32, keys: usize, rounds: i32): void {
  for (let set = 0; set < sets; set++) firstKey(state + set * SET_SIZE, keys);
  middleRounds(state, sets, keys + SLICED_SIZE, rounds - 1);
  lastRound(state, sets, keys + rounds * SLICED_SIZE);
}

/** Writes every byte of `row` sixteen times. */
export function sliceKey(sliced: usize, row: v128): void {
  for (let j = 0; j < 16; j++) v128.store(sliced + (j << 4), lookUp(row, i8x16.splat(<i8>j)));
}

/**
 * AddRoundKey before the first round, for vectors of bytes; takes them into the tower.
 * @param state sixteen sliced vectors
 */
export function firstKey(state: usize, key: usize): void {
  for (let j: usize = 0; j < SLICED_SIZE; j += 16) {
    v128.store(state + j, v128.xor(toTower(v128.load(state + j)), v128.load(key + j)));
  }
}

/** The last round, which has no MixColumns, and the way back from vectors to blocks, in the order of lanes. */
export function lastRound(state: usize, sets: i32, key: usize): void {
  substituteLast(state, sets, SET_SIZE, key, SBOX_U, SBOX_T, 1);
}

/** The last round, half of the way back: leaves words (see below) SLICED_SIZE bytes into each SET. */
export function lastRoundWords(state: usize, sets: i32, key: usize): void {
  substituteWords(state, sets, SET_SIZE, key, SBOX_U, SBOX_T, 1);
}

/**
 * A last round of either direction, from the tower to blocks.
 * @param u address of the S-box's output tables, @param t the other one
 * @param shift columns that a row moves further than the row above it: 1, or 3 for InvShiftRows
 */
export function substituteLast(state: usize, sets: i32, size: u32, key: usize, u: usize, t: usize, shift: usize): void {
  substituteWords(state, sets, size, key, u, t, shift);
  for (; sets > 0; sets--, state += size) wordsToBlocks(state + SLICED_SIZE, state, 16);
}

@inline
function substituteWords(state: usize, sets: i32, size: u32, key: usize, u: usize, t: usize, shift: usize): void {
  const mask = v128.load(NIBBLE_MASK);
  const inverses = v128.load(INVERSES);
  const quotients = v128.load(QUOTIENTS);
  const tableU = v128.load(u);
  const tableT = v128.load(t);
  const end = state + sets * size;
  for (let set = state; set < end; set += size) {
    const words = set + SLICED_SIZE;
    for (let column: usize = 0; column < 4; column++) {
      const keys = key + (column << 6);
      const b1 = set + (((column + shift) & 3) << 6);
      const b2 = set + (((column + 2) & 3) << 6);
      const b3 = set + (((column + 3 * shift) & 3) << 6);
      storeWords(
        words + (column << 6),
        v128.xor(substitute(v128.load(set + (column << 6)), mask, inverses, quotients, tableU, tableT), v128.load(keys)),
        v128.xor(substitute(v128.load(b1, 16), mask, inverses, quotients, tableU, tableT), v128.load(keys, 16)),
        v128.xor(substitute(v128.load(b2, 32), mask, inverses, quotients, tableU, tableT), v128.load(keys, 32)),
        v128.xor(substitute(v128.load(b3, 48), mask, inverses, quotients, tableU, tableT), v128.load(keys, 48)),
      );
    }
  }
}

/** SubBytes from the tower to bytes, without 0x63. */
@inline
function substitute(x: v128, mask: v128, inverses: v128, quotients: v128, u: v128, t: v128): v128 {
  const k = v128.and(x, mask);
  const i = v128.and(i16x8.shr_u(x, 4), mask);
  const j = v128.xor(i, k);
  const ak = lookUp(quotients, k);
  return v128.xor(lookUp(u, ladderOutput(inverses, i, j, ak)), lookUp(t, ladderOutput(inverses, j, i, ak)));
}

// ─── Transposition: 16 blocks ↔ 16 sliced vectors, by way of columns as words ────────────────
//
//   sliced              words: column c of lanes …              blocks
//   4c   | b0 of 0…15        64c      | 0 | 1 | 2 | 3 |           0  | column 0 | 1 | 2 | 3 |
//   4c+1 | b1 of 0…15   ◄─►  64c + 16 | 4 | 5 | 6 | 7 |     ◄─►   1  | column 0 | 1 | 2 | 3 |
//   4c+2 | b2 of 0…15        64c + 32 | 8 | 9 | 10| 11|           ⋮
//   4c+3 | b3 of 0…15        64c + 48 | 12| 13| 14| 15|           15 | column 0 | 1 | 2 | 3 |

/** Four vectors of single bytes to four vectors of words b0 b1 b2 b3. */
@inline
export function storeWords(to: usize, b0: v128, b1: v128, b2: v128, b3: v128): void {
  const low01 = interleaveLow(b0, b1);
  const low23 = interleaveLow(b2, b3);
  const high01 = interleaveHigh(b0, b1);
  const high23 = interleaveHigh(b2, b3);
  v128.store(to, i16x8.shuffle(low01, low23, 0, 8, 1, 9, 2, 10, 3, 11));
  v128.store(to, i16x8.shuffle(low01, low23, 4, 12, 5, 13, 6, 14, 7, 15), 16);
  v128.store(to, i16x8.shuffle(high01, high23, 0, 8, 1, 9, 2, 10, 3, 11), 32);
  v128.store(to, i16x8.shuffle(high01, high23, 4, 12, 5, 13, 6, 14, 7, 15), 48);
}

@inline
function interleaveLow(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

@inline
function interleaveHigh(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

/** Words to blocks, `stride` bytes apart. */
@inline
export function wordsToBlocks(words: usize, blocks: usize, stride: usize): void {
  for (let lanes: usize = 0; lanes < 64; lanes += 16, blocks += stride << 2) {
    const at = words + lanes;
    storeTransposed(blocks, stride, v128.load(at), v128.load(at, 64), v128.load(at, 128), v128.load(at, 192));
  }
}

/** XORs words, as blocks, to the 256 bytes at `to`. */
export function xorWords(to: usize, words: usize): void {
  for (let lanes: usize = 0; lanes < 64; lanes += 16, to += 64) {
    const at = words + lanes;
    xorTransposed(to, v128.load(at), v128.load(at, 64), v128.load(at, 128), v128.load(at, 192));
  }
}

/** Sixteen blocks at `blocks` to sliced vectors at `sliced`; uses `words`, 256 bytes, on the way. */
export function sliceBlocks(blocks: usize, words: usize, sliced: usize): void {
  for (let lanes: usize = 0; lanes < 64; lanes += 16) {
    const at = blocks + (lanes << 2);
    storeTransposed(words + lanes, 64, v128.load(at), v128.load(at, 16), v128.load(at, 32), v128.load(at, 48));
  }
  for (let column: usize = 0; column < 256; column += 64) sliceWords(words + column, sliced + column);
}

/** Back: sliced vectors to blocks, by way of 256 bytes at `words`. */
export function unsliceBlocks(sliced: usize, words: usize, blocks: usize): void {
  for (let column: usize = 0; column < 256; column += 64) {
    const at = sliced + column;
    storeWords(words + column, v128.load(at), v128.load(at, 16), v128.load(at, 32), v128.load(at, 48));
  }
  wordsToBlocks(words, blocks, 16);
}

/** Sixteen words at `words` to four vectors of their bytes at `sliced`. */
@inline
export function sliceWords(words: usize, sliced: usize): void {
  const a = quarters(v128.load(words));
  const b = quarters(v128.load(words, 16));
  const c = quarters(v128.load(words, 32));
  const d = quarters(v128.load(words, 48));
  storeTransposed(sliced, 16, a, b, c, d);
}

/** Four words' bytes 0, then their bytes 1, 2, 3. */
@inline
function quarters(x: v128): v128 {
  return i8x16.shuffle(x, x, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}
