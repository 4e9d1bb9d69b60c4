/**
 * AES in counter mode (NIST SP 800-38A §6.5) for packets of one KEY: what GCM, CTR and CCM share.
 *
 *   counter block: | prefix (4) | explicit IV (8) | counter (4, big-endian) |
 *
 * Blocks of a packet differ in the counter alone, and 256 of them in its last byte alone. Byte 15
 * enters round 1 in column 0, and the four bytes of that column enter round 2 in one column each:
 *
 *     before     after 1    into 2       after 2
 *     . . . .    # . . .    # . . .      # # # #       . the same for 256 blocks
 *     . . . .    # . . .    . . . #      # # # #       # depends on the counter's last byte
 *     . . . .    # . . .    . . # .      # # # #
 *     . . . #    # . . .    . # . .      # # # #
 *
 * So each 256 blocks (a segment) get a STREAM that remembers what is the same: column 0 after round 1
 * and all bytes after round 2, both without the contributions of what differs. A block then costs
 * one S-box in round 1 and four in round 2. An S-box contributes nothing if its input is 0 in the
 * tower, whose SubBytes has no constant (aes-lanes.ts): the same rounds compute the STREAM. Round 1 of a
 * counter's last byte is the same for all packets of a KEY, and kept for the next one.
 *
 * Blocks come in SETs of sixteen. Those of a packet's whole SETs lie in a row and share a STREAM. What is
 * left over, and the block that masks a tag, are mixed: lanes of a SET then belong to several packets,
 * so that no lane idles, and their keystream waits in the STREAM until it is needed. Sixteen packets of
 * as many blocks take a lane each, so that their STREAMs need not even be brought from rows to lanes.
 * Packets of several KEYs have a lane each, too, with its own round keys; only whole SETs want those of one
 * KEY in all lanes.
 *
 * In the wide build there is another way for packets of one KEY that are not short, or are alike: aes-bits.ts makes
 * all of a segment's keystream, mask included, and it waits in the STREAM.
 */
import { KEY_SALT, PACKET_IV, PACKET_KEY, PACKET_LENGTH, PACKET_PAYLOAD } from "../layout";
import { addRuns, finishRuns, finishShared, IS_WIDE, SHARED_CONSTANTS, startBits, useBitsKey, wipeBits } from "./aes-bits";
import {
  BITS,
  COLUMNS,
  CONSTANTS,
  COUNTERS,
  enterStreams,
  FIRST,
  KEYS,
  LANE_COUNTERS,
  LIST,
  middleOfSets,
  PREFIX,
  ROUND1_KNOWN,
  ROUNDS,
  ROWS,
  SETS,
  startSet,
  TARGETS,
  USED,
  WHOLE,
  WORK,
  WRITTEN,
} from "./aes-counter-rounds";
import { lastRound, SET_SIZE, SLICED_SIZE, sliceBlocks, sliceWords, storeWords, unsliceBlocks } from "./aes-lanes";
import { shareConstants } from "./aes-planes";
import {
  cryptSets,
  fillBlocks,
  fillStreams,
  NARROW_SIZE,
  noteWritten,
  STREAM_COLUMN,
  STREAM_MASK,
  STREAM_REST,
  STREAM_SIZE,
  STREAM_WHOLE,
} from "./aes-streams";
import { wipeLines, xorKeystream } from "./bytes";

/** Bytes that every STREAM has keystream for. */
export const LONGEST_REST: u32 = 240;
/** Blocks from which on RUNs of 32 are quicker than SETs of 16: in a segment, and in its last RUN. */
const LEAST_WIDE: u32 = 24;
const LEAST_RUN: u32 = 14;
/** And in all packets: keys are spread once more, and PAIRs should be full. */
const LEAST_IN_ALL: u32 = 192;
/** Blocks of packets that are alike from which on they share RUNs: two full PAIRs. */
const LEAST_SHARED: u32 = 128;

/**
 * Notes what all packets to come have in common.
 * @param first counter of the payload's first block; the mask is the block before
 */
