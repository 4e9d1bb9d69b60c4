/**
 * The batch that goes out: PACKET descriptors, the output behind them, and the RUNs of datagrams
 * that become one message each.
 *
 *     output   | a1 | a2 | a3 | b1 | a4 | b2 | a5 | …
 *     RUN a      a1   a2   a3        a4        a5        one UDP_SEGMENT message of three PIECEs
 *     RUN b                     b1        b2
 *
 * A RUN takes datagrams between one pair of sockets, of whatever SA, of one length and one route; its
 * last one may be shorter. A few RUNs grow at a time, so that flows of different lengths or to different
 * peers do not cut each other's messages short.
 * What comes to an older RUN overtakes what is in younger ones: never packets of its own flow, and
 * never so many that the smallest replay window would miss one.
 *
 * RUN (OUT_RUN_SIZE):
 *
 *      0         4         8         12        16        20        24        28
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *     | FIRST   | LAST    | SEGMENT | COUNT   | SA      | ROUTE   | LENGTH  | PIECES  |
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *
 * PIECE (OUT_PIECE_SIZE):                      GROWING, youngest first:
 *
 *      0         4         8         12         0         4         8         16
 *     +---------+---------+---------+---------++---------+---------+---------+--------+
 *     | START   | LENGTH  | PACKET  | NEXT    || RUN     | SINCE   | LATER (u64)      |
 *     +---------+---------+---------+---------++---------+---------+---------+--------+
 */
import {
  ARENA_CAPABILITIES,
  ARENA_OUT_PACKETS_USED,
  CAPABILITY_UDP_SEGMENT,
  LANE_RAW4,
  LANE_UDP4,
  LANE_UDP4_DF,
  MAX_PACKETS,
  OUT_GROWING,
  OUT_OUTPUT,
  OUT_OUTPUT_SIZE,
  OUT_PACKETS,
  OUT_PIECE_SIZE,
  OUT_PIECES,
  OUT_RUN_SIZE,
  OUT_RUNS,
} from "../layout/arena";
import { PACKET_SIZE } from "../layout";
import { SA_PATH } from "../layout/records";

/** Addresses of the first and the last PIECE. */
export const RUN_FIRST: usize = 0;
export const RUN_LAST: usize = 4;
/** Bytes of every datagram but the last, and the number of datagrams. */
export const RUN_SEGMENT: usize = 8;
export const RUN_COUNT: usize = 12;
/** Address of the first datagram's SA; of a packet that bypasses IPsec 0. */
export const RUN_SA: usize = 16;
/** Lane, TOS << 8, and RUN_ALONE. */
export const RUN_ROUTE: usize = 20;
/** Bytes in all. */
export const RUN_LENGTH: usize = 24;
export const RUN_PIECES: usize = 28;

/** Address and length of the bytes, of whole datagrams. */
export const PIECE_START: usize = 0;
export const PIECE_LENGTH: usize = 4;
/** Address of the first datagram's PACKET descriptor, 0 if nothing was to be sealed; the others follow it. */
export const PIECE_PACKET: usize = 8;
/** Address of the run's next piece. */
export const PIECE_NEXT: usize = 12;

/** Bit of ROUTE: longer than the path takes, so that it cannot be one of several segments. */
export const RUN_ALONE: u32 = 0x10000;

const GROWING_RUN: usize = 0;
/** The number of the first datagram in younger runs, 0 for none; and a bit for each flow there. */
const GROWING_SINCE: usize = 4;
const GROWING_LATER: usize = 8;
const GROWING_SIZE: usize = 16;
const GROWING_MAX: usize = 4;

/** How late a datagram may leave, counted in datagrams: peers' replay windows start at 32. */
const MAX_LATENESS: u32 = 24;

/** UDP_MAX_SEGMENTS of Linux before 6.9, and what one UDP datagram may carry in all. */
const MAX_SEGMENTS: u32 = 64;
const MAX_RUN: u32 = 65000;

export class Batch {
  static arena: usize = 0;
  /** The next PACKET descriptor to fill, and the end of what may be filled. */
  static packet: usize = 0;
  static packetsEnd: usize = 0;
  /** The next byte of output, and the end. */
  static output: usize = 0;
  static outputEnd: usize = 0;
  /** The next RUN and PIECE to be begun. */
  static run: usize = 0;
  static piece: usize = 0;
  /** The flow of the frame at hand: one bit of 64. */
  static flow: u64 = 0;
  /** The flow of the last datagram. */
  static lastFlow: u64 = 0;
  static segmentation: bool = false;
  /** Datagrams so far, and the number of the first one in LANE_UDP4_DF, 0 for none. */
  static datagrams: u32 = 0;
  static firstDf: u32 = 0;
}

