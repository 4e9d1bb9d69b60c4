/**
 * ChaCha20-Poly1305 for ESP (RFC 7634, RFC 8439 §2.8). Packets of one call may have different KEYs.
 *
 *     keystream block 0            the one-time key of Poly1305 (RFC 8439 §2.6)
 *     four at a time, from 1 on    the BODY: as many whole SETs as the payload has
 *     what remains                 the REST: up to four blocks, the last one perhaps in part
 *
 * Block 0 and the rest of several packets share SETs, so that no lane idles; they wait in a STREAM:
 *
 *      0         64                          320
 *     +---------+---------------------------+
 *     | block 0 | up to 4 blocks            |
 *     +---------+---------------------------+
 *
 * While a body's keystream is made, Poly1305 runs through ciphertext that is there already: that of
 * the packet before when sealing, the packet's own when opening.
 */
import {
  KEY_KEY,
  KEY_SALT,
  PACKET_AAD,
  PACKET_AAD_LENGTH,
  PACKET_ICV,
  PACKET_IV,
  PACKET_KEY,
  PACKET_LENGTH,
  PACKET_PAYLOAD,
} from "../layout";
import { xorKeystream } from "./bytes";
import { CHACHA_SET_SIZE, startBlocks, startLanes, storeLanes, xorSet } from "./chacha20";
import { chachaRounds } from "./chacha20-rounds.gen";
import { POLY_SIZE, polyDrain, polyFinish, polyPend, polyStart } from "./poly1305";
import { accept, icvDifference, rejectIcv } from "./verdict";

/** SETs that are in work together, at most, and bytes of their keystream. */
const SETS: i32 = 8;
const GROUP_BYTES: u32 = SETS * CHACHA_SET_SIZE;
/** Packets in work at a time. */
const CHUNK: i32 = 16;
const STREAM_SIZE: u32 = 320;

// Scratch.
/** LANES: u32 KEY, u32 counter, u64 IV each; TARGETS: where each lane's keystream goes. */
const LANES: usize = 0;
const TARGETS: usize = 64 * SETS;
/** Two POLYs: the packet's and that of the one before. */
const POLYS: usize = TARGETS + 16 * SETS;
const TAG: usize = POLYS + 2 * POLY_SIZE;
/** A block that nobody reads. */
const NOWHERE: usize = TAG + 64;
const WORK: usize = NOWHERE + 64;
const STARTS: usize = WORK + SETS * CHACHA_SET_SIZE;
const STREAMS: usize = STARTS + SETS * CHACHA_SET_SIZE;

/** The raw key is all the cipher needs. */
export function chachaStateLength(): u32 {
  return 0;
}

export function chachaSeal(list: usize, count: i32, scratch: usize): void {
  let poly = scratch + POLYS;
  let before: usize = 0;
  polyPend(poly, 0, 0);
  for (let from = 0; from < count; from += CHUNK) {
    const chunk = list + (from << 2);
    const size = min(count - from, CHUNK);
    makeStreams(chunk, size, poly, scratch);
    for (let i = 0; i < size; i++) {
      const packet: usize = load<u32>(chunk + (i << 2));
      const stream = scratch + STREAMS + i * STREAM_SIZE;
      encrypt(packet, stream, poly, scratch);
      if (before != 0) finishSeal(before, poly);
      poly = otherPoly(poly, scratch);
      startPoly(poly, stream, packet);
      polyPend(poly, load<u32>(packet, PACKET_PAYLOAD), load<u32>(packet, PACKET_LENGTH) >> 4);
      before = packet;
    }
  }
  finishSeal(before, poly);
  wipe(count, scratch);
}

/** A body of more than GROUP_BYTES is decrypted before its ICV is known, and wiped if that is wrong. */
export function chachaOpen(list: usize, count: i32, scratch: usize): void {
  const poly = scratch + POLYS;
  polyPend(poly, 0, 0);
  for (let from = 0; from < count; from += CHUNK) {
    const chunk = list + (from << 2);
    const size = min(count - from, CHUNK);
    makeStreams(chunk, size, poly, scratch);
    for (let i = 0; i < size; i++) {
      const packet: usize = load<u32>(chunk + (i << 2));
      const stream = scratch + STREAMS + i * STREAM_SIZE;
      startPoly(poly, stream, packet);
      if (decrypt(packet, stream, poly, scratch)) accept(packet);
      else rejectIcv(packet);
    }
  }
  wipe(count, scratch);
}

/** Wipes all that was in work: keystream, one-time keys, and KEYs in the SETs. */
@inline
function wipe(count: i32, scratch: usize): void {
  memory.fill(scratch, 0, STREAMS + <u32>min(count, CHUNK) * STREAM_SIZE);
}

@inline
function otherPoly(poly: usize, scratch: usize): usize {
  return scratch + POLYS + POLY_SIZE - (poly - (scratch + POLYS));
}

@inline
function startPoly(poly: usize, stream: usize, packet: usize): void {
  polyStart(poly, stream, load<u32>(packet, PACKET_AAD), load<u32>(packet, PACKET_AAD_LENGTH));
}

/** Absorbs what is left of the packet's message and writes its tag. */
@inline
function finishPoly(poly: usize, packet: usize, tag: usize): void {
  polyDrain(poly);
  const payload: usize = load<u32>(packet, PACKET_PAYLOAD);
  polyFinish(poly, payload, load<u32>(packet, PACKET_LENGTH), load<u32>(packet, PACKET_AAD_LENGTH), tag);
}