export function startCounter(rounds: i32, first: u32, scratch: usize): void {
  store<u32>(scratch, rounds, ROUNDS);
  store<u32>(scratch, first, FIRST);
  store<u32>(scratch, 1, USED);
  store<u32>(scratch, STREAM_REST, WRITTEN);
  if (IS_WIDE) startBits(scratch + BITS);
}

/** Are these keys noted already? What has been made of them is then kept. */
@inline
export function hasCounterKey(keys: usize, scratch: usize): bool {
  return load<u32>(scratch, KEYS) == <u32>keys;
}

/**
 * Notes what packets of one KEY have in common.
 * @param keys sliced round keys
 * @param prefix the counter block's first word, as it lies in memory
 * @param bitsKeys where aes-bits.ts's are kept from one call to the next, or 0
 */
export function useCounterKey(keys: usize, prefix: u32, bitsKeys: usize, scratch: usize): void {
  store<u32>(scratch, <u32>keys, KEYS);
  store<u32>(scratch, prefix, PREFIX);
  store<u32>(scratch, 0, ROUND1_KNOWN);
  if (IS_WIDE) useBitsKey(bitsKeys, scratch + BITS);
}

/** Wipes what this file had in scratch and in STREAMs: keystream, and what would give it back. */
export function wipeCounter(streams: usize, count: u32, scratch: usize): void {
  const written = load<u32>(scratch, WRITTEN);
  for (const end = streams + count * STREAM_SIZE; streams < end; streams += STREAM_SIZE) {
    if (written <= NARROW_SIZE) wipeLines(streams, written);
    else memory.fill(streams, 0, written);
  }
  if (IS_WIDE) wipeBits(scratch + BITS);
  memory.fill(scratch, 0, WORK + load<u32>(scratch, USED) * SET_SIZE);
}

/**
 * Makes STREAMs: masks if asked for, and of the payloads, if asked for, all keystream that fills no SET.
 */
export function makeStreams(
  list: usize, count: i32, masks: bool, payloads: bool, streams: usize, scratch: usize,
): void {
  const first = load<u32>(scratch, FIRST);
  if (IS_WIDE) store<u32>(scratch, payloads && hasManyBlocks(list, count, first), WHOLE);
  // Bit g: group g of sixteen packets is not alike.
  let mixed = 0;
  for (let i = 0, taken = 0; i < count; i += taken) {
    const group = list + (i << 2);
    const own = streams + i * STREAM_SIZE;
    taken = min(count - i, 16);
    const alike = taken == 16 && isAlike(group, 16, first);
    const blocks = alike && payloads ? segmentBlocks(load<u32>(load<u32>(group), PACKET_LENGTH), first) : 0;
    if (IS_WIDE && alike) {
      const groups = count - i >= 32 && isAlike(group, 32, first) ? 2 : 1;
      if ((blocks + <u32>masks) * (groups << 4) >= LEAST_SHARED) {
        shareRuns(group, groups, masks, blocks, own, scratch);
        taken = groups << 4;
        continue;
      }
    }
    prepareStreams(group, taken, 0, scratch);
    if (alike) {
      if (blocks >= 16) storeStreams(16, own, scratch);
      fillStreams(masks, first, blocks, own, scratch);
    } else {
      storeStreams(taken, own, scratch);
      mixed |= 1 << (i >> 4);
    }
  }
  if (mixed == 0) return;
  noteWritten(NARROW_SIZE, scratch);
  let lanes = 0;
  for (let i = 0; i < count; i++) {
    if (!(mixed & (1 << (i >> 4)))) continue;
    const stream = streams + i * STREAM_SIZE;
    const blocks = payloads ? segmentBlocks(load<u32>(load<u32>(list + (i << 2)), PACKET_LENGTH), first) : 0;
    if (isWide(blocks, scratch)) {
      lanes = addWide(stream, first, blocks, lanes, scratch);
      continue;
    }
    if (masks) lanes = addLane(stream, first - 1, stream + STREAM_MASK, lanes, scratch);
    lanes = addRest(stream, first, blocks, lanes, scratch);
  }
  finishLanes(lanes, scratch);
}

