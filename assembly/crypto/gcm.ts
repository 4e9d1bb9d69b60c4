/**
 * AES-GCM for ESP (RFC 4106; NIST SP 800-38D).
 *
 *  STATE: | sliced round keys (2816, 3328 or 3840) | GHASH tables (8192) |
 *  nonce: | salt (4) | explicit IV (8) | counter (4, big-endian): 1 masks the tag, 2 … the payload |
 */
import {
  KEY_ICV_LENGTH,
  KEY_KEY,
  KEY_KEY_LENGTH,
  KEY_SALT,
  KEY_STATE,
  PACKET_AAD,
  PACKET_AAD_LENGTH,
  PACKET_ICV,
  PACKET_KEY,
  PACKET_LENGTH,
  PACKET_PAYLOAD,
} from "../layout";
import { COUNTER_SCRATCH_SIZE, cryptPayload, STREAM_MASK, STREAM_SIZE, startStreams } from "./aes-counter";
import { encryptZero, sliceKeys, slicedKeysSize } from "./aes-lanes";
import { storePartial } from "./bytes";
import { expandHashKey, GHASH_TABLES_SIZE, HASH_SCRATCH_SIZE, hashBlock, hashPadded } from "./ghash";
import { accept, icvDifference, rejectIcv } from "./verdict";

/** Packets in work at a time. */
const CHUNK: i32 = 32;
const FIRST_COUNTER: i32 = 2;
// Scratch, behind aes-counter's.
const TAG: usize = COUNTER_SCRATCH_SIZE;
const NIBBLES: usize = TAG + 64;
const STREAMS: usize = NIBBLES + HASH_SCRATCH_SIZE;

/** @returns bytes of STATE */
export function gcmStateLength(keyLength: u32): u32 {
  return slicedKeysSize(keyLength) + GHASH_TABLES_SIZE;
}

/** Slices the round keys and makes the tables of H = E(K, 0). */
export function gcmSetup(key: usize, scratch: usize): void {
  const keyLength = load<u32>(key, KEY_KEY_LENGTH);
  const keys = key + KEY_STATE;
  sliceKeys(key + KEY_KEY, keyLength, keys, scratch);
  expandHashKey(hashTables(key), encryptZero(keys, keyLength, scratch), scratch);
}

@inline
function hashTables(key: usize): usize {
  return key + KEY_STATE + slicedKeysSize(load<u32>(key, KEY_KEY_LENGTH));
}

/** Seals `count` packets of one KEY, given as an array of descriptor addresses. */
export function gcmSeal(list: usize, count: i32, scratch: usize): void {
  runChunks(list, count, scratch, true);
}

/** Opens `count` packets of one KEY, given as an array of descriptor addresses. */
export function gcmOpen(list: usize, count: i32, scratch: usize): void {
  runChunks(list, count, scratch, false);
}

function runChunks(list: usize, count: i32, scratch: usize, seal: bool): void {
  const key: usize = load<u32>(load<u32>(list), PACKET_KEY);
  const salt = load<u32>(key, KEY_SALT);
  const icvLength = load<u32>(key, KEY_ICV_LENGTH);
  const tables = hashTables(key);
  const streams = scratch + STREAMS;
  for (let from = 0; from < count; from += CHUNK) {
    const chunk = list + (from << 2);
    const size = min(count - from, CHUNK);
    startStreams(chunk, size, salt, FIRST_COUNTER, true, streams, scratch);
    for (let i = 0; i < size; i++) {
      const packet: usize = load<u32>(chunk + (i << 2));
      const stream = streams + i * STREAM_SIZE;
      const mask = v128.load(stream, STREAM_MASK);
      const icv: usize = load<u32>(packet, PACKET_ICV);
      if (seal) {
        cryptPayload(packet, salt, FIRST_COUNTER, stream, scratch);
        storePartial(icv, v128.xor(mask, hashPacket(packet, tables, scratch + NIBBLES)), icvLength);
      } else {
        v128.store(scratch + TAG, v128.xor(mask, hashPacket(packet, tables, scratch + NIBBLES)));
        if (icvDifference(scratch + TAG, icv, icvLength) != 0) {
          rejectIcv(packet);
          continue;
        }
        cryptPayload(packet, salt, FIRST_COUNTER, stream, scratch);
      }
      accept(packet);
    }
  }
  memory.fill(scratch, 0, STREAMS + <u32>min(count, CHUNK) * STREAM_SIZE);
}

/** GHASH of AAD, ciphertext and both lengths in bits (SP 800-38D §7.1). */
function hashPacket(packet: usize, tables: usize, nibbles: usize): v128 {
  const aadLength = load<u32>(packet, PACKET_AAD_LENGTH);
  const length = load<u32>(packet, PACKET_LENGTH);
  let y = hashPadded(tables, i64x2.splat(0), load<u32>(packet, PACKET_AAD), aadLength, nibbles);
  y = hashPadded(tables, y, load<u32>(packet, PACKET_PAYLOAD), length, nibbles);
  const lengths = i64x2.replace_lane(i64x2.splat(bswap<u64>(<u64>aadLength << 3)), 1, bswap<u64>(<u64>length << 3));
  return hashBlock(tables, v128.xor(y, lengths), nibbles);
}
