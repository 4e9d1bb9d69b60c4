/**
 * AES-CBC for ESP (RFC 3602). Encryption: a lane per packet. Decryption: every block of every packet
 * is independent and gets a lane.
 *
 *  STATE: | sliced round keys | the same for decryption |
 */
import {
  KEY_KEY,
  KEY_KEY_LENGTH,
  KEY_STATE,
  PACKET_IV,
  PACKET_KEY,
  PACKET_LENGTH,
  PACKET_PAYLOAD,
} from "../layout";
import { addRun, CHAINS, CHAINS_SCRATCH_SIZE, chainAt, runChains, startChain } from "./aes-chains";
import { decryptSets, INVERSE_SET_SIZE, sliceInverseKeys } from "./aes-inverse";
import { roundsOf } from "./aes-key";
import { SLICED_SIZE, sliceBlocks, slicedKeysSize, sliceKeys } from "./aes-lanes";
import { accept } from "./verdict";

/** SETs that are decrypted together, at most. */
const SETS: i32 = 4;

// Scratch of decryption: SETs, and for each lane u32 × 2: addresses of its block and of the one before.
const LANES: usize = SETS * INVERSE_SET_SIZE;
const DECRYPT_SCRATCH_SIZE: usize = LANES + 16 * 8 * SETS;

/** @returns bytes of STATE */
export function cbcStateLength(keyLength: u32): u32 {
  return 2 * slicedKeysSize(keyLength);
}

export function cbcSetup(key: usize, scratch: usize): void {
  const keyLength = load<u32>(key, KEY_KEY_LENGTH);
  sliceKeys(key + KEY_KEY, keyLength, key + KEY_STATE, scratch);
  sliceInverseKeys(key + KEY_KEY, keyLength, key + KEY_STATE + slicedKeysSize(keyLength), scratch);
}

/** Encrypts `count` packets of one KEY. */
export function cbcSeal(list: usize, count: i32, scratch: usize): void {
  if (count == 0) return;
  const key: usize = load<u32>(load<u32>(list), PACKET_KEY);
  const rounds = roundsOf(load<u32>(key, KEY_KEY_LENGTH));
  for (let from = 0; from < count; from += CHAINS) {
    const lanes = min(count - from, CHAINS);
    for (let lane = 0; lane < lanes; lane++) {
      const packet: usize = load<u32>(list + ((from + lane) << 2));
      startChain(scratch, lane, v128.load(load<u32>(packet, PACKET_IV)));
      addRun(chainAt(scratch, lane), load<u32>(packet, PACKET_PAYLOAD), load<u32>(packet, PACKET_LENGTH) >> 4);
      accept(packet);
    }
    runChains(lanes, true, key + KEY_STATE, rounds, scratch);
  }
  memory.fill(scratch, 0, CHAINS_SCRATCH_SIZE);
}

/** Decrypts `count` packets of one KEY. */
export function cbcOpen(list: usize, count: i32, scratch: usize): void {
  if (count == 0) return;
  const key: usize = load<u32>(load<u32>(list), PACKET_KEY);
  const keyLength = load<u32>(key, KEY_KEY_LENGTH);
  const keys = key + KEY_STATE + slicedKeysSize(keyLength);
  const rounds = roundsOf(keyLength);
  let lanes = 0;
  for (let i = 0; i < count; i++) {
    const packet: usize = load<u32>(list + (i << 2));
    const payload = load<u32>(packet, PACKET_PAYLOAD);
    // From the last block to the first, so that the ciphertext before a block is there when it is written.
    for (let at = payload + load<u32>(packet, PACKET_LENGTH); at != payload; ) {
      at -= 16;
      const lane = scratch + LANES + (lanes << 3);
      store<u32>(lane, at);
      store<u32>(lane, at == payload ? load<u32>(packet, PACKET_IV) : at - 16, 4);
      if (++lanes == SETS << 4) {
        decryptLanes(lanes, keys, rounds, scratch);
        lanes = 0;
      }
    }
    accept(packet);
  }
  if (lanes > 0) decryptLanes(lanes, keys, rounds, scratch);
  memory.fill(scratch, 0, DECRYPT_SCRATCH_SIZE);
}

function decryptLanes(lanes: i32, keys: usize, rounds: i32, scratch: usize): void {
  for (let lane = 0; lane < lanes; lane++) {
    v128.store(rowAt(scratch, lane), v128.load(load<u32>(scratch + LANES + (lane << 3))));
  }
  const sets = (lanes + 15) >> 4;
  for (let set = 0; set < sets; set++) {
    const state = scratch + set * INVERSE_SET_SIZE;
    sliceBlocks(state, state + SLICED_SIZE, state);
  }
  decryptSets(scratch, sets, keys, rounds);
  for (let lane = 0; lane < lanes; lane++) {
    const addresses = scratch + LANES + (lane << 3);
    v128.store(load<u32>(addresses), v128.xor(v128.load(rowAt(scratch, lane)), v128.load(load<u32>(addresses, 4))));
  }
}

@inline
function rowAt(scratch: usize, lane: i32): usize {
  return scratch + (lane >> 4) * INVERSE_SET_SIZE + ((lane & 15) << 4);
}