@inline
function finishSeal(packet: usize, poly: usize): void {
  finishPoly(poly, packet, load<u32>(packet, PACKET_ICV));
  accept(packet);
}

/** Bytes of payload in whole SETs. */
@inline
function bodyOf(length: u32): u32 {
  return length & ~(CHACHA_SET_SIZE - 1);
}

/** Encrypts a payload, absorbing what is pending in `poly`. */
function encrypt(packet: usize, stream: usize, poly: usize, scratch: usize): void {
  const length = load<u32>(packet, PACKET_LENGTH);
  const at: usize = load<u32>(packet, PACKET_PAYLOAD);
  const body = bodyOf(length);
  for (let done: u32 = 0; done < body; done += GROUP_BYTES) {
    const taken = min(body - done, GROUP_BYTES);
    makeBody(packet, done, taken, poly, scratch);
    xorBody(at + done, taken, scratch);
  }
  xorKeystream(at + body, stream + 64, length - body);
}

/** Verifies and decrypts a payload. @returns whether it is authentic */
function decrypt(packet: usize, stream: usize, poly: usize, scratch: usize): bool {
  const length = load<u32>(packet, PACKET_LENGTH);
  const at: usize = load<u32>(packet, PACKET_PAYLOAD);
  const body = bodyOf(length);
  let done: u32 = 0;
  // All but the last group: absorbed before it is decrypted.
  for (; body - done > GROUP_BYTES; done += GROUP_BYTES) {
    polyPend(poly, at + done, GROUP_BYTES >> 4);
    makeBody(packet, done, GROUP_BYTES, poly, scratch);
    polyDrain(poly);
    xorBody(at + done, GROUP_BYTES, scratch);
  }
  polyPend(poly, at + done, (length - done) >> 4);
  if (done < body) makeBody(packet, done, body - done, poly, scratch);
  finishPoly(poly, packet, scratch + TAG);
  if (icvDifference(scratch + TAG, load<u32>(packet, PACKET_ICV), 16) != 0) return false;
  xorBody(at + done, body - done, scratch);
  xorKeystream(at + body, stream + 64, length - body);
  return true;
}

/** Keystream for `length` ≤ GROUP_BYTES of a packet's body, from byte `from` on. */
@inline
function makeBody(packet: usize, from: u32, length: u32, poly: usize, scratch: usize): void {
  const key: usize = load<u32>(packet, PACKET_KEY);
  const sets = length / CHACHA_SET_SIZE;
  const iv = load<u64>(load<u32>(packet, PACKET_IV));
  const counter = 1 + (from >> 6);
  startBlocks(scratch + WORK, sets, scratch + STARTS, key + KEY_KEY, load<u32>(key, KEY_SALT), iv, counter);
  chachaRounds(scratch + WORK, sets, poly);
}

@inline
function xorBody(at: usize, length: u32, scratch: usize): void {
  for (let set: u32 = 0; set < length; set += CHACHA_SET_SIZE) {
    xorSet(scratch + WORK + set, scratch + STARTS, at + set);
  }
}

// ─── Blocks of several packets ────────────────────────────────────────────────────────────────

function makeStreams(list: usize, count: i32, poly: usize, scratch: usize): void {
  let lanes = 0;
  for (let i = 0; i < count; i++) {
    const packet: usize = load<u32>(list + (i << 2));
    const key = load<u32>(packet, PACKET_KEY);
    const iv = load<u64>(load<u32>(packet, PACKET_IV));
    const length = load<u32>(packet, PACKET_LENGTH);
    const body = bodyOf(length);
    const blocks: u32 = 1 + ((length - body + 63) >> 6);
    let to = <u32>scratch + <u32>STREAMS + i * STREAM_SIZE;
    let counter: u32 = 0;
    for (let block: u32 = 0; block < blocks; block++, to += 64) {
      const lane = scratch + LANES + (lanes << 4);
      store<u32>(lane, key);
      store<u32>(lane, counter, 4);
      store<u64>(lane, iv, 8);
      store<u32>(scratch + TARGETS + (lanes << 2), to);
      counter = 1 + (body >> 6) + block;
      if (++lanes == SETS << 2) {
        runLanes(lanes, poly, scratch);
        lanes = 0;
      }
    }
  }
  if (lanes > 0) runLanes(lanes, poly, scratch);
}

/** Lanes of the last SET that nobody asked for do what the first one does, to no end. */
function runLanes(lanes: i32, poly: usize, scratch: usize): void {
  for (; (lanes & 3) != 0; lanes++) {
    v128.store(scratch + LANES + (lanes << 4), v128.load(scratch + LANES));
    store<u32>(scratch + TARGETS + (lanes << 2), <u32>(scratch + NOWHERE));
  }
  const sets = lanes >> 2;
  for (let i = 0; i < sets; i++) {
    const offset = i * CHACHA_SET_SIZE;
    startLanes(scratch + WORK + offset, scratch + STARTS + offset, scratch + LANES + (i << 6));
  }
  chachaRounds(scratch + WORK, sets, poly);
  for (let i = 0; i < sets; i++) {
    const offset = i * CHACHA_SET_SIZE;
    storeLanes(scratch + WORK + offset, scratch + STARTS + offset, scratch + TARGETS + (i << 4));
  }
}
