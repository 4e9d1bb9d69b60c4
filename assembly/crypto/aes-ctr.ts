/**
 * AES-CTR for ESP (RFC 3686): the counter starts at 1 and there is no mask; an integrity algorithm
 * does the rest.
 *
 *  STATE: | sliced round keys (2816, 3328 or 3840) |
 */
import { KEY_KEY, KEY_KEY_LENGTH, KEY_SALT, KEY_STATE, PACKET_KEY } from "../layout";
import { cryptPayload, makeStreams, startCounter, useCounterKey, wipeCounter } from "./aes-counter";
import { COUNTER_SCRATCH_SIZE } from "./aes-counter-rounds";
import { roundsOf } from "./aes-key";
import { slicedKeysSize, sliceKeys } from "./aes-lanes";
import { STREAM_SIZE } from "./aes-streams";
import { accept } from "./verdict";

/** Packets in work at a time. */
const CHUNK: i32 = 32;
const FIRST_COUNTER: u32 = 1;
const STREAMS: usize = COUNTER_SCRATCH_SIZE;

/** @returns bytes of STATE */
export function ctrStateLength(keyLength: u32): u32 {
  return slicedKeysSize(keyLength);
}

export function ctrSetup(key: usize, scratch: usize): void {
  sliceKeys(key + KEY_KEY, load<u32>(key, KEY_KEY_LENGTH), key + KEY_STATE, scratch);
}

/** Encrypts or decrypts, which is the same, `count` packets of one KEY. */
export function ctrRun(list: usize, count: i32, scratch: usize): void {
  if (count == 0) return;
  const key: usize = load<u32>(load<u32>(list), PACKET_KEY);
  const rounds = roundsOf(load<u32>(key, KEY_KEY_LENGTH));
  startCounter(rounds, FIRST_COUNTER, scratch);
  useCounterKey(key + KEY_STATE, load<u32>(key, KEY_SALT), 0, scratch);
  for (let from = 0; from < count; from += CHUNK) {
    const chunk = list + (from << 2);
    const size = min(count - from, CHUNK);
    makeStreams(chunk, size, false, true, scratch + STREAMS, scratch);
    for (let i = 0; i < size; i++) {
      const packet: usize = load<u32>(chunk + (i << 2));
      cryptPayload(packet, scratch + STREAMS + i * STREAM_SIZE, scratch);
      accept(packet);
    }
  }
  wipeCounter(scratch + STREAMS, min(count, CHUNK), scratch);
}