/** Are there enough blocks in first segments? */
function hasManyBlocks(list: usize, count: i32, first: u32): bool {
  let blocks: u32 = 0;
  for (let i = 0; i < count; i++) blocks += segmentBlocks(load<u32>(load<u32>(list + (i << 2)), PACKET_LENGTH), first);
  return blocks >= LEAST_IN_ALL;
}

/** Have `count` packets as many blocks each in their first segments? */
function isAlike(list: usize, count: i32, first: u32): bool {
  const blocks = segmentBlocks(load<u32>(load<u32>(list), PACKET_LENGTH), first);
  for (const end = list + (count << 2); list < end; list += 4) {
    if (segmentBlocks(load<u32>(load<u32>(list), PACKET_LENGTH), first) != blocks) return false;
  }
  return true;
}

/**
 * Makes STREAMs of up to 16 packets of several KEYs, masks included. SET number b has the mask (b = 0) or
 * the b-th block left over of every packet.
 * @param keys round keys, sliced, those of packet i in lane i
 */
export function makeMixedStreams(
  list: usize, count: i32, payloads: bool, keys: usize, streams: usize, scratch: usize,
): void {
  useCounterKey(keys, 0, 0, scratch);
  noteWritten(NARROW_SIZE, scratch);
  store<u32>(scratch, 0, WHOLE);
  const first = load<u32>(scratch, FIRST);
  let most: u32 = 0;
  let whole = false;
  for (let lane = 0; lane < count; lane++) {
    const packet: usize = load<u32>(list + (lane << 2));
    startRow(lane, load<u32>(load<u32>(packet, PACKET_KEY), KEY_SALT), packet, 0, scratch);
    if (!payloads) continue;
    const blocks = segmentBlocks(load<u32>(packet, PACKET_LENGTH), first);
    most = max(most, blocks & 15);
    whole = whole || blocks >= 16;
  }
  enterStreams(scratch);
  if (whole) storeStreams(count, streams, scratch);
  for (let block: u32 = 0; block <= most; block += SETS) {
    const sets = min<i32>(most + 1 - block, SETS);
    for (let lane = 0; lane < 16; lane++) {
      const packet = lane < count ? <usize>load<u32>(list + (lane << 2)) : 0;
      const blocks = payloads && packet != 0 ? segmentBlocks(load<u32>(packet, PACKET_LENGTH), first) : 0;
      aimLane(lane, packet != 0 ? streams + lane * STREAM_SIZE : 0, first - 1, blocks, block, sets, scratch);
    }
    for (let set = 0; set < sets; set++) {
      startSet(scratch + WORK + set * SET_SIZE, v128.load(scratch + LANE_COUNTERS + (set << 4)), scratch);
    }
    scatter(sets << 4, scratch);
  }
}

/** Says what a lane computes in each SET, of the payload's blocks that are left over: those from number `from` on. */
@inline
function aimLane(
  lane: i32, stream: usize, mask: u32, blocks: u32, from: u32, sets: i32, scratch: usize,
): void {
  for (let set = 0; set < sets; set++) {
    const block = from + set;
    const used = stream != 0 && block <= (blocks & 15);
    const counter = block == 0 ? mask : mask + (blocks & ~15) + block;
    store<u8>(scratch + LANE_COUNTERS + (set << 4) + lane, counter);
    const target = used ? stream + STREAM_MASK + (block << 4) : scratch + ROWS;
    store<u32>(scratch + TARGETS + (((set << 4) + lane) << 2), <u32>target);
  }
}

/** XORs the keystream of its STREAM, and of as many segments as there are, to a packet's payload. */
@inline
export function cryptPayload(packet: usize, stream: usize, scratch: usize): void {
  const length = load<u32>(packet, PACKET_LENGTH);
  if (length <= LONGEST_REST) xorKeystream(load<u32>(packet, PACKET_PAYLOAD), stream + STREAM_REST, length);
  else cryptSegments(packet, stream, scratch);
}

