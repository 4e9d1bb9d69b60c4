/**
 * One entry for every cipher suite: groups a batch and hands each group to its cipher.
 *
 *     batch of PACKETs ─► chunks ─► groups (one KEY, or one suite) ─► by length ─► cipher
 *
 * A cipher `xxx` brings these functions, all of them constant-time in keys and data:
 *
 *     xxxStateLength(keyLength: u32): u32                 bytes of STATE it keeps in the KEY block
 *     xxxSetup(key: usize, scratch: usize): void          expands the raw key at `key` into STATE
 *     xxxSeal, xxxOpen(list: usize, count: i32, scratch: usize): void, or one xxxRun for both
 *
 * `list` is an array of u32 addresses of PACKET descriptors, `scratch` CIPHER_SCRATCH_SIZE bytes,
 * 64-byte aligned. Seal and open set every packet's STATUS. To join, a cipher adds its cases to
 * ciphers.ts, and nothing else.
 */
import {
  KEY_ENCR,
  KEY_INTEG,
  KEY_KEY_LENGTH,
  KEY_STATE,
  PACKET_KEY,
  PACKET_SIZE,
  PACKET_STATUS,
  STATUS_OK,
} from "../layout";
import { chachaKeystream } from "./chacha20";
import {
  acceptsLength,
  cipherOpen,
  cipherSeal,
  cipherSetup,
  cipherStateLength,
  integOpen,
  integSeal,
  integSetup,
  integStateLength,
  isAead,
  isCombined,
  joinsKeys,
  limitsLength,
  UNKNOWN_SUITE,
  wantsOrder,
} from "./ciphers";
import { forgetTables } from "./gcm-tables";
import { GROUPING_SIZE, groupPackets, groupStart, LIST_LIMIT, orderByLength } from "./grouping";
import { rejectLength } from "./verdict";

/** This instance's private scratch (a WebAssembly global: never shared between threads). */
let scratch: usize = 0;

export function initialiseCrypto(address: usize): void {
  scratch = address;
}

/** Writes 256 bytes of ChaCha20 keystream: unpredictable to who does not have the 32 bytes at `key`. */
export function drawKeystream(key: usize, nonce: u64, out: usize): void {
  chachaKeystream(out, key, nonce, scratch + GROUPING_SIZE);
}

/**
 * Nothing goes without integrity, and nothing is authenticated twice (RFC 8221 §5, §6).
 * @returns bytes of STATE, a multiple of 64, or UNKNOWN_SUITE
 */
export function keyStateLength(encr: u32, keyLength: u32, integ: u32): u32 {
  if (isAead(encr) != isCombined(encr, integ)) return UNKNOWN_SUITE;
  const cipher = cipherStateLength(encr, keyLength);
  const integrity = integStateLength(encr, integ);
  if (cipher == UNKNOWN_SUITE || integrity == UNKNOWN_SUITE) return UNKNOWN_SUITE;
  return cipher + integrity;
}

/** STATE is the cipher's, then the integrity algorithm's. */
export function setupKey(key: usize): void {
  const encr = load<u32>(key, KEY_ENCR);
  cipherSetup(encr, key, scratch + GROUPING_SIZE);
  integSetup(load<u32>(key, KEY_INTEG), key, integStateOffset(key, encr), scratch + GROUPING_SIZE);
}

/** Wipes what this instance has kept of the KEY at `key`; 0 stands for all. */
export function forgetKey(key: usize): void {
  forgetTables(key, scratch + GROUPING_SIZE);
}

export function sealBatch(descriptors: usize, count: i32): void {
  runBatch(descriptors, count, true);
}

export function openBatch(descriptors: usize, count: i32): void {
  runBatch(descriptors, count, false);
}

function runBatch(descriptors: usize, count: i32, seal: bool): void {
  while (count > 0) {
    const taken = min(count, LIST_LIMIT);
    const groups = groupPackets(descriptors, taken, scratch);
    for (let group = 0; group < groups; ) {
      const from = groupStart(scratch, group);
      const key = keyOf(group);
      do orderGroup(group++);
      while (group < groups && isJoined(key, keyOf(group)));
      runGroup(scratch + (from << 2), groupStart(scratch, group) - from, seal);
    }
    descriptors += taken * PACKET_SIZE;
    count -= taken;
  }
}

/** @returns the KEY of a group's first packet */
@inline
function keyOf(group: i32): usize {
  return load<u32>(load<u32>(scratch + (groupStart(scratch, group) << 2)), PACKET_KEY);
}

/** Those of one KEY stay together where several are joined, so they are sorted by themselves. */
@inline
function orderGroup(group: i32): void {
  const from = groupStart(scratch, group);
  const count = groupStart(scratch, group + 1) - from;
  if (count > 1 && joinsKeys(load<u32>(keyOf(group), KEY_ENCR))) orderByLength(scratch + (from << 2), count, scratch);
}

/** Go packets of these two KEYs to the cipher together? */
@inline
function isJoined(a: usize, b: usize): bool {
  return joinsKeys(load<u32>(a, KEY_ENCR)) &&
    load<u32>(a, KEY_ENCR) == load<u32>(b, KEY_ENCR) &&
    load<u32>(a, KEY_KEY_LENGTH) == load<u32>(b, KEY_KEY_LENGTH);
}

/** One or several groups: packets that share a KEY, or at least a suite. */
function runGroup(list: usize, count: i32, seal: bool): void {
  const key: usize = load<u32>(load<u32>(list), PACKET_KEY);
  const encr = load<u32>(key, KEY_ENCR);
  const integ = load<u32>(key, KEY_INTEG);
  const work = scratch + GROUPING_SIZE;
  if (limitsLength(encr)) {
    count = dropBadLengths(encr, list, count);
    if (count == 0) return;
  }
  if (count > 1 && wantsOrder(encr)) orderByLength(list, count, scratch);
  if (isCombined(encr, integ)) {
    if (seal) cipherSeal(encr, list, count, work);
    else cipherOpen(encr, list, count, work);
    return;
  }
  // Encrypt-then-MAC; on the way in nothing is decrypted before its ICV is verified (RFC 4303 §3.4.4.1).
  const state = integStateOffset(key, encr);
  if (seal) {
    cipherSeal(encr, list, count, work);
    integSeal(integ, list, count, state, work);
  } else {
    integOpen(integ, list, count, state, work);
    cipherOpen(encr, list, keepAuthentic(list, count), work);
  }
}

@inline
function integStateOffset(key: usize, encr: u32): u32 {
  return KEY_STATE + cipherStateLength(encr, load<u32>(key, KEY_KEY_LENGTH));
}

/** Takes packets that the cipher cannot process off the list. @returns how many remain */
function dropBadLengths(encr: u32, list: usize, count: i32): i32 {
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const packet: usize = load<u32>(list + (i << 2));
    if (!acceptsLength(encr, packet)) {
      rejectLength(packet);
      continue;
    }
    store<u32>(list + (kept << 2), packet);
    kept++;
  }
  return kept;
}

/** Takes packets that failed to verify off the list. @returns how many remain */
function keepAuthentic(list: usize, count: i32): i32 {
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const packet: usize = load<u32>(list + (i << 2));
    if (load<u32>(packet, PACKET_STATUS) != STATUS_OK) continue;
    store<u32>(list + (kept << 2), packet);
    kept++;
  }
  return kept;
}
