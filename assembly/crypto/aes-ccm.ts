/**
 * AES-CCM for ESP (RFC 4309; NIST SP 800-38C): CBC-MAC over the plaintext, counter mode over both.
 *
 *  STATE:         | sliced round keys (2816, 3328 or 3840) |
 *  counter block: | 3 | salt (3) | explicit IV (8) | counter (4, big-endian): 0 masks the MAC, 1 … the payload |
 *  MAC's message: | flags | salt | IV | LENGTH (4) | AAD's length (2), AAD, padding | PAYLOAD, padding |
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
  PACKET_IV,
  PACKET_KEY,
  PACKET_LENGTH,
  PACKET_PAYLOAD,
} from "../layout";
import {
  addRun,
  CHAIN_RESULT,
  CHAIN_STAGE,
  CHAINS,
  CHAINS_SCRATCH_SIZE,
  chainAt,
  runChains,
  startChain,
} from "./aes-chains";
import { cryptPayload, makeStreams, startCounter, useCounterKey, wipeCounter } from "./aes-counter";
import { COUNTER_SCRATCH_SIZE } from "./aes-counter-rounds";
import { roundsOf } from "./aes-key";
import { slicedKeysSize, sliceKeys } from "./aes-lanes";
import { STREAM_MASK, STREAM_SIZE } from "./aes-streams";
import { loadPartial, storePartial } from "./bytes";
import { accept, rejectIcv, tagDiffers } from "./verdict";

/** AAD that is longer has another encoding (SP 800-38C §A.2.2), which ESP never needs. */
export const CCM_AAD_LIMIT: u32 = 0xff00;
/** SP 800-38C §A.2.1: q - 1 for a LENGTH of q = 4 bytes. */
const FLAGS: u32 = 3;
const FLAG_AAD: u32 = 64;
const FIRST_COUNTER: u32 = 1;

// Scratch: aes-counter's, aes-chains', STREAMs.
const CHAINS_AT: usize = COUNTER_SCRATCH_SIZE;
const STREAMS: usize = CHAINS_AT + CHAINS_SCRATCH_SIZE;

/** @returns bytes of STATE */
export function ccmStateLength(keyLength: u32): u32 {
  return slicedKeysSize(keyLength);
}

export function ccmSetup(key: usize, scratch: usize): void {
  sliceKeys(key + KEY_KEY, load<u32>(key, KEY_KEY_LENGTH), key + KEY_STATE, scratch);
}

/** Seals or opens `count` packets of one KEY, given as an array of descriptor addresses. */
export function ccmRun(list: usize, count: i32, scratch: usize, seal: bool): void {
  const key: usize = load<u32>(load<u32>(list), PACKET_KEY);
  const rounds = roundsOf(load<u32>(key, KEY_KEY_LENGTH));
  const icvLength = load<u32>(key, KEY_ICV_LENGTH);
  const prefix = FLAGS | (load<u32>(key, KEY_SALT) << 8);
  startCounter(rounds, FIRST_COUNTER, scratch);
  useCounterKey(key + KEY_STATE, prefix, 0, scratch);
  for (let from = 0; from < count; from += CHAINS) {
    runChunk(list + (from << 2), min(count - from, CHAINS), prefix, rounds, icvLength, scratch, seal);
  }
  wipeCounter(scratch + STREAMS, min(count, CHAINS), scratch);
  memory.fill(scratch + CHAINS_AT, 0, STREAMS - CHAINS_AT);
}

function runChunk(
  list: usize, count: i32, prefix: u32, rounds: i32, icvLength: u32, scratch: usize, seal: bool,
): void {
  const chains = scratch + CHAINS_AT;
  const streams = scratch + STREAMS;
  makeStreams(list, count, true, true, streams, scratch);
  for (let i = 0; i < count; i++) {
    const packet: usize = load<u32>(list + (i << 2));
    if (!seal) cryptPayload(packet, streams + i * STREAM_SIZE, scratch);
    startMac(chains, i, packet, prefix, icvLength);
  }
  const key: usize = load<u32>(load<u32>(list), PACKET_KEY);
  runChains(count, false, key + KEY_STATE, rounds, chains);
  for (let i = 0; i < count; i++) {
    const packet: usize = load<u32>(list + (i << 2));
    const stream = streams + i * STREAM_SIZE;
    const icv: usize = load<u32>(packet, PACKET_ICV);
    const tag = v128.xor(v128.load(chainAt(chains, i), CHAIN_RESULT), v128.load(stream, STREAM_MASK));
    if (seal) {
      cryptPayload(packet, stream, scratch);
      storePartial(icv, tag, icvLength);
    } else {
      if (tagDiffers(tag, icv, icvLength)) {
        rejectIcv(packet);
        continue;
      }
    }
    accept(packet);
  }
}

/** Lays out the MAC's message: blocks that are no part of the packet are put together in STAGE. */
function startMac(chains: usize, lane: i32, packet: usize, prefix: u32, icvLength: u32): void {
  const chain = chainAt(chains, lane);
  const stage = chain + CHAIN_STAGE;
  const aad: usize = load<u32>(packet, PACKET_AAD);
  const aadLength = load<u32>(packet, PACKET_AAD_LENGTH);
  const payload: usize = load<u32>(packet, PACKET_PAYLOAD);
  const length = load<u32>(packet, PACKET_LENGTH);
  startChain(chains, lane, i64x2.splat(0));
  store<u32>(stage, prefix | (aadLength > 0 ? FLAG_AAD : 0) | (((icvLength - 2) >> 1) << 3));
  store<u64>(stage, load<u64>(load<u32>(packet, PACKET_IV)), 4);
  store<u32>(stage, bswap<u32>(length), 12);
  if (aadLength == 0) {
    addRun(chain, stage, 1);
  } else {
    const first = min<u32>(aadLength, 14);
    v128.store(stage, loadPartial(aad, first), 18);
    store<u16>(stage, bswap<u16>(<u16>aadLength), 16);
    addRun(chain, stage, 2);
    const rest = aadLength - first;
    addRun(chain, aad + first, rest >> 4);
    v128.store(stage, loadPartial(aad + first + (rest & ~15), rest & 15), 32);
    addRun(chain, stage + 32, (rest & 15) != 0 ? 1 : 0);
  }
  addRun(chain, payload, length >> 4);
  v128.store(stage, loadPartial(payload + (length & ~15), length & 15), 48);
  addRun(chain, stage + 48, (length & 15) != 0 ? 1 : 0);
}