function cryptSegments(packet: usize, stream: usize, scratch: usize): void {
  let at: usize = load<u32>(packet, PACKET_PAYLOAD);
  let left = load<u32>(packet, PACKET_LENGTH);
  let first = load<u32>(scratch, FIRST);
  for (let high: u32 = 1; ; high++) {
    const blocks = segmentBlocks(left, first);
    const whole = IS_WIDE && load<u32>(stream, STREAM_WHOLE) != 0 ? 0 : blocks & ~15;
    if (whole > 0) cryptSets(at, left, stream, first, whole >> 4, scratch);
    at += whole << 4;
    left -= min(left, whole << 4);
    const rest = min(left, (blocks - whole) << 4);
    xorKeystream(at, stream + STREAM_REST, rest);
    at += rest;
    left -= rest;
    if (left == 0) return;
    first = 0;
    store<u32>(scratch, <u32>packet, LIST);
    prepareStreams(scratch + LIST, 1, high, scratch);
    storeStreams(1, stream, scratch);
    noteWritten(NARROW_SIZE, scratch);
    const next = segmentBlocks(left, 0);
    if (isWide(next, scratch)) finishLanes(addWide(stream, 0, next, 0, scratch), scratch);
    else finishLanes(addRest(stream, 0, next, 0, scratch), scratch);
  }
}

/** Does the STREAM of a segment of so many blocks get all its keystream? */
@inline
function isWide(blocks: u32, scratch: usize): bool {
  return IS_WIDE && blocks >= LEAST_WIDE && load<u32>(scratch, WHOLE) != 0;
}

/** RUNs for all of a segment, and the block before it; lanes for what would fill no RUN. @returns lanes in use */
function addWide(stream: usize, first: u32, blocks: u32, lanes: i32, scratch: usize): i32 {
  const end = first + blocks;
  const runs = (end & 31) >= LEAST_RUN ? (end + 31) & ~31 : end & ~31;
  const keystream = stream + STREAM_REST - (first << 4);
  store<u32>(stream, 1, STREAM_WHOLE);
  noteWritten(<u32>STREAM_REST + (max(runs, end) << 4), scratch);
  addRuns(
    stream, stream + STREAM_COLUMN, keystream, runs,
    load<u32>(scratch, KEYS), load<i32>(scratch, ROUNDS), scratch + BITS,
  );
  for (let counter = runs; counter < end; counter++) {
    lanes = addLane(stream, counter, keystream + (counter << 4), lanes, scratch);
  }
  return lanes;
}

/**
 * All keystream of one or two times sixteen packets that have as many blocks each: RUNs that they share, and of
 * sixteen SETs for what would fill no more than half of a PAIR.
 */
function shareRuns(list: usize, groups: i32, masks: bool, blocks: u32, streams: usize, scratch: usize): void {
  const first = load<u32>(scratch, FIRST);
  const keystream = streams + STREAM_REST - (first << 4);
  const from = first - <u32>masks;
  const over: u32 = groups == 1 ? (blocks + <u32>masks) & 3 : 0;
  const sets = over == 3 ? 0 : over;
  const end = first + blocks - sets;
  noteWritten(<u32>STREAM_REST + ((blocks + 1) << 4), scratch);
  for (let group = 0; group < groups; group++) {
    prepareStreams(list + (group << 6), 16, 0, scratch);
    shareConstants(scratch + CONSTANTS, group, groups, scratch + BITS + SHARED_CONSTANTS);
  }
  const left = keystream + (end << 4);
  fillBlocks(end, end + 1, left, left + (sets << 4), scratch);
  if (blocks >= 16) {
    for (let i = 0; i < groups << 4; i++) store<u32>(streams + i * STREAM_SIZE, 1, STREAM_WHOLE);
  }
  const rounds = load<i32>(scratch, ROUNDS);
  finishShared(keystream, STREAM_SIZE, from, end, groups, load<u32>(scratch, KEYS), rounds, scratch + BITS);
}

/** Blocks of a payload that lie in a segment whose first counter byte is `first`. */
@inline
function segmentBlocks(length: u32, first: u32): u32 {
  return min((length + 15) >> 4, 256 - first);
}

// ─── STREAMs ──────────────────────────────────────────────────────────────────────────────────

