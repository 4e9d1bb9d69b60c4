/**
 * AES in counter mode, bit-sliced over 64 blocks, for the wide build of the kernel.
 *
 * V8 can make 256-bit instructions of pairs of 128-bit ones (`--experimental-wasm-revectorize`): of XORs, ANDs
 * and shifts, but not of swizzles. With bits instead of nibble look-ups a round of sixteen blocks then takes
 * 58 cycles instead of 106; without the flag it would take 120.
 *
 * A RUN is 32 blocks: of one packet, with the counters 32k … 32k + 31; or of 32 packets that are alike, with one
 * counter; or of sixteen, with two counters. What is in work is a pair of RUNs, not necessarily of the same packets.
 *
 *               lane 0    lane 1    lane 2    lane 3
 *              +---------+---------+---------+---------+
 *   plane r, w | column 0| column 1| column 2| column 3|     bit w of the bytes in row r; r = 0 … 3, w = 0 … 7
 *              +---------+---------+---------+---------+
 *                bit n of a lane is block n of the RUN
 *
 * MixColumns then is XORs of planes, ShiftRows turns a plane's lanes, and the way back to blocks transposes
 * 32 × 32 bits in every lane.
 *
 * PAIR: plane number 8r + w at 32 · (8r + w), its first half for one RUN and its second for the other.
 *
 *      0                  1024                 2048
 *     +------------------+--------------------+
 *     | state            | products           |
 *     +------------------+--------------------+
 *
 * A RUN starts after round 2, like a SET (aes-counter.ts): what the STREAM remembers goes to all its lanes,
 * and one S-box is the same for all packets of a KEY (STARTS). Packets that are alike share a RUN's lanes: what
 * sixteen or 32 STREAMs would remember then is transposed once for all their RUNs, and packet 16g + 4j + b has the
 * bit 8b + 4g + j, which is what three levels of a transposition make of it. Sixteen have two bits each (g = 0, 1).
 */
import {
  bytesToWords,
  enterPlanes,
  mixAndSubstitutePlanes,
  mixPlanes,
  multiplyPlanes,
  planesToBytes,
  SPILLS_SIZE,
  spreadPlanes,
  substitutePlanes,
} from "./aes-bits.gen";
import { SLICED_SIZE } from "./aes-lanes";
import {
  CONSTANTS_SIZE,
  counterPlane,
  fromTower,
  LEVEL_MASKS,
  planeOf,
  rowOf,
  shareStart,
  spreadConstants,
  storePlanes,
} from "./aes-planes";

/** Is this the wide build? A constant of the compiler's: what depends on it is left out of the other builds. */
export const IS_WIDE: bool = WIDE != 0;

/** Blocks of a RUN. */
const RUN_BLOCKS: u32 = 32;
/** PAIRs that go through each round one after the other. */
const PAIRS: u32 = 4;
const PAIR_SIZE: u32 = 2048;
const PRODUCTS: usize = 1024;
/** Bytes of a round's key: the planes of one half. */
const ROUND_KEY_SIZE: usize = 512;
/** The first round in bits. */
const FIRST_ROUND: i32 = 3;

// BITS_KEYS: what is made of a KEY when it is needed. Zeros say that nothing is there yet.
/** u32: are there round keys and, bit j, the STARTS of RUNs 2j and 2j + 1? */
const KEYED: usize = 0;
const STARTED: usize = 4;
/** Byte 15 after round 1 in column 0, each row in the lane that ShiftRows brings it to: 8 planes of 8 RUNs. */
const STARTS: usize = 64;
const ROUND_KEYS: usize = STARTS + 1024;
/** Bytes of BITS_KEYS, a multiple of 64; none in other builds. */
export const BITS_KEYS_SIZE: usize = IS_WIDE ? ROUND_KEYS + 12 * ROUND_KEY_SIZE : 0;

