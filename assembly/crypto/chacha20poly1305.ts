/**
 * ChaCha20-Poly1305 for ESP (RFC 7634, RFC 8439 §2.8). Packets of one call may have different KEYs.
 *
 *     keystream block 0           the one-time key of Poly1305 (RFC 8439 §2.6)
 *     block 1 … rest              the payload's first blocks, as many as are no multiple of four
 *     four at a time              what remains: the body, in SETs
 *
 * Block 0 and the rest of several packets share SETs, so that no lane idles; they wait in a STREAM:
 *
 *      0         64                256
 *     +---------+-----------------+
 *     | block 0 | up to 3 blocks  |
 *     +---------+-----------------+
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
import { CHACHA_SET_SIZE, chachaBlocks, SET_STREAM, startBlocks, startLanes } from "./chacha20";
import { POLY_SIZE, polyDrain, polyFinish, polyLengths, polyPadded, polyPend, polyStart } from "./poly1305";
import { accept, icvDifference, rejectIcv } from "./verdict";

/** SETs that are in work together, at most, and bytes of their keystream. */
const SETS: i32 = 8;
const SET_BYTES: u32 = 256;
const GROUP_BYTES: u32 = 2048;
/** Packets in work at a time. */
const CHUNK: i32 = 16;
const STREAM_SIZE: u32 = 256;

// Scratch.
/** LANES: u32 KEY, u32 counter, u64 IV each; TARGETS: where each lane's keystream goes. */
const LANES: usize = 0;
const TARGETS: usize = 64 * SETS;
/** Two POLYs: the packet's and that of the one before. */
const POLYS: usize = TARGETS + 16 * SETS;
const TAG: usize = POLYS + 2 * POLY_SIZE;
const WORK: usize = TAG + 64;
const STREAMS: usize = WORK + SETS * CHACHA_SET_SIZE;

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

function startPoly(poly: usize, stream: usize, packet: usize): void {
  polyStart(poly, stream);
  polyPadded(poly, load<u32>(packet, PACKET_AAD), load<u32>(packet, PACKET_AAD_LENGTH));
}

/** Absorbs what is left of the packet's message and writes its tag. */
function finishPoly(poly: usize, packet: usize, tag: usize): void {
  const length = load<u32>(packet, PACKET_LENGTH);
  polyDrain(poly);
  polyPadded(poly, <usize>load<u32>(packet, PACKET_PAYLOAD) + (length & ~15), length & 15);
  polyLengths(poly, load<u32>(packet, PACKET_AAD_LENGTH), length);
  polyFinish(poly, tag);
}

@inline
function finishSeal(packet: usize, poly: usize): void {
  finishPoly(poly, packet, load<u32>(packet, PACKET_ICV));
  accept(packet);
}

/** Bytes of payload whose keystream waits in the STREAM. */
@inline
function restOf(length: u32): u32 {
  return min(length, ((length + 63) & ~63) & (SET_BYTES - 1));
}

/** Encrypts a payload, absorbing what is pending in `poly`. */
function encrypt(packet: usize, stream: usize, poly: usize, scratch: usize): void {
  const length = load<u32>(packet, PACKET_LENGTH);
  const at: usize = load<u32>(packet, PACKET_PAYLOAD);
  let done = restOf(length);
  xorKeystream(at, stream + 64, done);
  while (done < length) {
    const taken = min(length - done, GROUP_BYTES);
    makeBody(packet, 1 + (done >> 6), taken, poly, scratch);
    xorBody(at + done, taken, scratch);
    done += taken;
  }
}

/** Verifies and decrypts a payload. @returns whether it is authentic */
function decrypt(packet: usize, stream: usize, poly: usize, scratch: usize): bool {
  const length = load<u32>(packet, PACKET_LENGTH);
  const at: usize = load<u32>(packet, PACKET_PAYLOAD);
  const rest = restOf(length);
  let done = rest;
  let from: u32 = 0;
  // All but the last group: absorbed before it is decrypted.
  for (; length - done > GROUP_BYTES; done += GROUP_BYTES, from = done) {
    polyPend(poly, at + from, (done + GROUP_BYTES - from) >> 4);
    makeBody(packet, 1 + (done >> 6), GROUP_BYTES, poly, scratch);
    polyDrain(poly);
    if (from == 0) xorKeystream(at, stream + 64, rest);
    xorBody(at + done, GROUP_BYTES, scratch);
  }
  polyPend(poly, at + from, (length - from) >> 4);
  if (done < length) makeBody(packet, 1 + (done >> 6), length - done, poly, scratch);
  finishPoly(poly, packet, scratch + TAG);
  if (icvDifference(scratch + TAG, load<u32>(packet, PACKET_ICV), 16) != 0) return false;
  if (from == 0) xorKeystream(at, stream + 64, rest);
  xorBody(at + done, length - done, scratch);
  return true;
}

/** Keystream for `length` ≤ GROUP_BYTES of a packet's body, from block `counter` on. */
function makeBody(packet: usize, counter: u32, length: u32, poly: usize, scratch: usize): void {
  const key: usize = load<u32>(packet, PACKET_KEY);
  const sets = (length + SET_BYTES - 1) / SET_BYTES;
  const iv = load<u64>(load<u32>(packet, PACKET_IV));
  startBlocks(scratch + WORK, sets, key + KEY_KEY, load<u32>(key, KEY_SALT), iv, counter);
  chachaBlocks(scratch + WORK, sets, poly);
}

function xorBody(at: usize, length: u32, scratch: usize): void {
  for (let set = scratch + WORK; length > 0; set += CHACHA_SET_SIZE) {
    const taken = min(length, SET_BYTES);
    xorKeystream(at, set + SET_STREAM, taken);
    at += taken;
    length -= taken;
  }
}

// ─── Blocks of several packets ────────────────────────────────────────────────────────────────

function makeStreams(list: usize, count: i32, poly: usize, scratch: usize): void {
  let lanes = 0;
  for (let i = 0; i < count; i++) {
    const packet: usize = load<u32>(list + (i << 2));
    const stream = scratch + STREAMS + i * STREAM_SIZE;
    const blocks: u32 = 1 + ((restOf(load<u32>(packet, PACKET_LENGTH)) + 63) >> 6);
    for (let block: u32 = 0; block < blocks; block++) {
      const lane = scratch + LANES + (lanes << 4);
      store<u32>(lane, load<u32>(packet, PACKET_KEY));
      store<u32>(lane, block, 4);
      store<u64>(lane, load<u64>(load<u32>(packet, PACKET_IV)), 8);
      store<u32>(scratch + TARGETS + (lanes << 2), <u32>(stream + (block << 6)));
      if (++lanes == SETS << 2) {
        runLanes(lanes, poly, scratch);
        lanes = 0;
      }
    }
  }
  if (lanes > 0) runLanes(lanes, poly, scratch);
}

/** Lanes of the last SET that nobody asked for compute what they did before, and nobody looks. */
function runLanes(lanes: i32, poly: usize, scratch: usize): void {
  const sets = (lanes + 3) >> 2;
  for (let i = 0; i < sets; i++) startLanes(scratch + WORK + i * CHACHA_SET_SIZE, scratch + LANES + (i << 6));
  chachaBlocks(scratch + WORK, sets, poly);
  for (let lane = 0; lane < lanes; lane++) {
    const from = scratch + WORK + (lane >> 2) * CHACHA_SET_SIZE + SET_STREAM + ((lane & 3) << 6);
    const to: usize = load<u32>(scratch + TARGETS + (lane << 2));
    for (let i: usize = 0; i < 64; i += 16) v128.store(to + i, v128.load(from + i));
  }
}
