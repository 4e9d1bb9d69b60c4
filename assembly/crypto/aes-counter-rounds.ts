/**
 * AES in counter mode: its first rounds, which know what counters have in common, and the scratch in which
 * aes-counter.ts works. That file has the derivation.
 */
import { BITS_SCRATCH_SIZE } from "./aes-bits";
import { firstKey, SET_SIZE, SLICED_SIZE, sliceBlocks } from "./aes-lanes";
import { middleRounds } from "./aes-rounds.gen";
import { highNibbles, ladderOutput, lookUp, lowNibbles, toTower } from "./aes-sbox";
import { DOUBLE_T, DOUBLE_U, INVERSES, QUOTIENTS, TRIPLE_T, TRIPLE_U } from "./aes-tables.gen";

/** SETs that go through the rounds together, at most. */
export const SETS: i32 = 6;

// Scratch. First what `startCounter` and `useCounterKey` note: u32 each.
export const KEYS: usize = 0;
export const ROUNDS: usize = 4;
export const PREFIX: usize = 8;
export const FIRST: usize = 12;
/** A list of one packet. */
export const LIST: usize = 16;
/** u32: the most SETs that were in work. */
export const USED: usize = 20;
/** u32: the first counter of ROUND1, and bit k for each SET of counters that is there. */
export const ROUND1_FROM: usize = 24;
export const ROUND1_KNOWN: usize = 28;
/** The counter's last byte in each lane of the SET that gathers. */
export const COUNTERS: usize = 32;
/** u32: do STREAMs have all of a segment's keystream, if it is long? And how many bytes of one were written, at most. */
export const WHOLE: usize = 48;
export const WRITTEN: usize = 52;
/** CONSTANTS of a SET: column 0 after round 1, then everything after round 2: 20 vectors. */
export const CONSTANTS: usize = 64;
/** Each lane's row of the STREAM, and column, on their way into CONSTANTS. */
export const ROWS: usize = CONSTANTS + 320;
export const COLUMNS: usize = ROWS + 256;
/** Where each lane's keystream goes, for all SETs. Lanes that have nothing to do fill ROWS. */
export const TARGETS: usize = COLUMNS + 64;
/** The counter's last byte in each lane of each SET, where packets have lanes of their own. */
export const LANE_COUNTERS: usize = TARGETS + 64 * SETS;
/** The counter's last byte after round 1, without and with MixColumns' factor 2: of one SET, … */
export const ROUND1_ONCE: usize = LANE_COUNTERS + 128;
/** … and of the SETs of a segment. */
export const ROUND1: usize = ROUND1_ONCE + 64;
export const WORK: usize = ROUND1 + 16 * 32;
/** aes-bits.ts's. */
export const BITS: usize = WORK + SETS * SET_SIZE;
/** Bytes of scratch taken by counter mode, a multiple of 64; STREAMs are the caller's. */
export const COUNTER_SCRATCH_SIZE: usize = BITS + BITS_SCRATCH_SIZE;

/** From ROWS to CONSTANTS, of which each lane has its packet's. */
export function enterStreams(scratch: usize): void {
  const keys: usize = load<u32>(scratch, KEYS);
  const set = scratch + WORK;
  const column = scratch + CONSTANTS;
  sliceBlocks(scratch + ROWS, set + SLICED_SIZE, set);
  firstKey(set, keys);
  v128.store(set, i64x2.splat(0), 240);
  middleRounds(set, 1, keys + SLICED_SIZE, 1);
  for (let row: usize = 0; row < 64; row += 16) {
    v128.store(column + row, v128.load(set + row));
    v128.store(set + row, i64x2.splat(0));
  }
  middleRounds(set, 1, keys + 2 * SLICED_SIZE, 1);
  for (let j: usize = 0; j < SLICED_SIZE; j += 16) v128.store(column + j, v128.load(set + j), 64);
}

/** Rounds 0 and 1 of the counter's last byte in each lane: 1· and 2· what SubBytes makes of it, to `to`. */
@inline
export function startCounters(to: usize, counters: v128, scratch: usize): void {
  const x = v128.xor(toTower(counters), v128.load(load<u32>(scratch, KEYS), 240));
  const i = highNibbles(x);
  const k = lowNibbles(x);
  const j = v128.xor(i, k);
  const ak = lookUp(v128.load(QUOTIENTS), k);
  const io = ladderOutput(v128.load(INVERSES), i, j, ak);
  const jo = ladderOutput(v128.load(INVERSES), j, i, ak);
  const double = v128.xor(lookUp(v128.load(DOUBLE_U), io), lookUp(v128.load(DOUBLE_T), jo));
  const triple = v128.xor(lookUp(v128.load(TRIPLE_U), io), lookUp(v128.load(TRIPLE_T), jo));
  v128.store(to, v128.xor(double, triple));
  v128.store(to, double, 16);
}

/** Rounds 0 to 2 of a SET of counters. */
export function startSet(set: usize, counters: v128, scratch: usize): void {
  startCounters(scratch + ROUND1_ONCE, counters, scratch);
  enterSet(set, scratch + ROUND1_ONCE, scratch);
}

/** Round 2 of a SET of counters. @param round1 what `startCounters` made of them */
export function enterSet(set: usize, round1: usize, scratch: usize): void {
  const inverses = v128.load(INVERSES);
  const quotients = v128.load(QUOTIENTS);
  const doubleU = v128.load(DOUBLE_U);
  const doubleT = v128.load(DOUBLE_T);
  const tripleU = v128.load(TRIPLE_U);
  const tripleT = v128.load(TRIPLE_T);
  const single = v128.load(round1);
  const double = v128.load(round1, 16);
  const column = scratch + CONSTANTS;
  const after2 = column + 64;
  for (let row: u32 = 0; row < 4; row++) {
    // Row r of column 0 came from byte 15 with the factors 1, 1, 3, 2 and goes to column −r.
    const byte15 = row == 2 ? v128.xor(single, double) : row == 3 ? double : single;
    const x = v128.xor(byte15, v128.load(column + (row << 4)));
    const i = highNibbles(x);
    const k = lowNibbles(x);
    const j = v128.xor(i, k);
    const ak = lookUp(quotients, k);
    const io = ladderOutput(inverses, i, j, ak);
    const jo = ladderOutput(inverses, j, i, ak);
    const d = v128.xor(lookUp(doubleU, io), lookUp(doubleT, jo));
    const t = v128.xor(lookUp(tripleU, io), lookUp(tripleT, jo));
    const s = v128.xor(d, t);
    const to = ((4 - row) & 3) << 6;
    addConstant(set, after2, to + (row << 4), d);
    addConstant(set, after2, to + (((row + 1) & 3) << 4), s);
    addConstant(set, after2, to + (((row + 2) & 3) << 4), s);
    addConstant(set, after2, to + (((row + 3) & 3) << 4), t);
  }
}

@inline
function addConstant(set: usize, constants: usize, at: usize, x: v128): void {
  v128.store(set + at, v128.xor(x, v128.load(constants + at)));
}

/** Rounds 3 to the last but one of `sets` SETs. @returns the last round's key */
@inline
export function middleOfSets(sets: i32, scratch: usize): usize {
  const keys: usize = load<u32>(scratch, KEYS);
  const rounds = load<i32>(scratch, ROUNDS);
  store<u32>(scratch, max<u32>(sets, load<u32>(scratch, USED)), USED);
  middleRounds(scratch + WORK, sets, keys + 3 * SLICED_SIZE, rounds - 3);
  return keys + rounds * SLICED_SIZE;
}