// Scratch.
/** u32: RUNs that have gathered. */
const GATHERED: usize = 0;
/** u32: where BITS_KEYS are, here or where the caller keeps them. */
const KEYS_AT: usize = 4;
/** u32: bytes of scratch that are to be wiped. */
const USED: usize = 8;
/** u32: from one STREAM to the next. */
const STRIDE: usize = 12;
/** Of each RUN, and one more, u32 each: addresses of its keystream, its CONSTANTS, its part of STARTS; … */
const RUNS: usize = 16;
const RUN_SIZE: u32 = 16;
const RUN_TARGET: usize = 0;
const RUN_CONSTANTS: usize = 4;
const RUN_START: usize = 8;
/** … and bytes from the keystream of a packet's first bit to that of bit 4, if packets share the RUN: else 0. */
const RUN_SECOND: usize = 12;
/** STARTS of RUNs that packets share, one counter in all bits or two. */
const SHARED_STARTS: usize = (RUNS + (2 * PAIRS + 1) * RUN_SIZE + 63) & ~63;
/** Where STARTS are made: 16 planes. */
const STARTING: usize = SHARED_STARTS + PAIRS * 256;
/** What does not fit into registers; why that is here, scripts/generate-aes-bits.mjs says. */
const SPILLS: usize = STARTING + 512;
/** CONSTANTS of packets that share RUNs, … */
export const SHARED_CONSTANTS: usize = SPILLS + ((SPILLS_SIZE + 63) & ~63);
const WORK: usize = SHARED_CONSTANTS + CONSTANTS_SIZE;
/** BITS_KEYS of a KEY for which they are not kept. */
const OWN_KEYS: usize = WORK + PAIRS * PAIR_SIZE;
/** … and of as many packets as may gather. */
const CONSTANTS: usize = OWN_KEYS + BITS_KEYS_SIZE;
/** Bytes of scratch, a multiple of 64; none in other builds. */
export const BITS_SCRATCH_SIZE: usize = IS_WIDE ? CONSTANTS + 2 * PAIRS * CONSTANTS_SIZE : 0;

/** Lanes that SubBytes' result enters once and twice, for each row: byte ρ = −c is in lane c, in round 2. */
const SPREAD_MASKS: usize = memory.data<u32>([
  0, -1, -1, -1, -1, 0, 0, -1,
  -1, -1, -1, 0, 0, 0, -1, -1,
  -1, -1, 0, -1, 0, -1, -1, 0,
  -1, 0, -1, -1, -1, -1, 0, 0,
], 16);
/** The same for byte 15 in round 1, whose factors are 1, 1, 3 and 2 in rows 0 to 3. */
const START_MASKS: usize = memory.data<u32>([-1, 0, -1, -1, 0, -1, -1, 0], 16);
export function startBits(bits: usize): void {
  store<u32>(bits, 0, GATHERED);
  store<u32>(bits, 0, USED);
}

/** Begins with packets of another KEY. @param kept its BITS_KEYS if a caller keeps them, or 0 */
export function useBitsKey(kept: usize, bits: usize): void {
  const own = bits + OWN_KEYS;
  if (kept == 0) {
    store<u32>(own, 0, KEYED);
    store<u32>(own, 0, STARTED);
  }
  store<u32>(bits, <u32>(kept != 0 ? kept : own), KEYS_AT);
}

/** Wipes what this file had in scratch. */
export function wipeBits(bits: usize): void {
  const used = load<u32>(bits, USED);
  if (used > 0) memory.fill(bits, 0, used);
  else v128.store(bits, i64x2.splat(0));
}

@inline
function noteUsed(end: usize, bits: usize): void {
  store<u32>(bits, max<u32>(<u32>end, load<u32>(bits, USED)), USED);
}

/**
 * Adds the RUNs of a packet's segment.
 * @param afterTwo address of all bytes after round 2, @param column of column 0 after round 1: aes-counter.ts
 * @param keystream where the keystream of counter 0 goes; whole RUNs are written
 * @param end counter behind the last, rounded up to a whole RUN
 * @param keys sliced round keys
 */
export function addRuns(
  afterTwo: usize, column: usize, keystream: usize, end: u32, keys: usize, rounds: i32, bits: usize,
): void {
  useRoundKeys(keys, rounds, bits);
  const a = fromTower(v128.load(afterTwo));
  const b = fromTower(v128.load32_splat(column));
  let constants: usize = 0;
  noteUsed(BITS_SCRATCH_SIZE, bits);
  for (let run: u32 = 0; run * RUN_BLOCKS < end; run++, keystream += RUN_BLOCKS << 4) {
    if (constants == 0) {
      constants = bits + CONSTANTS + <usize>load<u32>(bits, GATHERED) * CONSTANTS_SIZE;
      spreadConstants(a, b, constants);
    }
    if (addRun(keystream, constants, startOf(run << 5, keys, bits), 0, bits) < 2 * PAIRS) continue;
    finishRuns(rounds, bits);
    constants = 0;
  }
}

