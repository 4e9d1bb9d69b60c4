/**
 * AES-GCM for ESP (RFC 4106; NIST SP 800-38D), and AES-GMAC (RFC 4543), which encrypts nothing.
 *
 *  STATE: | packed round keys (192 or 256) | tables of ghash.ts for few packets (2048) | H … H^6 (128) |
 *  nonce: | salt (4) | explicit IV (8) | counter (4, big-endian): 1 masks the tag, 2 … the payload |
 *
 * What is hashed (SP 800-38D §7.1): AAD, padded; ciphertext, padded; their lengths in bits.
 *
 *     GCM           AAD = SPI, sequence number            ciphertext = PAYLOAD
 *     GMAC in ESP   AAD = SPI, sequence number, IV, PAYLOAD                (RFC 4543 §3.3)
 *     GMAC in AH    AAD = what AH covers, and SEQ_HI if FLAG_ESN           (RFC 4543 §4)
 */
import {
  KEY_ICV_LENGTH,
  KEY_INTEG_KEY,
  KEY_INTEG_KEY_LENGTH,
  KEY_KEY,
  KEY_KEY_LENGTH,
  KEY_SALT,
  KEY_STATE,
  PACKET_AAD,
  PACKET_AAD_LENGTH,
  PACKET_FLAG_ESN,
  PACKET_FLAGS,
  PACKET_ICV,
  PACKET_IV,
  PACKET_KEY,
  PACKET_LENGTH,
  PACKET_PAYLOAD,
  PACKET_SEQ_HI,
} from "../layout";
import { cryptPayload, hasCounterKey, LONGEST_REST, makeMixedStreams, makeStreams, startCounter, useCounterKey, wipeCounter } from "./aes-counter";
import { IS_WIDE } from "./aes-bits";
import { COUNTER_SCRATCH_SIZE } from "./aes-counter-rounds";
import { roundsOf } from "./aes-key";
import { encryptZero, packedKeysSize, packKeys, SLICED_KEYS_MAX, slicedKeysSize, sliceLaneKeys, spreadKeys } from "./aes-lanes";
import { STREAM_MASK, STREAM_SIZE } from "./aes-streams";
import { storePartial } from "./bytes";
import { keptBitsKeys, keptKeys, keptTables, POWERS_SIZE } from "./gcm-tables";
import {
  bitLengths,
  expandPower,
  FEW_BLOCKS,
  GHASH_BLOCKS,
  GHASH_FEW_SIZE,
  HASH_SIZE,
  hashBlock,
  hashEnd,
  hashFlush,
  hashPadded,
  hashStart,
  timesPower,
} from "./ghash";
import { HASH_LANES, hashLanes, LANES_SCRATCH_SIZE, messageBlocks } from "./ghash-lanes";
import { aadPrefix, hashShort, isShortMessage } from "./ghash-short";
import { accept, rejectIcv, tagDiffers } from "./verdict";

/** What a run does to a packet. */
type Mode = u32;
const GCM: Mode = 0;
const GMAC_ESP: Mode = 1;
const GMAC_AH: Mode = 2;

/** Packets in work at a time; those of one KEY stay by themselves if they are so many. */
const CHUNK: i32 = 16;
const LEAST_SAME: i32 = 8;
/** Short ones of one KEY share RUNs of aes-bits.ts. */
const SHORT_CHUNK: i32 = IS_WIDE ? 32 : 16;
/** Bytes of a KEY that one packet needs: raw keys, round keys, tables of few powers. */
const FETCHED: usize = KEY_STATE + 256 + GHASH_FEW_SIZE;
const FIRST_COUNTER: u32 = 2;

// Scratch, behind aes-counter's.
/** Where GMAC joins parts of its message. */
const JOINT: usize = COUNTER_SCRATCH_SIZE;
/** u32: the KEY in work, and the one whose round keys are in KEYS. */
const IN_WORK: usize = JOINT + 48;
const SPREAD: usize = JOINT + 52;
/** u32: makes what is fetched needed. */
const SUM: usize = JOINT + 56;
const HASH: usize = JOINT + 64;
const LANES: usize = HASH + HASH_SIZE;
/**
 * Round keys, sliced, of one KEY and of a KEY in each lane. They would be 2816 bytes and more of every SA,
 * and thousands of SAs do not fit into the processor's caches.
 */
