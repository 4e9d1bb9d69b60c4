/**
 * HMAC (RFC 2104) as ESP and AH use it: RFC 2404 (SHA1-96), RFC 4868 (SHA2-256-128, 384-192,
 * 512-256), over several packets at once.
 *
 *     ICV = first bytes of  H(K ⊕ opad ‖ H(K ⊕ ipad ‖ message))
 *
 * The states after the blocks K ⊕ ipad and K ⊕ opad are the KEY's STATE, 64 bytes each, so no block
 * is spent on the key. Every packet in work occupies a lane of the hash. A lane's message is cut
 * into runs of whole blocks; all lanes advance by the shortest run in work, and a lane whose packet
 * is done takes the next one, so lengths need not agree:
 *
 *     AAD                 PAYLOAD                    SEQ_HI, padding, bit length
 *     +-------------------+-------------------------+----------+
 *     | head blocks |  straddle  | body blocks |  tail         |   outer block
 *     +-------------------+-------------------------+----------+   +------------------------+
 *                                                                  | inner digest, padding  |
 *                                                                  +------------------------+
 *
 * Head and body are read in place; straddle, tail and outer block are staged. Where the AAD is
 * contiguous with the payload (all of ESP), there is neither head nor straddle.
 */
import {
  KEY_ICV_LENGTH,
  KEY_INTEG_KEY,
  KEY_INTEG_KEY_LENGTH,
  PACKET_AAD,
  PACKET_AAD_LENGTH,
  PACKET_FLAG_ESN,
  PACKET_FLAGS,
  PACKET_ICV,
  PACKET_KEY,
  PACKET_LENGTH,
  PACKET_PAYLOAD,
  PACKET_SEQ_HI,
} from "../layout";
import {
  HASH_MAX_LANES,
  HASH_SCHEDULE_SIZE,
  HASH_STATE_SIZE,
  HASH_WORDS,
  hashBlockSize,
  hashBlocks,
  hashBlocksAll,
  hashDigest,
  hashDigestLength,
  hashLanes,
  hashStart,
  hashWordSize,
} from "./hash";
import { accept, icvDifference, rejectIcv } from "./verdict";

// The KEY's STATE: one lane's words, inner then outer.
const INNER: usize = 0;
const OUTER: usize = 64;
/** Bytes of STATE, for any of the hashes. */
export const HMAC_STATE_SIZE: u32 = 128;

// Scratch: the hash state, the address where each lane reads, message schedules, LANE records.
const POINTERS: usize = HASH_STATE_SIZE;
const SCHEDULE: usize = POINTERS + 64;
const LANES: usize = SCHEDULE + HASH_SCHEDULE_SIZE;

// LANE: the packet in work (0 for none), the run in work, the runs still to come, staged blocks.
const LANE_PACKET: usize = 0;
const LANE_AT: usize = 4;
const LANE_BLOCKS: usize = 8;
/** u32: address of the next run's entry in LANE_RUNS. */
const LANE_NEXT: usize = 12;
/** u32: address behind the last run's entry. */
const LANE_END: usize = 16;
/** u32: has the outer block begun? */
const LANE_OUTER: usize = 20;
/** u32 × 2 × 4: address and blocks of each run. */
const LANE_RUNS: usize = 32;
const LANE_STRADDLE: usize = 64;
const LANE_TAIL: usize = LANE_STRADDLE + 128;
const LANE_DIGEST: usize = LANE_TAIL + 256;
const LANE_SIZE: usize = LANE_DIGEST + 128;

/** Stores the inner and outer states of the KEY's integrity key at `state`. */
export function hmacSetup(hash: u32, key: usize, state: usize, scratch: usize): void {
  padState(hash, key, 0x3636363636363636, state + INNER, scratch);
  padState(hash, key, 0x5c5c5c5c5c5c5c5c, state + OUTER, scratch);
  memory.fill(scratch, 0, LANES + LANE_SIZE);
}

/** The hash state after the one block K ⊕ pad; keys are never longer than a block here. */
function padState(hash: u32, key: usize, pad: u64, out: usize, scratch: usize): void {
  const block = scratch + LANES;
  memory.fill(block, 0, 128);
  memory.copy(block, key + KEY_INTEG_KEY, load<u32>(key, KEY_INTEG_KEY_LENGTH));
  for (let i: usize = 0; i < 128; i += 8) store<u64>(block + i, load<u64>(block + i) ^ pad);
  hashStart(hash, scratch);
  hashBlocks(hash, scratch, block, 1, scratch + SCHEDULE);
  const size: usize = hashWordSize(hash);
  for (let i: usize = 0; i < HASH_WORDS; i++) memory.copy(out + i * size, scratch + (i << 4), size);
}

