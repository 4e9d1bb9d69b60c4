/**
 * AES in counter mode, bit-sliced over 64 blocks, for the wide build of the kernel.
 *
 * V8 can make 256-bit instructions of pairs of 128-bit ones (`--experimental-wasm-revectorize`): of XORs, ANDs
 * and shifts, but not of swizzles. With bits instead of nibble look-ups a round of sixteen blocks then takes
 * 58 cycles instead of 106; without the flag it would take 120.
 *
 * A RUN is up to 32 blocks of one packet, whose counters are 32k … 32k + 31; what is in work is a pair of
 * RUNs, not necessarily of the same packet.
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
 * and one S-box is the same for all packets of a KEY (STARTS).
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
import { highNibbles, lookUp, lowNibbles } from "./aes-sbox";
import { OUTPUT_HIGH, OUTPUT_LOW } from "./aes-tables.gen";

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

// Scratch.
/** u32: RUNs that have gathered. */
const GATHERED: usize = 0;
/** u32: are there round keys and, bit j, the STARTS of RUNs 2j and 2j + 1? */
const KEYED: usize = 4;
const STARTED: usize = 8;
/** u32: is there anything to wipe? */
const USED: usize = 12;
/** Of each RUN: addresses of its keystream, its CONSTANTS, its part of STARTS; u32 each. */
const TARGETS: usize = 16;
const CONSTANTS_OF: usize = TARGETS + 36;
const START_OF: usize = CONSTANTS_OF + 36;
/** Byte 15 after round 1 in column 0, each row in the lane that ShiftRows brings it to: 8 planes of 8 RUNs. */
const STARTS: usize = 128;
/** CONSTANTS of as many packets as may gather: planes of all bytes after round 2, planes of column 0 after round 1. */
const CONSTANTS: usize = STARTS + 1024;
const CONSTANTS_SIZE: usize = 640;
const ROUND_KEYS: usize = CONSTANTS + 2 * PAIRS * CONSTANTS_SIZE;
/** Where STARTS are made: 16 planes. */
const STARTING: usize = ROUND_KEYS + 12 * ROUND_KEY_SIZE;
const WORK: usize = STARTING + 512;
/** What does not fit into registers; why that is here, scripts/generate-aes-bits.mjs says. */
const SPILLS: usize = WORK + PAIRS * PAIR_SIZE;
/** Bytes of scratch, a multiple of 64; none in other builds. */
export const BITS_SCRATCH_SIZE: usize = IS_WIDE ? SPILLS + ((SPILLS_SIZE + 63) & ~63) : 0;

/** Lanes that SubBytes' result enters once and twice, for each row: byte ρ = −c is in lane c, in round 2. */
const SPREAD_MASKS: usize = memory.data<u32>([
  0, -1, -1, -1, -1, 0, 0, -1,
  -1, -1, -1, 0, 0, 0, -1, -1,
  -1, -1, 0, -1, 0, -1, -1, 0,
  -1, 0, -1, -1, -1, -1, 0, 0,
], 16);
/** The same for byte 15 in round 1, whose factors are 1, 1, 3 and 2 in rows 0 to 3. */
const START_MASKS: usize = memory.data<u32>([-1, 0, -1, -1, 0, -1, -1, 0], 16);
/** Bits whose number has not the bit 1, 2, 4, 8, 16. */
const LEVEL_MASKS: usize = memory.data<u32>([
  0x55555555, 0x55555555, 0x55555555, 0x55555555, 0x33333333, 0x33333333, 0x33333333, 0x33333333,
  0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x00ff00ff, 0x00ff00ff, 0x00ff00ff, 0x00ff00ff,
  0x0000ffff, 0x0000ffff, 0x0000ffff, 0x0000ffff,
], 16);

export function startBits(bits: usize): void {
  store<u32>(bits, 0, GATHERED);
  store<u32>(bits, 0, USED);
}

/** Begins with packets of another KEY. */
export function useBitsKey(bits: usize): void {
  store<u32>(bits, 0, KEYED);
  store<u32>(bits, 0, STARTED);
}

/** Wipes what this file had in scratch. */
export function wipeBits(bits: usize): void {
  if (load<u32>(bits, USED)) memory.fill(bits, 0, BITS_SCRATCH_SIZE);
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
  if (!load<u32>(bits, KEYED)) spreadRoundKeys(keys, rounds, bits);
  const a = fromTower(v128.load(afterTwo));
  const b = fromTower(v128.load32_splat(column));
  let gathered = load<u32>(bits, GATHERED);
  let constants: usize = 0;
  for (let run: u32 = 0; run * RUN_BLOCKS < end; run++, keystream += RUN_BLOCKS << 4) {
    if (!(load<u32>(bits, STARTED) & (1 << (run >> 1)))) makeStarts(run >> 1, keys, bits);
    if (constants == 0) {
      constants = bits + CONSTANTS + <usize>gathered * CONSTANTS_SIZE;
      spreadConstants(a, b, constants);
    }
    const at = bits + (gathered << 2);
    store<u32>(at, <u32>keystream, TARGETS);
    store<u32>(at, <u32>constants, CONSTANTS_OF);
    store<u32>(at, <u32>(bits + STARTS + ((run >> 1) << 8) + ((run & 1) << 4)), START_OF);
    store<u32>(bits, ++gathered, GATHERED);
    if (gathered < 2 * PAIRS) continue;
    finishRuns(rounds, bits);
    gathered = 0;
    constants = 0;
  }
}