const KEYS: usize = LANES + LANES_SCRATCH_SIZE;
const LANE_KEYS: usize = KEYS + SLICED_KEYS_MAX;
const STREAMS: usize = LANE_KEYS + SLICED_KEYS_MAX;

/** @returns bytes of STATE */
export function gcmStateLength(keyLength: u32): u32 {
  return packedKeysSize(keyLength) + GHASH_FEW_SIZE + POWERS_SIZE;
}

/** Packs the round keys and makes the tables of H = E(K, 0). */
export function gcmSetup(key: usize, scratch: usize): void {
  setup(key, key + KEY_KEY, load<u32>(key, KEY_KEY_LENGTH), scratch);
}

/** The same for GMAC in AH, whose key is INTEG_KEY. */
export function gmacSetup(key: usize, scratch: usize): void {
  setup(key, key + KEY_INTEG_KEY, load<u32>(key, KEY_INTEG_KEY_LENGTH), scratch);
}

function setup(key: usize, from: usize, keyLength: u32, scratch: usize): void {
  const packed = key + KEY_STATE;
  const keys = scratch + KEYS;
  packKeys(from, keyLength, packed);
  spreadKeys(packed, keyLength, keys);
  const tables = packed + packedKeysSize(keyLength);
  const powers = tables + GHASH_FEW_SIZE;
  let power = encryptZero(keys, keyLength, scratch);
  memory.fill(keys, 0, SLICED_KEYS_MAX);
  for (let n: u32 = 1; n <= GHASH_BLOCKS; n++) {
    if (n > 1) power = timesPower(tables, 1, scratch, power);
    v128.store(powers + ((n - 1) << 4), power);
    if (n <= FEW_BLOCKS) expandPower(tables, n, power);
  }
  memory.fill(scratch, 0, HASH_SIZE);
}

/** Seals or opens `count` packets of KEYs of one suite, those of a KEY together, given as an array of descriptor addresses. */
export function gcmRun(list: usize, count: i32, scratch: usize, seal: bool): void {
  run(GCM, KEY_KEY_LENGTH, list, count, scratch, seal);
}

/** ENCR_NULL_AUTH_AES_GMAC. */
export function gmacRun(list: usize, count: i32, scratch: usize, seal: bool): void {
  run(GMAC_ESP, KEY_KEY_LENGTH, list, count, scratch, seal);
}

/** AUTH_AES_128_GMAC and its siblings. */
export function gmacAhRun(list: usize, count: i32, scratch: usize, seal: bool): void {
  run(GMAC_AH, KEY_INTEG_KEY_LENGTH, list, count, scratch, seal);
}