/**
 * Writes (`seal`) or verifies the ICVs of a list of packets.
 * @param offset of HMAC's STATE from the KEY's address
 */
export function hmacRun(hash: u32, list: usize, count: i32, offset: u32, scratch: usize, seal: bool): void {
  const blockSize = hashBlockSize(hash);
  const lanes = min(hashLanes(hash), count);
  let taken = 0;
  while (taken < lanes) {
    startPacket(hash, scratch, taken, load<u32>(list + (taken << 2)), offset);
    taken++;
  }
  for (let active = lanes; active > 0; ) {
    const blocks = absorb(hash, scratch, lanes, active);
    for (let i = 0; i < lanes; i++) {
      const lane = laneAt(scratch, i);
      if (load<u32>(lane, LANE_PACKET) == 0) continue;
      store<u32>(lane, load<u32>(lane, LANE_AT) + blocks * blockSize, LANE_AT);
      store<u32>(lane, load<u32>(lane, LANE_BLOCKS) - blocks, LANE_BLOCKS);
      if (load<u32>(lane, LANE_BLOCKS) != 0 || nextRun(hash, scratch, i, offset)) continue;
      finishPacket(hash, scratch, i, seal);
      if (taken < count) {
        startPacket(hash, scratch, i, load<u32>(list + (taken << 2)), offset);
        taken++;
      } else {
        store<u32>(lane, 0, LANE_PACKET);
        active--;
      }
    }
  }
  // The states are as good as the key; schedules and stages hold parts of messages and digests.
  memory.fill(scratch, 0, LANES + <usize>lanes * LANE_SIZE);
}

@inline
function laneAt(scratch: usize, lane: i32): usize {
  return scratch + LANES + <usize>lane * LANE_SIZE;
}

/** One lane's words in the hash state. */
@inline
function laneState(hash: u32, scratch: usize, lane: i32): usize {
  return scratch + <u32>lane * hashWordSize(hash);
}

/** Hashes as many blocks as every lane in work has in its run. @returns how many */
function absorb(hash: u32, scratch: usize, lanes: i32, active: i32): u32 {
  let blocks: u32 = 0xffffffff;
  let one = 0;
  for (let i = 0; i < lanes; i++) {
    const lane = laneAt(scratch, i);
    if (load<u32>(lane, LANE_PACKET) == 0) continue;
    blocks = min(blocks, load<u32>(lane, LANE_BLOCKS));
    one = i;
  }
  const at = load<u32>(laneAt(scratch, one), LANE_AT);
  if (active == 1) {
    hashBlocks(hash, laneState(hash, scratch, one), at, blocks, scratch + SCHEDULE);
    return blocks;
  }
  // Lanes without a packet read along with one that has some; nobody looks at their state.
  for (let i = 0; i < HASH_MAX_LANES; i++) {
    const lane = laneAt(scratch, i);
    const busy = i < lanes && load<u32>(lane, LANE_PACKET) != 0;
    store<u32>(scratch + (i << 2), busy ? load<u32>(lane, LANE_AT) : at, POINTERS);
  }
  hashBlocksAll(hash, scratch, scratch + POINTERS, blocks, scratch + SCHEDULE);
  return blocks;
}

/** Puts a packet to work in a lane: its runs, its staged blocks, the inner state. */
function startPacket(hash: u32, scratch: usize, index: i32, packet: usize, offset: u32): void {
  const lane = laneAt(scratch, index);
  const blockSize = hashBlockSize(hash);
  const mask = blockSize - 1;
  let head: usize = load<u32>(packet, PACKET_AAD);
  let headLength = load<u32>(packet, PACKET_AAD_LENGTH);
  let body: usize = load<u32>(packet, PACKET_PAYLOAD);
  let bodyLength = load<u32>(packet, PACKET_LENGTH);
  const total = headLength + bodyLength;
  if (head + headLength == body) {
    body = head;
    bodyLength = total;
    headLength = 0;
  }
  store<u32>(lane, <u32>packet, LANE_PACKET);
  store<u32>(lane, 0, LANE_OUTER);
  let run = addRun(lane + LANE_RUNS, head, headLength / blockSize);
  head += headLength & ~mask;
  headLength &= mask;
  if (headLength != 0 && headLength + bodyLength >= blockSize) {
    const rest = blockSize - headLength;
    memory.copy(lane + LANE_STRADDLE, head, headLength);
    memory.copy(lane + LANE_STRADDLE + headLength, body, rest);
    run = addRun(run, lane + LANE_STRADDLE, 1);
    body += rest;
    bodyLength -= rest;
    headLength = 0;
  }
  run = addRun(run, body, bodyLength / blockSize);
  body += bodyLength & ~mask;
  bodyLength &= mask;
  const tail = lane + LANE_TAIL;
  memory.copy(tail, head, headLength);
  memory.copy(tail + headLength, body, bodyLength);
  run = addRun(run, tail, stageTail(blockSize, tail, headLength + bodyLength, total, packet));
  store<u32>(lane, <u32>run, LANE_END);
  store<u32>(lane, <u32>(lane + LANE_RUNS), LANE_NEXT);
  loadState(hash, scratch, index, <usize>load<u32>(packet, PACKET_KEY) + offset + INNER);
  nextRun(hash, scratch, index, offset);
}