/** @returns how many have gathered */
@inline
function addRun(target: usize, constants: usize, start: usize, second: usize, bits: usize): u32 {
  const gathered = load<u32>(bits, GATHERED);
  const run = bits + RUNS + gathered * RUN_SIZE;
  store<u32>(run, <u32>target, RUN_TARGET);
  store<u32>(run, <u32>constants, RUN_CONSTANTS);
  store<u32>(run, <u32>start, RUN_START);
  store<u32>(run, <u32>second, RUN_SECOND);
  store<u32>(bits, gathered + 1, GATHERED);
  return gathered + 1;
}

/**
 * Computes the keystream of the packets that SHARED_CONSTANTS are of; nothing else may have gathered.
 * @param keystream where that of counter 0 goes in the first packet's STREAM, @param stride of STREAMs
 */
export function finishShared(
  keystream: usize, stride: usize, from: u32, end: u32, groups: u32, keys: usize, rounds: i32, bits: usize,
): void {
  useRoundKeys(keys, rounds, bits);
  const taken = groups == 1 ? 2 : 1;
  const second: usize = groups == 1 ? 16 : stride << 4;
  store<u32>(bits, <u32>stride, STRIDE);
  const runs = (end - from + taken - 1) / taken;
  // As many PAIRs at a time as are in work with the fewest times: one alone would wait for itself.
  const passes = (runs + 2 * PAIRS - 1) / (2 * PAIRS);
  const most = 2 * ((runs + 2 * passes - 1) / (2 * passes));
  for (let counter = from; counter < end; counter += taken) {
    const to = bits + SHARED_STARTS + startAt(load<u32>(bits, GATHERED));
    const next = groups == 1 ? min(counter + 1, end - 1) : counter;
    shareStart(to, startOf(counter, keys, bits), startOf(next, keys, bits), counter, next);
    const gathered = addRun(keystream + (counter << 4), bits + SHARED_CONSTANTS, to, second, bits);
    if (gathered == most) finishRuns(rounds, bits);
  }
  finishRuns(rounds, bits);
}

/** @returns where STARTS have a RUN: a PAIR's halves alternate */
@inline
function startAt(run: u32): usize {
  return ((run >> 1) << 8) + ((run & 1) << 4);
}

/** @returns the STARTS of the RUN of one packet that has this counter, made if need be */
@inline
function startOf(counter: u32, keys: usize, bits: usize): usize {
  const run = counter >> 5;
  const bitsKeys: usize = load<u32>(bits, KEYS_AT);
  if (!(load<u32>(bitsKeys, STARTED) & (1 << (run >> 1)))) makeStarts(run >> 1, keys, bitsKeys, bits);
  return bitsKeys + STARTS + startAt(run);
}

/** Computes what has gathered. */
export function finishRuns(rounds: i32, bits: usize): void {
  const gathered = load<u32>(bits, GATHERED);
  if (gathered == 0) return;
  const pairs = (gathered + 1) >> 1;
  noteUsed(WORK + pairs * PAIR_SIZE, bits);
  const work = bits + WORK;
  const end = work + pairs * PAIR_SIZE;
  const runs = bits + RUNS;
  const lastRun = runs + gathered * RUN_SIZE;
  // Half a PAIR that has no RUN computes the other's once more.
  v128.store(lastRun, v128.load(lastRun - RUN_SIZE));
  const spills = bits + SPILLS;
  for (let pair = work, run = runs; pair < end; pair += PAIR_SIZE, run += 2 * RUN_SIZE) enterPair(pair, run, spills);
  let key = <usize>load<u32>(bits, KEYS_AT) + ROUND_KEYS;
  substituteRows(work, spills);
  for (let round = FIRST_ROUND; round < rounds; round++, key += ROUND_KEY_SIZE) {
    for (let pair = work; pair < end; pair += PAIR_SIZE) {
      const next = pair + PAIR_SIZE;
      mixAndSubstitute(pair, key, next < end ? next : work, spills);
    }
  }
  for (let pair = work; pair < end; pair += PAIR_SIZE) {
    if (pair > work) substituteRows(pair, spills);
    lastKey(pair, key);
  }
  let from = work + PRODUCTS;
  for (let run = runs, half: usize = 0; run < lastRun; run += RUN_SIZE, half ^= 16) {
    const target: usize = load<u32>(run, RUN_TARGET);
    const second: usize = load<u32>(run, RUN_SECOND);
    if (second != 0) scatterRun(from + half, target, second, load<u32>(bits, STRIDE));
    else copyRun(from + half, target);
    if (half != 0) from += PAIR_SIZE;
  }
  store<u32>(bits, 0, GATHERED);
}