/** @param lengthField where the KEY has the length of its AES key */
function run(mode: Mode, lengthField: usize, list: usize, count: i32, scratch: usize, seal: bool): void {
  const keyLength = load<u32>(<usize>load<u32>(load<u32>(list), PACKET_KEY) + lengthField);
  startCounter(roundsOf(keyLength), FIRST_COUNTER, scratch);
  store<u32>(scratch, 0, IN_WORK);
  store<u32>(scratch, 0, SPREAD);
  let mixed = false;
  let used = CHUNK;
  for (let from = 0, taken = 0; from < count; from += taken) {
    const chunk = list + (from << 2);
    taken = min(count - from, CHUNK);
    const same = countSame(chunk, taken);
    if (same == taken || same >= LEAST_SAME) {
      taken = same;
      if (IS_WIDE && count - from >= SHORT_CHUNK && areShort(chunk)) taken = SHORT_CHUNK;
      used = max(used, taken);
      const key: usize = load<u32>(load<u32>(chunk), PACKET_KEY);
      const kept = keptTables(key, keyLength, chunk, taken, scratch);
      useKey(key, keyLength, kept, scratch);
      makeStreams(chunk, taken, true, mode == GCM, scratch + STREAMS, scratch);
      runSame(mode, chunk, taken, key + KEY_STATE + packedKeysSize(keyLength), kept, scratch, seal);
    } else {
      mixed = true;
      fetchKeys(chunk, taken, scratch);
      sliceLaneKeys(chunk, taken, keyLength, scratch + LANE_KEYS, scratch + STREAMS);
      makeMixedStreams(chunk, taken, mode == GCM, scratch + LANE_KEYS, scratch + STREAMS, scratch);
      runMixed(mode, chunk, taken, keyLength, scratch, seal);
    }
  }
  wipeCounter(scratch + STREAMS, min(count, used), scratch);
  // Round keys would decrypt; nibbles tell of H.
  memory.fill(scratch + JOINT, 0, KEYS - JOINT + (load<u32>(scratch, SPREAD) != 0 ? <usize>slicedKeysSize(keyLength) : 0));
  if (mixed) memory.fill(scratch + LANE_KEYS, 0, slicedKeysSize(keyLength));
}

/**
 * Reads a KEY's lines one behind the other, well before they are needed: waiting for all of them at once
 * takes little longer than for one, if they are far away.
 */
@inline
function fetchLines(key: usize, from: usize, to: usize): u32 {
  let sum: u32 = 0;
  for (let line = from; line < to; line += 128) sum ^= load<u32>(key + line) ^ load<u32>(key + line, 64);
  return sum;
}

/** Fetches what a chunk of several KEYs needs first: round keys, and short packets' tables. */
function fetchKeys(list: usize, count: i32, scratch: usize): void {
  let sum: u32 = 0;
  for (let i = 0; i < count; i++) {
    const packet: usize = load<u32>(list + (i << 2));
    sum ^= fetchLines(load<u32>(packet, PACKET_KEY), 0, isShort(packet) ? FETCHED : KEY_STATE + 256);
  }
  store<u32>(scratch, sum, SUM);
}

/** Fetches the tables for a long packet, while the one before it is in work. */
function fetchTables(packet: usize, scratch: usize): void {
  if (!isShort(packet)) store<u32>(scratch, fetchLines(load<u32>(packet, PACKET_KEY), KEY_STATE + 192, FETCHED), SUM);
}

/** Is all the packet's keystream in its STREAM? */
@inline
function isShort(packet: usize): bool {
  return load<u32>(packet, PACKET_LENGTH) <= LONGEST_REST;
}

/** @returns how many of the packets, from the first on, have its KEY */
function countSame(list: usize, count: i32): i32 {
  const key = load<u32>(load<u32>(list), PACKET_KEY);
  let same = 1;
  while (same < count && load<u32>(load<u32>(list + (same << 2)), PACKET_KEY) == key) same++;
  return same;
}

/** Are so many packets short and of one KEY? They are sorted. */
@inline
function areShort(list: usize): bool {
  return isShort(load<u32>(list + ((SHORT_CHUNK - 1) << 2))) && countSame(list, SHORT_CHUNK) == SHORT_CHUNK;
}

/** Has this KEY's round keys in all lanes. @param kept its tables, or 0 */
function useKey(key: usize, keyLength: u32, kept: usize, scratch: usize): void {
  const keys = kept != 0 ? keptKeys(kept) : scratch + KEYS;
  if (load<u32>(scratch, IN_WORK) == <u32>key && hasCounterKey(keys, scratch)) return;
  store<u32>(scratch, <u32>key, IN_WORK);
  if (kept == 0 && load<u32>(scratch, SPREAD) != <u32>key) {
    store<u32>(scratch, <u32>key, SPREAD);
    spreadKeys(key + KEY_STATE, keyLength, keys);
  }
  useCounterKey(keys, load<u32>(key, KEY_SALT), kept != 0 ? keptBitsKeys(kept) : 0, scratch);
}

