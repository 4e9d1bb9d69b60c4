/**
 * AES-GCM for ESP (RFC 4106; NIST SP 800-38D), and AES-GMAC (RFC 4543), which encrypts nothing.
 *
 *  STATE: | sliced round keys (2816, 3328 or 3840) | GHASH tables (8192) |
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
import { COUNTER_SCRATCH_SIZE, cryptPayload, makeStreams, STREAM_MASK, STREAM_SIZE, startCounter, wipeCounter } from "./aes-counter";
import { roundsOf } from "./aes-key";
import { encryptZero, slicedKeysSize, sliceKeys } from "./aes-lanes";
import { storePartial } from "./bytes";
import { expandHashKey, GHASH_TABLES_SIZE, HASH_SIZE, hashBlock, hashFlush, hashPadded, hashStart } from "./ghash";
import { accept, icvDifference, rejectIcv } from "./verdict";

/** What a run does to a packet. */
type Mode = u32;
const GCM: Mode = 0;
const GMAC_ESP: Mode = 1;
const GMAC_AH: Mode = 2;

/** Packets in work at a time. */
const CHUNK: i32 = 16;
const FIRST_COUNTER: u32 = 2;

// Scratch, behind aes-counter's.
const TAG: usize = COUNTER_SCRATCH_SIZE;
/** Where GMAC joins parts of its message. */
const JOINT: usize = TAG + 16;
const HASH: usize = TAG + 64;
const STREAMS: usize = HASH + HASH_SIZE;

/** @returns bytes of STATE */
export function gcmStateLength(keyLength: u32): u32 {
  return slicedKeysSize(keyLength) + GHASH_TABLES_SIZE;
}

/** Slices the round keys and makes the tables of H = E(K, 0). */
export function gcmSetup(key: usize, scratch: usize): void {
  setup(key, key + KEY_KEY, load<u32>(key, KEY_KEY_LENGTH), scratch);
}

/** The same for GMAC in AH, whose key is INTEG_KEY. */
export function gmacSetup(key: usize, scratch: usize): void {
  setup(key, key + KEY_INTEG_KEY, load<u32>(key, KEY_INTEG_KEY_LENGTH), scratch);
}

function setup(key: usize, from: usize, keyLength: u32, scratch: usize): void {
  const keys = key + KEY_STATE;
  sliceKeys(from, keyLength, keys, scratch);
  expandHashKey(keys + slicedKeysSize(keyLength), encryptZero(keys, keyLength, scratch), scratch);
}

/** Seals or opens `count` packets of one KEY, given as an array of descriptor addresses. */
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
  const key: usize = load<u32>(load<u32>(list), PACKET_KEY);
  const keyLength = load<u32>(key + lengthField);
  const keys = key + KEY_STATE;
  const tables = keys + slicedKeysSize(keyLength);
  startCounter(keys, roundsOf(keyLength), load<u32>(key, KEY_SALT), FIRST_COUNTER, scratch);
  for (let from = 0; from < count; from += CHUNK) {
    runChunk(mode, list + (from << 2), min(count - from, CHUNK), tables, load<u32>(key, KEY_ICV_LENGTH), scratch, seal);
  }
  wipeCounter(scratch);
  // STREAMs would decrypt; tags and nibbles tell of H.
  memory.fill(scratch + TAG, 0, STREAMS - TAG + <u32>min(count, CHUNK) * STREAM_SIZE);
}

function runChunk(
  mode: Mode, list: usize, count: i32, tables: usize, icvLength: u32, scratch: usize, seal: bool,
): void {
  const streams = scratch + STREAMS;
  makeStreams(list, count, true, mode == GCM, streams, scratch);
  for (let i = 0; i < count; i++) {
    const packet: usize = load<u32>(list + (i << 2));
    const stream = streams + i * STREAM_SIZE;
    const mask = v128.load(stream, STREAM_MASK);
    const icv: usize = load<u32>(packet, PACKET_ICV);
    if (seal) {
      if (mode == GCM) cryptPayload(packet, stream, scratch);
      storePartial(icv, v128.xor(mask, hashPacket(mode, packet, tables, scratch)), icvLength);
    } else {
      v128.store(scratch + TAG, v128.xor(mask, hashPacket(mode, packet, tables, scratch)));
      if (icvDifference(scratch + TAG, icv, icvLength) != 0) {
        rejectIcv(packet);
        continue;
      }
      if (mode == GCM) cryptPayload(packet, stream, scratch);
    }
    accept(packet);
  }
}

/** GHASH of a packet's AAD, ciphertext and lengths. */
function hashPacket(mode: Mode, packet: usize, tables: usize, scratch: usize): v128 {
  if (mode != GCM) return hashJoined(mode, packet, tables, scratch);
  const hash = scratch + HASH;
  const aadLength = load<u32>(packet, PACKET_AAD_LENGTH);
  const length = load<u32>(packet, PACKET_LENGTH);
  let to = hashStart(hash);
  to = hashPadded(hash, tables, to, load<u32>(packet, PACKET_AAD), aadLength);
  to = hashPadded(hash, tables, to, load<u32>(packet, PACKET_PAYLOAD), length);
  return hashFlush(hash, tables, hashBlock(hash, tables, to, bitLengths(aadLength, length)));
}

@inline
function bitLengths(aadLength: u32, length: u32): v128 {
  return i64x2.replace_lane(i64x2.splat(bswap<u64>(<u64>aadLength << 3)), 1, bswap<u64>(<u64>length << 3));
}

/**
 * GHASH of one AAD that lies in parts. Blocks across a boundary are put together in JOINT:
 *
 *     AAD        | IV (ESP) | PAYLOAD                  | SEQ_HI (AH, ESN)
 *     in place | JOINT       | in place         | JOINT
 */
function hashJoined(mode: Mode, packet: usize, tables: usize, scratch: usize): v128 {
  const hash = scratch + HASH;
  const joint = scratch + JOINT;
  const aadLength = load<u32>(packet, PACKET_AAD_LENGTH);
  let length = load<u32>(packet, PACKET_LENGTH);
  let total = aadLength + length;
  let at: usize = load<u32>(packet, PACKET_AAD);
  let to = hashPadded(hash, tables, hashStart(hash), at, aadLength & ~15);
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
    to = hashPadded(hash, tables, to, joint, joined);
    to = hashPadded(hash, tables, to, at, length & ~15);
    joined = length & 15;
    memory.copy(joint, at + (length & ~15), joined);
  }
  if (mode == GMAC_AH && load<u32>(packet, PACKET_FLAGS) & PACKET_FLAG_ESN) {
    store<u32>(joint + joined, bswap<u32>(load<u32>(packet, PACKET_SEQ_HI)));
    joined += 4;
    total += 4;
  }
  to = hashPadded(hash, tables, to, joint, joined);
  return hashFlush(hash, tables, hashBlock(hash, tables, to, bitLengths(total, 0)));
}