/** The first two rounds of what is the same in segment `high`, for up to 16 packets at once. */
function prepareStreams(list: usize, count: i32, high: u32, scratch: usize): void {
  const prefix = load<u32>(scratch, PREFIX);
  for (let lane = 0; lane < count; lane++) startRow(lane, prefix, load<u32>(list + (lane << 2)), high, scratch);
  enterStreams(scratch);
}

/** The counter block of a lane, without the counter's last byte. */
@inline
function startRow(lane: i32, prefix: u32, packet: usize, high: u32, scratch: usize): void {
  const row = scratch + ROWS + (lane << 4);
  store<u32>(row, prefix);
  store<u64>(row, load<u64>(load<u32>(packet, PACKET_IV)), 4);
  store<u32>(row, bswap<u32>(high << 8), 12);
}

/** From CONSTANTS to STREAMs, for blocks whose lanes are not their packets'. */
function storeStreams(count: i32, streams: usize, scratch: usize): void {
  const rows = scratch + ROWS;
  const columns = scratch + COLUMNS;
  const column = scratch + CONSTANTS;
  storeWords(columns, v128.load(column), v128.load(column, 16), v128.load(column, 32), v128.load(column, 48));
  unsliceBlocks(column + 64, scratch + WORK, rows);
  for (let lane = 0; lane < count; lane++) {
    const stream = streams + lane * STREAM_SIZE;
    v128.store(stream, v128.load(rows + (lane << 4)));
    store<u32>(stream, load<u32>(columns + (lane << 2)), STREAM_COLUMN);
    if (IS_WIDE) store<u32>(stream, 0, STREAM_WHOLE);
  }
}

// ─── SETs of several packets ──────────────────────────────────────────────────────────────────

/** Lanes for the last blocks of a segment, which fill no SET. @returns lanes in use */
function addRest(stream: usize, first: u32, blocks: u32, lanes: i32, scratch: usize): i32 {
  let target = stream + STREAM_REST;
  for (let block = blocks & ~15; block < blocks; block++, target += 16) {
    lanes = addLane(stream, first + block, target, lanes, scratch);
  }
  return lanes;
}

/** One more lane, whose keystream block will go to `target`. @returns lanes in use */
@inline
function addLane(stream: usize, counter: u32, target: usize, lanes: i32, scratch: usize): i32 {
  const lane = lanes & 15;
  v128.store(scratch + ROWS + (lane << 4), v128.load(stream));
  store<u32>(scratch + COLUMNS + (lane << 2), load<u32>(stream, STREAM_COLUMN));
  store<u8>(scratch + COUNTERS + lane, counter);
  store<u32>(scratch + TARGETS + (lanes << 2), <u32>target);
  if (lane == 15) enterMixedSet(lanes >> 4, scratch);
  if (++lanes != SETS << 4) return lanes;
  scatter(lanes, scratch);
  return 0;
}

/** Computes what has gathered in lanes. */
function finishLanes(lanes: i32, scratch: usize): void {
  if (lanes & 15) enterMixedSet(lanes >> 4, scratch);
  if (lanes > 0) scatter(lanes, scratch);
  if (IS_WIDE) finishRuns(load<i32>(scratch, ROUNDS), scratch + BITS);
}

function enterMixedSet(index: i32, scratch: usize): void {
  const set = scratch + WORK + index * SET_SIZE;
  const constants = scratch + CONSTANTS;
  sliceWords(scratch + COLUMNS, constants);
  sliceBlocks(scratch + ROWS, set + SLICED_SIZE, constants + 64);
  startSet(set, v128.load(scratch + COUNTERS), scratch);
}

/** Runs the SETs and takes each lane's keystream block to its target. */
function scatter(lanes: i32, scratch: usize): void {
  const sets = (lanes + 15) >> 4;
  lastRound(scratch + WORK, sets, middleOfSets(sets, scratch));
  for (let lane = 0; lane < lanes; lane++) {
    const block = scratch + WORK + (lane >> 4) * SET_SIZE + ((lane & 15) << 4);
    v128.store(load<u32>(scratch + TARGETS + (lane << 2)), v128.load(block));
  }
}