/** Packets of one KEY, whose STREAMs are made. @param own its tables for few packets, @param kept those for many, or 0 */
function runSame(mode: Mode, list: usize, count: i32, own: usize, kept: usize, scratch: usize, seal: bool): void {
  const tables = kept != 0 ? kept : own;
  const hashed = hashEnd(scratch + HASH, kept != 0 ? GHASH_BLOCKS : FEW_BLOCKS);
  for (let i = 0; i < count; ) {
    const packets = list + (i << 2);
    const lanes = mode == GCM && kept != 0 && worthLanes(packets, count - i) ? HASH_LANES : 1;
    let streams = scratch + STREAMS + i * STREAM_SIZE;
    i += lanes;
    if (lanes == 1) {
      runPacket(mode, load<u32>(packets), streams, tables, hashed, scratch, seal);
      continue;
    }
    if (seal) cryptPackets(packets, lanes, streams, scratch);
    let hash = hashFour(packets, tables, scratch + LANES);
    for (let lane = 0; lane < lanes; lane++, hash += 16, streams += STREAM_SIZE) {
      finish(mode, load<u32>(packets + (lane << 2)), streams, v128.load(hash), scratch, seal);
    }
  }
}

/** Hashes of four packets. */
@inline
function hashFour(packets: usize, tables: usize, scratch: usize): usize {
  const packet: usize = load<u32>(packets);
  const aadLength = load<u32>(packet, PACKET_AAD_LENGTH);
  const length = load<u32>(packet, PACKET_LENGTH);
  if (!isShortMessage(aadLength, length)) return hashLanes(packets, tables, scratch);
  const prefix = aadPrefix(packet, aadLength);
  for (let lane = 1; lane < HASH_LANES; lane++) {
    const other: usize = load<u32>(packets + (lane << 2));
    if (
      load<u32>(other, PACKET_AAD_LENGTH) != aadLength || load<u32>(other, PACKET_LENGTH) != length ||
      aadPrefix(other, aadLength) != prefix
    ) return hashLanes(packets, tables, scratch);
  }
  return hashShort(packets, prefix, tables, scratch);
}

/** Do the first packets' hashes cost less side by side? A block of four lanes costs as much as three alone. */
function worthLanes(packets: usize, count: i32): bool {
  if (count < HASH_LANES) return false;
  let most: u32 = 0;
  let all: u32 = 0;
  for (let lane = 0; lane < HASH_LANES; lane++) {
    const blocks = messageBlocks(load<u32>(packets + (lane << 2)));
    most = max(most, blocks);
    all += blocks;
  }
  return all >= 3 * most;
}

/** Packets of several KEYs, whose STREAMs are made. */
function runMixed(mode: Mode, list: usize, count: i32, keyLength: u32, scratch: usize, seal: bool): void {
  const hashed = hashEnd(scratch + HASH, FEW_BLOCKS);
  for (let i = 0; i < count; i++) {
    const packet: usize = load<u32>(list + (i << 2));
    const key: usize = load<u32>(packet, PACKET_KEY);
    if (i + 1 < count && load<u32>(load<u32>(list + ((i + 1) << 2)), PACKET_KEY) != <u32>key) {
      fetchTables(load<u32>(list + ((i + 1) << 2)), scratch);
    }
    if (mode == GCM && !isShort(packet)) useKey(key, keyLength, 0, scratch);
    const tables = key + KEY_STATE + packedKeysSize(keyLength);
    runPacket(mode, packet, scratch + STREAMS + i * STREAM_SIZE, tables, hashed, scratch, seal);
  }
}

/** @param hashed end of the blocks that wait, see `hashEnd` */
@inline
function runPacket(
  mode: Mode, packet: usize, stream: usize, tables: usize, hashed: usize, scratch: usize, seal: bool,
): void {
  if (seal && mode == GCM) cryptPayload(packet, stream, scratch);
  finish(mode, packet, stream, hashPacket(mode, packet, tables, hashed, scratch), scratch, seal);
}