export function beginOutput(arena: usize): void {
  Batch.arena = arena;
  Batch.packet = arena + OUT_PACKETS;
  Batch.packetsEnd = Batch.packet + MAX_PACKETS * PACKET_SIZE;
  Batch.output = arena + OUT_OUTPUT;
  Batch.outputEnd = Batch.output + OUT_OUTPUT_SIZE;
  Batch.run = arena + OUT_RUNS;
  Batch.piece = arena + OUT_PIECES;
  Batch.lastFlow = 0;
  Batch.datagrams = 0;
  Batch.firstDf = 0;
  Batch.segmentation = (load<u32>(arena, ARENA_CAPABILITIES) & CAPABILITY_UDP_SEGMENT) != 0;
  // Each is one vector: memory.fill is a call out of WebAssembly.
  for (let at: usize = 0; at < GROWING_MAX * GROWING_SIZE; at += 16) v128.store(arena + OUT_GROWING + at, i64x2.splat(0));
}

/** @returns PACKET descriptors filled */
export function endOutput(): u32 {
  const packets = <u32>(Batch.packet - Batch.arena - OUT_PACKETS) / PACKET_SIZE;
  store<u32>(Batch.arena, packets, ARENA_OUT_PACKETS_USED);
  return packets;
}

/** Is there room for so many packets and bytes? There are no more RUNs and PIECEs than packets. */
@inline
export function hasRoom(packets: u32, bytes: u32): bool {
  return Batch.packet + packets * PACKET_SIZE <= Batch.packetsEnd &&
    Batch.output + bytes <= Batch.outputEnd &&
    Batch.piece + packets * OUT_PIECE_SIZE <= Batch.arena + OUT_PIECES + MAX_PACKETS * OUT_PIECE_SIZE;
}

/** Nothing was put into the batch yet. */
@inline
export function isEmpty(): bool {
  return Batch.run == Batch.arena + OUT_RUNS;
}

/**
 * Takes the datagram that begins at Batch.output and ends at `end` into the messages, and moves the output on.
 * @param packet the address of its PACKET descriptor, 0 if there is none
 */
export function addDatagram(end: usize, sa: usize, route: u32, packet: usize): void {
  const start = Batch.output;
  const length = <u32>(end - start);
  Batch.output = end;
  Batch.datagrams++;
  const segmented = Batch.segmentation && (route & (RUN_ALONE | 255)) < <u32>LANE_RAW4;
  const growing = segmented ? findGrowing(sa, route, length) : 0;
  if (growing == 0) {
    beginRun(start, length, sa, route, packet);
    if (segmented && length + length <= MAX_RUN) pushGrowing(Batch.run - OUT_RUN_SIZE);
    else overtake(Batch.arena + OUT_GROWING);
  } else {
    append(load<u32>(growing, GROWING_RUN), start, length, packet);
    if (isFull(load<u32>(growing, GROWING_RUN), length)) store<u32>(growing, 0, GROWING_RUN);
    overtake(growing + GROWING_SIZE);
  }
  Batch.lastFlow = Batch.flow;
  if ((route & 255) == LANE_UDP4_DF && Batch.firstDf == 0) Batch.firstDf = Batch.datagrams;
}

/**
 * Messages without DF leave before those with DF, of the same SAs: are `packets` without to wait for
 * the next batch, so that they do not overtake too many?
 */
@inline
export function mustWait(route: u32, packets: u32): bool {
  return (route & 255) == LANE_UDP4 && isTooLate(Batch.firstDf, Batch.datagrams + packets);
}

/** Would the datagram number `overtaken`, 0 for none, leave too late behind number `datagram`? */
@inline
function isTooLate(overtaken: u32, datagram: u32): bool {
  return overtaken != 0 && datagram - overtaken > MAX_LATENESS;
}