@inline
function copyRun(from: usize, to: usize): void {
  for (const end = to + (RUN_BLOCKS << 4); to < end; from += 128, to += 64) {
    v128.store(to, v128.load(from));
    v128.store(to, v128.load(from, 32), 16);
    v128.store(to, v128.load(from, 64), 32);
    v128.store(to, v128.load(from, 96), 48);
  }
}

/** A RUN that packets share: bits 8b + j and 8b + 4 + j are packet 4j + b's, or one is of the sixteenth behind it. */
@inline
function scatterRun(from: usize, to: usize, second: usize, stride: usize): void {
  for (const end = to + (stride << 2); to < end; to += stride, from += 256) {
    for (let at = to, j: usize = 0; j < 128; j += 32, at += stride << 2) {
      v128.store(at, v128.load(from + j));
      v128.store(at + second, v128.load(from + j, 128));
    }
  }
}

// ─── Rounds ───────────────────────────────────────────────────────────────────────────────────

/** Round 2. @param run the first of two RUNs */
function enterPair(pair: usize, run: usize, spills: usize): void {
  const a: usize = load<u32>(run, RUN_CONSTANTS);
  const b: usize = load<u32>(run, RUN_CONSTANTS + RUN_SIZE);
  enterPlanes(a, b, load<u32>(run, RUN_START), load<u32>(run, RUN_START + RUN_SIZE), pair + PRODUCTS, spills);
  spreadPlanes(pair + PRODUCTS, SPREAD_MASKS, a, b, pair);
}

/**
 * The rest of a round, and SubBytes of the PAIR that is next. SubBytes is a long chain in which the processor waits
 * for itself, MixColumns is none: together they take a tenth less than one behind the other.
 */
function mixAndSubstitute(pair: usize, key: usize, next: usize, spills: usize): void {
  if (next != pair) {
    mixAndSubstitutePlanes(pair + PRODUCTS, key, pair, next, next + PRODUCTS, spills);
  } else {
    mixPlanes(pair + PRODUCTS, key, pair, spills);
    substituteRows(pair, spills);
  }
}

/** The last round, behind its SubBytes: to blocks. */
function lastKey(pair: usize, key: usize): void {
  const end = pair + PRODUCTS;
  for (let row = pair; row < end; row += 256, key += 128) planesToBytes(row + PRODUCTS, key, LEVEL_MASKS, row);
  for (let word = pair; word < pair + 256; word += 32) bytesToWords(word, LEVEL_MASKS, word + PRODUCTS);
}

function substituteRows(pair: usize, spills: usize): void {
  const end = pair + PRODUCTS;
  for (let row = pair; row < end; row += 256) substitutePlanes(row, row + PRODUCTS, spills);
}

// ─── What is made of a KEY ────────────────────────────────────────────────────────────────────

/** Rounds 0 and 1 of the counter's last byte in RUNs 2j and 2j + 1. */
function makeStarts(j: u32, keys: usize, bitsKeys: usize, bits: usize): void {
  const pair = bits + STARTING;
  const key = fromTower(v128.load(keys, 240));
  for (let weight = 0; weight < 8; weight++) {
    const plane = planeOf(key, weight);
    v128.store(pair + (weight << 5), v128.xor(plane, counterPlane(weight, j << 1)));
    v128.store(pair + (weight << 5), v128.xor(plane, counterPlane(weight, (j << 1) | 1)), 16);
  }
  substitutePlanes(pair, pair + 256, bits + SPILLS);
  multiplyPlanes(pair + 256, START_MASKS, bitsKeys + STARTS + (j << 8));
  store<u32>(bitsKeys, load<u32>(bitsKeys, STARTED) | (1 << j), STARTED);
}

/** Makes the planes of rounds 3 to the last's keys, if they are not there. */
function useRoundKeys(keys: usize, rounds: i32, bits: usize): void {
  const bitsKeys: usize = load<u32>(bits, KEYS_AT);
  if (bitsKeys == bits + OWN_KEYS) noteUsed(OWN_KEYS + BITS_KEYS_SIZE, bits);
  if (load<u32>(bitsKeys, KEYED)) return;
  let to = bitsKeys + ROUND_KEYS;
  let sliced = keys + FIRST_ROUND * SLICED_SIZE;
  for (let round = FIRST_ROUND; round <= rounds; round++, to += ROUND_KEY_SIZE, sliced += SLICED_SIZE) {
    const row = rowOf(sliced);
    storePlanes(to, round == rounds ? row : fromTower(row));
  }
  store<u32>(bitsKeys, 1, KEYED);
}
