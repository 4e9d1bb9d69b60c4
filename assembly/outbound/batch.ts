/**
 * The batch that goes out: PACKET descriptors, the output behind them and the RUNs of datagrams
 * that become one message each.
 *
 *     OUT_OUTPUT  | datagram | datagram | datagram | datagram | …
 *     RUNs          <──────── one UDP_SEGMENT ──────> <── …
 *
 * A RUN (OUT_RUN_SIZE):
 *
 *      0         4         8         12        16        20        24        28
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *     | START   | LENGTH  | SEGMENT | COUNT   | SA      | ROUTE   | PACKET  | PACKETS |
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 */
import {
  ARENA_CAPABILITIES,
  ARENA_OUT_PACKETS_USED,
  CAPABILITY_UDP_SEGMENT,
  LANE_RAW4,
  MAX_PACKETS,
  OUT_OUTPUT,
  OUT_OUTPUT_SIZE,
  OUT_PACKETS,
  OUT_RUN_SIZE,
  OUT_RUNS,
} from "../layout/arena";
import { PACKET_SIZE } from "../layout";

/** Address and length of the run's bytes. */
export const RUN_START: usize = 0;
export const RUN_LENGTH: usize = 4;
/** Bytes of every datagram but the last, which may be shorter; and their number. */
export const RUN_SEGMENT: usize = 8;
export const RUN_COUNT: usize = 12;
/** Address of the SA; of a packet that bypasses IPsec 0. */
export const RUN_SA: usize = 16;
/** Lane, TOS << 8, and RUN_ALONE. */
export const RUN_ROUTE: usize = 20;
/** Address of the first PACKET descriptor, and their number: none if nothing was to be sealed. */
export const RUN_PACKET: usize = 24;
export const RUN_PACKETS: usize = 28;

/** Bit of ROUTE: longer than the path takes, so that it cannot be one of several segments. */
export const RUN_ALONE: u32 = 0x10000;

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
  /** The next RUN to be begun. The last one may still grow: up to `growth` bytes a datagram, 0 for none. */
  static run: usize = 0;
  static growth: u32 = 0;
  static segmentation: bool = false;
}

export function beginOutput(arena: usize): void {
  Batch.arena = arena;
  Batch.packet = arena + OUT_PACKETS;
  Batch.packetsEnd = Batch.packet + MAX_PACKETS * PACKET_SIZE;
  Batch.output = arena + OUT_OUTPUT;
  Batch.outputEnd = Batch.output + OUT_OUTPUT_SIZE;
  Batch.run = arena + OUT_RUNS;
  Batch.growth = 0;
  Batch.segmentation = (load<u32>(arena, ARENA_CAPABILITIES) & CAPABILITY_UDP_SEGMENT) != 0;
}

/** @returns PACKET descriptors filled */
export function endOutput(): u32 {
  const packets = <u32>(Batch.packet - Batch.arena - OUT_PACKETS) / PACKET_SIZE;
  store<u32>(Batch.arena, packets, ARENA_OUT_PACKETS_USED);
  return packets;
}

/** Is there room for so many packets and bytes? RUNs are as many as packets at most. */
@inline
export function hasRoom(packets: u32, bytes: u32): bool {
  return Batch.packet + packets * PACKET_SIZE <= Batch.packetsEnd &&
    Batch.output + bytes <= Batch.outputEnd &&
    Batch.run + packets * OUT_RUN_SIZE <= Batch.arena + OUT_RUNS + MAX_PACKETS * OUT_RUN_SIZE;
}

/** Nothing was put into the batch yet. */
@inline
export function isEmpty(): bool {
  return Batch.run == Batch.arena + OUT_RUNS;
}

/**
 * Takes the datagram that ends at `end` and begins at Batch.output into the messages, and moves the output on.
 * @param packet the address of its PACKET descriptor, 0 if there is none
 */
@inline
export function addDatagram(end: usize, sa: usize, route: u32, packet: usize): void {
  const start = Batch.output;
  const length = <u32>(end - start);
  Batch.output = end;
  const last = Batch.run - OUT_RUN_SIZE;
  if (length <= Batch.growth && load<u32>(last, RUN_SA) == <u32>sa && load<u32>(last, RUN_ROUTE) == route) {
    const count = load<u32>(last, RUN_COUNT) + 1;
    const total = load<u32>(last, RUN_LENGTH) + length;
    store<u32>(last, total, RUN_LENGTH);
    store<u32>(last, count, RUN_COUNT);
    store<u32>(last, count, RUN_PACKETS);
    // Only the last segment may be shorter.
    if (length < Batch.growth || count == MAX_SEGMENTS || total + length > MAX_RUN) Batch.growth = 0;
    return;
  }
  const run = Batch.run;
  Batch.run = run + OUT_RUN_SIZE;
  store<u32>(run, <u32>start, RUN_START);
  store<u32>(run, length, RUN_LENGTH);
  store<u32>(run, length, RUN_SEGMENT);
  store<u32>(run, 1, RUN_COUNT);
  store<u32>(run, <u32>sa, RUN_SA);
  store<u32>(run, route, RUN_ROUTE);
  store<u32>(run, <u32>packet, RUN_PACKET);
  store<u32>(run, packet != 0 ? 1 : 0, RUN_PACKETS);
  Batch.growth = Batch.segmentation && (route & 255) < <u32>LANE_RAW4 && !(route & RUN_ALONE) && length * 2 <= MAX_RUN ? length : 0;
}