/** Computes what has gathered. */
export function finishRuns(rounds: i32, bits: usize): void {
  const gathered = load<u32>(bits, GATHERED);
  if (gathered == 0) return;
  const work = bits + WORK;
  const end = work + ((gathered + 1) >> 1) * PAIR_SIZE;
  // Half a PAIR that has no RUN computes the other's once more.
  const last = bits + (gathered << 2);
  store<u32>(last, load<u32>(last - 4, CONSTANTS_OF), CONSTANTS_OF);
  store<u32>(last, load<u32>(last - 4, START_OF), START_OF);
  const spills = bits + SPILLS;
  for (let pair = work, at = bits; pair < end; pair += PAIR_SIZE, at += 8) enterPair(pair, at, spills);
  let key = bits + ROUND_KEYS;
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
  for (let run: u32 = 0; run < gathered; run++) {
    const from = work + (run >> 1) * PAIR_SIZE + ((run & 1) << 4) + PRODUCTS;
    copyRun(from, load<u32>(bits + (run << 2), TARGETS));
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

// ─── Rounds ───────────────────────────────────────────────────────────────────────────────────

/** Round 2. @param at where TARGETS, less its offset, has the two RUNs */
function enterPair(pair: usize, at: usize, spills: usize): void {
  const a: usize = load<u32>(at, CONSTANTS_OF);
  const b: usize = load<u32>(at, CONSTANTS_OF + 4);
  enterPlanes(a, b, load<u32>(at, START_OF), load<u32>(at, START_OF + 4), pair + PRODUCTS, spills);
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

// ─── Bytes to planes ──────────────────────────────────────────────────────────────────────────

/** All ones in the lanes whose bit `number` is set. */
@inline
function planeOf(x: v128, number: i32): v128 {
  return i32x4.shr_s(i32x4.shl(x, 31 - number), 31);
}

/** The tower's bytes (aes-lanes.ts) to FIPS 197's. */
@inline
function fromTower(x: v128): v128 {
  return v128.xor(lookUp(v128.load(OUTPUT_LOW), lowNibbles(x)), lookUp(v128.load(OUTPUT_HIGH), highNibbles(x)));
}

/** @param afterTwo all bytes after round 2, @param column four times column 0 after round 1 */
function spreadConstants(afterTwo: v128, column: v128, to: usize): void {
  for (let number = 0; number < 32; number++) v128.store(to + (number << 4), planeOf(afterTwo, number));
  // Row r of column 0 goes to lane −r.
  const rows = i8x16.shuffle(column, column, 0, 0, 0, 0, 3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1);
  for (let weight = 0; weight < 8; weight++) v128.store(to + (weight << 4), planeOf(rows, weight), 512);
}

/** Rounds 0 and 1 of the counter's last byte in RUNs 2j and 2j + 1. */
function makeStarts(j: u32, keys: usize, bits: usize): void {
  const pair = bits + STARTING;
  const key = fromTower(v128.load(keys, 240));
  for (let weight = 0; weight < 8; weight++) {
    const plane = planeOf(key, weight);
    v128.store(pair + (weight << 5), v128.xor(plane, counterPlane(weight, j << 1)));
    v128.store(pair + (weight << 5), v128.xor(plane, counterPlane(weight, (j << 1) | 1)), 16);
  }
  substitutePlanes(pair, pair + 256, bits + SPILLS);
  multiplyPlanes(pair + 256, START_MASKS, bits + STARTS + (j << 8));
  store<u32>(bits, load<u32>(bits, STARTED) | (1 << j), STARTED);
}

/** Bit `weight` of the counters 32 · run + n, n = 0 … 31. */
@inline
function counterPlane(weight: i32, run: u32): v128 {
  if (weight >= 5) return i32x4.splat(0 - ((run >> (weight - 5)) & 1));
  return v128.not(v128.load(LEVEL_MASKS + (weight << 4)));
}

/** The planes of rounds 3 to the last's keys. */
function spreadRoundKeys(keys: usize, rounds: i32, bits: usize): void {
  let to = bits + ROUND_KEYS;
  for (let round = FIRST_ROUND; round <= rounds; round++, to += ROUND_KEY_SIZE) {
    const sliced = keys + round * SLICED_SIZE;
    for (let j: usize = 0; j < 16; j++) store<u8>(to + j, load<u8>(sliced + (j << 4)));
    const row = v128.load(to);
    const x = round == rounds ? row : fromTower(row);
    for (let number = 0; number < 32; number++) v128.store(to + (number << 4), planeOf(x, number));
  }
  store<u32>(bits, 1, KEYED);
  store<u32>(bits, 1, USED);
}
