/**
 * AES-GCM for ESP (RFC 4106; NIST SP 800-38D).
 *
 *  STATE: | round keys (256) | GHASH tables (8192) |
 *  nonce: | salt (4) | explicit IV (8) | counter (4, big-endian, from 1) |
 */
import {
  KEY_ICV_LENGTH,
  KEY_KEY_LENGTH,
  KEY_SALT,
  KEY_STATE,
  PACKET_AAD,
  PACKET_AAD_LENGTH,
  PACKET_ICV,
  PACKET_IV,
  PACKET_KEY,
  PACKET_LENGTH,
  PACKET_PAYLOAD,
} from "../layout";
import { encryptBlock, expandKey, ROUND_KEYS_SIZE, roundsOf } from "./aes-key";
import { loadPartial, storePartial } from "./bytes";
import { expandHashKey, GHASH_TABLES_SIZE, hashBlock, hashPadded } from "./ghash";
import { accept, icvDifference, rejectIcv } from "./verdict";

const STATE_TABLES: usize = KEY_STATE + ROUND_KEYS_SIZE;

/** @returns bytes of STATE */
export function gcmStateLength(keyLength: u32): u32 {
  return ROUND_KEYS_SIZE + GHASH_TABLES_SIZE;
}

/** Expands the key and H = E(K, 0). */
export function gcmSetup(key: usize): void {
  expandKey(key, key + KEY_STATE);
  const h = encryptBlock(key + KEY_STATE, roundsOf(load<u32>(key, KEY_KEY_LENGTH)), i64x2.splat(0));
  expandHashKey(key + STATE_TABLES, h);
}

/** Seals `count` packets of one KEY, given as an array of descriptor addresses. */
export function gcmSeal(list: usize, count: i32, scratch: usize): void {
  for (let i = 0; i < count; i++) {
    const packet: usize = load<u32>(list + (i << 2));
    const key: usize = load<u32>(packet, PACKET_KEY);
    crypt(packet, key);
    storePartial(load<u32>(packet, PACKET_ICV), icv(packet, key), load<u32>(key, KEY_ICV_LENGTH));
    accept(packet);
  }
}

/** Opens `count` packets of one KEY, given as an array of descriptor addresses. */
export function gcmOpen(list: usize, count: i32, scratch: usize): void {
  for (let i = 0; i < count; i++) {
    const packet: usize = load<u32>(list + (i << 2));
    const key: usize = load<u32>(packet, PACKET_KEY);
    v128.store(scratch, icv(packet, key));
    if (icvDifference(scratch, load<u32>(packet, PACKET_ICV), load<u32>(key, KEY_ICV_LENGTH))) {
      rejectIcv(packet);
      continue;
    }
    crypt(packet, key);
    accept(packet);
  }
}

/** Salt ‖ IV ‖ counter (RFC 4106 §4). */
@inline
function counterBlock(packet: usize, key: usize, counter: u32): v128 {
  const salted = v128.load64_lane(load<u32>(packet, PACKET_IV), i64x2.splat(0), 1);
  const nonce = i32x4.replace_lane(i8x16.shuffle(salted, salted, 0, 0, 0, 0, 8, 9, 10, 11, 12, 13, 14, 15, 0, 0, 0, 0), 0, load<u32>(key, KEY_SALT));
  return i32x4.replace_lane(nonce, 3, bswap<u32>(counter));
}

function crypt(packet: usize, key: usize): void {
  const rounds = roundsOf(load<u32>(key, KEY_KEY_LENGTH));
  let at: usize = load<u32>(packet, PACKET_PAYLOAD);
  let left = load<u32>(packet, PACKET_LENGTH);
  for (let counter: u32 = 2; left > 0; counter++) {
    const block = min<u32>(left, 16);
    const stream = encryptBlock(key + KEY_STATE, rounds, counterBlock(packet, key, counter));
    storePartial(at, v128.xor(v128.load(at), stream), block);
    at += block;
    left -= block;
  }
}

/** The whole tag of the packet's AAD and ciphertext. */
function icv(packet: usize, key: usize): v128 {
  const tables = key + STATE_TABLES;
  const aadLength = load<u32>(packet, PACKET_AAD_LENGTH);
  const length = load<u32>(packet, PACKET_LENGTH);
  let y = hashPadded(tables, i64x2.splat(0), load<u32>(packet, PACKET_AAD), aadLength);
  y = hashPadded(tables, y, load<u32>(packet, PACKET_PAYLOAD), length);
  const lengths = i64x2.replace_lane(i64x2.splat(bswap<u64>(<u64>aadLength << 3)), 1, bswap<u64>(<u64>length << 3));
  y = hashBlock(tables, v128.xor(y, lengths));
  const rounds = roundsOf(load<u32>(key, KEY_KEY_LENGTH));
  return v128.xor(y, encryptBlock(key + KEY_STATE, rounds, counterBlock(packet, key, 1)));
}