/** @returns where the next run's entry goes; empty runs are left out */
@inline
function addRun(run: usize, at: usize, blocks: u32): usize {
  store<u32>(run, <u32>at);
  store<u32>(run, blocks, 4);
  return blocks == 0 ? run : run + 8;
}

/** Adds SEQ_HI (RFC 4303 §2.8), padding and the bit length behind `used` bytes. @returns blocks */
function stageTail(blockSize: u32, tail: usize, used: u32, length: u32, packet: usize): u32 {
  if (load<u32>(packet, PACKET_FLAGS) & PACKET_FLAG_ESN) {
    store<u32>(tail + used, bswap<u32>(load<u32>(packet, PACKET_SEQ_HI)));
    used += 4;
    length += 4;
  }
  return stagePadding(blockSize, tail, used, blockSize + length);
}

/** FIPS 180-4 §5.1: a one bit, zeros, the length in bits. @returns blocks */
function stagePadding(blockSize: u32, at: usize, used: u32, length: u32): u32 {
  const blocks: u32 = used + 1 + (blockSize >> 3) > blockSize ? 2 : 1;
  memory.fill(at + used, 0, blocks * blockSize - used);
  store<u8>(at + used, 0x80);
  store<u32>(at + blocks * blockSize - 4, bswap<u32>(length << 3));
  return blocks;
}

/** Copies words at `from` into a lane of the hash state. */
function loadState(hash: u32, scratch: usize, index: i32, from: usize): void {
  const state = laneState(hash, scratch, index);
  if (hashWordSize(hash) == 4) {
    for (let i: usize = 0; i < HASH_WORDS; i++) store<u32>(state + (i << 4), load<u32>(from + (i << 2)));
  } else {
    for (let i: usize = 0; i < HASH_WORDS; i++) store<u64>(state + (i << 4), load<u64>(from + (i << 3)));
  }
}

/** Begins the lane's next run; after the last, the outer block. @returns false when all is hashed */
function nextRun(hash: u32, scratch: usize, index: i32, offset: u32): bool {
  const lane = laneAt(scratch, index);
  const run: usize = load<u32>(lane, LANE_NEXT);
  if (run != load<u32>(lane, LANE_END)) {
    store<u64>(lane, load<u64>(run), LANE_AT);
    store<u32>(lane, <u32>run + 8, LANE_NEXT);
    return true;
  }
  if (load<u32>(lane, LANE_OUTER) != 0) return false;
  store<u32>(lane, 1, LANE_OUTER);
  const digest = lane + LANE_DIGEST;
  const length = hashDigestLength(hash);
  const blockSize = hashBlockSize(hash);
  hashDigest(hash, laneState(hash, scratch, index), digest);
  store<u32>(lane, <u32>digest, LANE_AT);
  store<u32>(lane, stagePadding(blockSize, digest, length, blockSize + length), LANE_BLOCKS);
  const key: usize = load<u32>(load<u32>(lane, LANE_PACKET), PACKET_KEY);
  loadState(hash, scratch, index, key + offset + OUTER);
  return true;
}

function finishPacket(hash: u32, scratch: usize, index: i32, seal: bool): void {
  const lane = laneAt(scratch, index);
  const packet: usize = load<u32>(lane, LANE_PACKET);
  const length = load<u32>(load<u32>(packet, PACKET_KEY), KEY_ICV_LENGTH);
  const icv: usize = load<u32>(packet, PACKET_ICV);
  hashDigest(hash, laneState(hash, scratch, index), lane + LANE_DIGEST);
  if (seal) memory.copy(icv, lane + LANE_DIGEST, length);
  else if (icvDifference(lane + LANE_DIGEST, icv, length) != 0) return rejectIcv(packet);
  accept(packet);
}