function cryptPackets(packets: usize, count: i32, streams: usize, scratch: usize): void {
  for (let i = 0; i < count; i++) cryptPayload(load<u32>(packets + (i << 2)), streams + i * STREAM_SIZE, scratch);
}

/** Masks a packet's hash: that is its ICV, to be written, or to be compared before anything is decrypted. */
@inline
function finish(mode: Mode, packet: usize, stream: usize, hash: v128, scratch: usize, seal: bool): void {
  const tag = v128.xor(v128.load(stream, STREAM_MASK), hash);
  const icv: usize = load<u32>(packet, PACKET_ICV);
  const icvLength = load<u32>(load<u32>(packet, PACKET_KEY), KEY_ICV_LENGTH);
  if (seal) {
    storePartial(icv, tag, icvLength);
  } else {
    if (tagDiffers(tag, icv, icvLength)) {
      rejectIcv(packet);
      return;
    }
    if (mode == GCM) cryptPayload(packet, stream, scratch);
  }
  accept(packet);
}

/** GHASH of a packet's AAD, ciphertext and lengths. @param end of the blocks that wait, see `hashEnd` */
function hashPacket(mode: Mode, packet: usize, tables: usize, end: usize, scratch: usize): v128 {
  if (mode != GCM) return hashJoined(mode, packet, tables, end, scratch);
  const hash = scratch + HASH;
  const aadLength = load<u32>(packet, PACKET_AAD_LENGTH);
  const length = load<u32>(packet, PACKET_LENGTH);
  let to = hashStart(hash);
  to = hashPadded(hash, tables, to, end, load<u32>(packet, PACKET_AAD), aadLength);
  to = hashPadded(hash, tables, to, end, load<u32>(packet, PACKET_PAYLOAD), length);
  return hashFlush(hash, tables, hashBlock(hash, tables, to, end, bitLengths(aadLength, length)));
}

/**
 * GHASH of one AAD that lies in parts. Blocks across a boundary are put together in JOINT:
 *
 *     AAD        | IV (ESP) | PAYLOAD                  | SEQ_HI (AH, ESN)
 *     in place | JOINT       | in place         | JOINT
 */
function hashJoined(mode: Mode, packet: usize, tables: usize, end: usize, scratch: usize): v128 {
  const hash = scratch + HASH;
  const joint = scratch + JOINT;
  const aadLength = load<u32>(packet, PACKET_AAD_LENGTH);
  let length = load<u32>(packet, PACKET_LENGTH);
  let total = aadLength + length;
  let at: usize = load<u32>(packet, PACKET_AAD);
  let to = hashPadded(hash, tables, hashStart(hash), end, at, aadLength & ~15);
  let joined = aadLength & 15;
  memory.copy(joint, at + (aadLength & ~15), joined);
  if (mode == GMAC_ESP) {
    store<u64>(joint + joined, load<u64>(load<u32>(packet, PACKET_IV)));
    joined += 8;
    total += 8;
  }
  at = load<u32>(packet, PACKET_PAYLOAD);
  const borrowed = min(length, (0 - joined) & 15);
  memory.copy(joint + joined, at, borrowed);
  joined += borrowed;
  at += borrowed;
  length -= borrowed;
  // Either JOINT is whole blocks now, or there is no payload left.
  if (length > 0) {
    to = hashPadded(hash, tables, to, end, joint, joined);
    to = hashPadded(hash, tables, to, end, at, length & ~15);
    joined = length & 15;
    memory.copy(joint, at + (length & ~15), joined);
  }
  if (mode == GMAC_AH && load<u32>(packet, PACKET_FLAGS) & PACKET_FLAG_ESN) {
    store<u32>(joint + joined, bswap<u32>(load<u32>(packet, PACKET_SEQ_HI)));
    joined += 4;
    total += 4;
  }
  to = hashPadded(hash, tables, to, end, joint, joined);
  return hashFlush(hash, tables, hashBlock(hash, tables, to, end, bitLengths(total, 0)));
}