/** @returns the GROWING entry that may take the datagram, 0 for none */
@inline
function findGrowing(sa: usize, route: u32, length: u32): usize {
  const youngest = Batch.arena + OUT_GROWING;
  const path = load<u32>(sa, SA_PATH);
  let growing = youngest;
  for (const end = growing + GROWING_MAX * GROWING_SIZE; growing < end; growing += GROWING_SIZE) {
    const run: usize = load<u32>(growing, GROWING_RUN);
    if (run == 0 || load<u32>(run, RUN_ROUTE) != route || load<u32>(load<u32>(run, RUN_SA), SA_PATH) != path) continue;
    if (isTooLate(load<u32>(growing, GROWING_SINCE), Batch.datagrams) || (load<u64>(growing, GROWING_LATER) & Batch.flow) != 0) continue;
    const segment = load<u32>(run, RUN_SEGMENT);
    if (length == segment) return growing;
    // A shorter one ends a run: the rest of a super-frame, or a flow that varies.
    if (growing == youngest && length < segment && Batch.flow == Batch.lastFlow) return growing;
  }
  return 0;
}

/** A run is over when it has the segments, or may not have the bytes, for one more; or with a shorter one. */
@inline
function isFull(run: usize, length: u32): bool {
  const segment = load<u32>(run, RUN_SEGMENT);
  return length < segment || load<u32>(run, RUN_COUNT) == MAX_SEGMENTS || load<u32>(run, RUN_LENGTH) + segment > MAX_RUN;
}

/** Tells the entries from `growing` on, the older ones, what would be overtaken if they grew. */
@inline
function overtake(growing: usize): void {
  for (const end = Batch.arena + OUT_GROWING + GROWING_MAX * GROWING_SIZE; growing < end; growing += GROWING_SIZE) {
    if (load<u32>(growing, GROWING_SINCE) == 0) store<u32>(growing, Batch.datagrams, GROWING_SINCE);
    store<u64>(growing, load<u64>(growing, GROWING_LATER) | Batch.flow, GROWING_LATER);
  }
}

/** A new run becomes the youngest that grows; the oldest stops. */
function pushGrowing(run: usize): void {
  const first = Batch.arena + OUT_GROWING;
  for (let entry = first + (GROWING_MAX - 1) * GROWING_SIZE; entry > first; entry -= GROWING_SIZE) {
    v128.store(entry, v128.load(entry - GROWING_SIZE));
  }
  store<u32>(first, <u32>run, GROWING_RUN);
  store<u32>(first, 0, GROWING_SINCE);
  store<u64>(first, 0, GROWING_LATER);
  overtake(first + GROWING_SIZE);
}

function beginRun(start: usize, length: u32, sa: usize, route: u32, packet: usize): void {
  const run = Batch.run;
  Batch.run = run + OUT_RUN_SIZE;
  const piece = beginPiece(start, length, packet);
  store<u32>(run, <u32>piece, RUN_FIRST);
  store<u32>(run, <u32>piece, RUN_LAST);
  store<u32>(run, length, RUN_SEGMENT);
  store<u32>(run, 1, RUN_COUNT);
  store<u32>(run, <u32>sa, RUN_SA);
  store<u32>(run, route, RUN_ROUTE);
  store<u32>(run, length, RUN_LENGTH);
  store<u32>(run, 1, RUN_PIECES);
}

@inline
function append(run: usize, start: usize, length: u32, packet: usize): void {
  store<u32>(run, load<u32>(run, RUN_COUNT) + 1, RUN_COUNT);
  store<u32>(run, load<u32>(run, RUN_LENGTH) + length, RUN_LENGTH);
  const last: usize = load<u32>(run, RUN_LAST);
  const lastLength = load<u32>(last, PIECE_LENGTH);
  if (load<u32>(last, PIECE_START) + lastLength == <u32>start) {
    store<u32>(last, lastLength + length, PIECE_LENGTH);
    return;
  }
  const piece = beginPiece(start, length, packet);
  store<u32>(last, <u32>piece, PIECE_NEXT);
  store<u32>(run, <u32>piece, RUN_LAST);
  store<u32>(run, load<u32>(run, RUN_PIECES) + 1, RUN_PIECES);
}

@inline
function beginPiece(start: usize, length: u32, packet: usize): usize {
  const piece = Batch.piece;
  Batch.piece = piece + OUT_PIECE_SIZE;
  store<u32>(piece, <u32>start, PIECE_START);
  store<u32>(piece, length, PIECE_LENGTH);
  store<u32>(piece, <u32>packet, PIECE_PACKET);
  store<u32>(piece, 0, PIECE_NEXT);
  return piece;
}
