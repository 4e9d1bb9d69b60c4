/**
 * From RUNs to what sendmmsg takes: one struct mmsghdr per run in the array of its lane, with
 * sockaddr, iovec and control messages. Structures of 64-bit little-endian Linux.
 *
 *      0         4         8         12        16        20        24        28
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *   0 | msg_name (u64)    | namelen | -       | msg_iov (u64)     | msg_iovlen (u64)  |
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *  32 | msg_control (u64) | controllen (u64)  | flags   | -       | msg_len | packets |
 *     +---------+---------+---------+---------+---------+---------+---------+---------+
 *     packets is ours: what is lost if the system refuses the message.
 *
 *     struct cmsghdr: | cmsg_len (u64) | cmsg_level | cmsg_type | data, padded to 8 |
 */
import { countDrops } from "../arena";
import { XfrmOutStateProtoError } from "../drops";
import { PACKET_SIZE, PACKET_STATUS, STATUS_OK } from "../layout";
import {
  ARENA_LANE_COUNTS,
  LANE_RAW4,
  LANE_RAW6,
  LANE_STRIDE,
  LANE_UDP6,
  LANES,
  MAX_PACKETS,
  MMSGHDR_PACKETS,
  MMSGHDR_SIZE,
  OUT_EXTRA_CONTROL,
  OUT_EXTRA_SIZE,
  OUT_EXTRAS,
  OUT_IOVECS,
  OUT_MESSAGES,
  OUT_RUN_SIZE,
  OUT_RUNS,
} from "../layout/arena";
import { HEADER_ABSOLUTE, HEADER_BASE, SA_LOCAL, SA_REMOTE } from "../layout/records";
import { addFragments } from "./outer-fragments";
import {
  Batch,
  PIECE_LENGTH,
  PIECE_NEXT,
  PIECE_PACKET,
  PIECE_START,
  RUN_ALONE,
  RUN_COUNT,
  RUN_FIRST,
  RUN_PIECES,
  RUN_ROUTE,
  RUN_SA,
  RUN_SEGMENT,
} from "./batch";

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const SOCKADDR_IN: u32 = 16;
const SOCKADDR_IN6: u32 = 28;
const SOL_IP: u32 = 0;
const IP_TOS: u32 = 1;
const IP_PKTINFO: u32 = 8;
const SOL_IPV6: u32 = 41;
const IPV6_PKTINFO: u32 = 50;
const IPV6_TCLASS: u32 = 67;
const SOL_UDP: u32 = 17;
const UDP_SEGMENT: u32 = 103;

/** The absolute address of linear memory's byte 0. */
let absolute: u64 = 0;
/** Where the next control message goes. */
let control: usize = 0;

/** Where the next message's extras go, and the next iovec. */
let extra: usize = 0;
let iovec: usize = 0;

/** @returns messages in all lanes */
export function layOutMessages(arena: usize): u32 {
  absolute = load<u64>(HEADER_BASE, HEADER_ABSOLUTE);
  extra = arena + OUT_EXTRAS;
  iovec = arena + OUT_IOVECS;
  for (let lane: usize = 0; lane < <usize>LANES; lane++) store<u32>(arena + ARENA_LANE_COUNTS + (lane << 2), 0);
  for (let run = arena + OUT_RUNS; run < Batch.run; run += OUT_RUN_SIZE) {
    const lane = load<u32>(run, RUN_ROUTE) & 255;
    if (!isSealed(run)) countDrops(arena, XfrmOutStateProtoError, load<u32>(run, RUN_COUNT));
    else if ((load<u32>(run, RUN_ROUTE) & RUN_ALONE) && lane >= <u32>LANE_RAW4) addFragments(arena, run, lane);
    else {
      for (let piece: usize = load<u32>(run, RUN_FIRST); piece != 0; piece = load<u32>(piece, PIECE_NEXT)) {
        addBytes(load<u32>(piece, PIECE_START), load<u32>(piece, PIECE_LENGTH));
      }
      addMessage(arena, run, lane, load<u32>(run, RUN_PIECES));
    }
  }
  return <u32>(extra - arena - OUT_EXTRAS) / OUT_EXTRA_SIZE;
}

/** Nothing leaves that a backend did not seal. */
function isSealed(run: usize): bool {
  const segment = load<u32>(run, RUN_SEGMENT);
  for (let piece: usize = load<u32>(run, RUN_FIRST); piece != 0; piece = load<u32>(piece, PIECE_NEXT)) {
    let packet: usize = load<u32>(piece, PIECE_PACKET);
    if (packet == 0) continue;
    const packets = (load<u32>(piece, PIECE_LENGTH) + segment - 1) / segment;
    for (const end = packet + packets * PACKET_SIZE; packet < end; packet += PACKET_SIZE) {
      if (load<u32>(packet, PACKET_STATUS) != STATUS_OK) return false;
    }
  }
  return true;
}

/** Is there room for one more message and its iovec? A run makes one, unless it is fragmented. */
@inline
export function hasMessageRoom(arena: usize): bool {
  return extra < arena + OUT_EXTRAS + MAX_PACKETS * OUT_EXTRA_SIZE && iovec < arena + OUT_IOVECS + MAX_PACKETS * 16;
}

/** Appends an iovec to those of the next message. */
@inline
export function addBytes(start: u32, length: u32): void {
  store<u64>(iovec, absolute + start);
  store<u64>(iovec, length, 8);
  iovec += 16;
}

/** One message for the run, of the last `count` iovecs. */
export function addMessage(arena: usize, run: usize, lane: u32, count: u32): void {
  const counter = arena + ARENA_LANE_COUNTS + (lane << 2);
  const index = load<u32>(counter);
  store<u32>(counter, index + 1);
  const message = arena + OUT_MESSAGES + lane * LANE_STRIDE + index * MMSGHDR_SIZE;
  const nameLength = writeName(extra, run, lane);
  control = extra + OUT_EXTRA_CONTROL;
  if (lane < <u32>LANE_RAW4) writeControls(run, lane);
  const controlLength = control - extra - OUT_EXTRA_CONTROL;
  store<u64>(message, absolute + extra);
  store<u64>(message, nameLength, 8);
  store<u64>(message, absolute + iovec - (count << 4), 16);
  store<u64>(message, count, 24);
  store<u64>(message, controlLength != 0 ? absolute + extra + OUT_EXTRA_CONTROL : 0, 32);
  store<u64>(message, controlLength, 40);
  store<u64>(message, 0, 48);
  store<u32>(message, 0, 56);
  store<u32>(message, load<u32>(run, RUN_COUNT), MMSGHDR_PACKETS);
  extra += OUT_EXTRA_SIZE;
}

/** Copies the peer's address, or the destination of a packet that has none. @returns its length */
function writeName(name: usize, run: usize, lane: u32): u32 {
  const sa: usize = load<u32>(run, RUN_SA);
  if (sa != 0) {
    v128.store(name, v128.load(sa, SA_REMOTE));
    v128.store(name, v128.load(sa, SA_REMOTE + 16), 16);
    return lane == LANE_UDP6 || lane == LANE_RAW6 ? SOCKADDR_IN6 : SOCKADDR_IN;
  }
  const ip: usize = load<u32>(load<u32>(run, RUN_FIRST), PIECE_START);
  v128.store(name, i64x2.splat(0));
  v128.store(name, i64x2.splat(0), 16);
  if (lane == LANE_RAW4) {
    store<u16>(name, AF_INET);
    store<u32>(name, load<u32>(ip, 16), 4);
    return SOCKADDR_IN;
  }
  store<u16>(name, AF_INET6);
  v128.store(name, v128.load(ip, 24), 8);
  return SOCKADDR_IN6;
}

/** Source address, TOS and segment size, each if there is something to say. */
function writeControls(run: usize, lane: u32): void {
  const local = <usize>load<u32>(run, RUN_SA) + SA_LOCAL;
  const tos = (load<u32>(run, RUN_ROUTE) >>> 8) & 255;
  if (lane == LANE_UDP6) {
    if (v128.any_true(v128.load(local, 8))) {
      const data = beginControl(SOL_IPV6, IPV6_PKTINFO, 20);
      v128.store(data, v128.load(local, 8));
      store<u32>(data, 0, 16);
    }
    if (tos != 0) store<u32>(beginControl(SOL_IPV6, IPV6_TCLASS, 4), tos);
  } else {
    if (load<u32>(local, 4) != 0) {
      // struct in_pktinfo: interface, local address to send from, destination.
      const data = beginControl(SOL_IP, IP_PKTINFO, 12);
      store<u32>(data, 0);
      store<u32>(data, load<u32>(local, 4), 4);
      store<u32>(data, 0, 8);
    }
    if (tos != 0) store<u32>(beginControl(SOL_IP, IP_TOS, 4), tos);
  }
  if (load<u32>(run, RUN_COUNT) > 1) store<u16>(beginControl(SOL_UDP, UDP_SEGMENT, 2), load<u32>(run, RUN_SEGMENT));
}

/** @returns where the control message's data goes */
@inline
function beginControl(level: u32, type: u32, length: u32): usize {
  const at = control;
  store<u64>(at, 16 + length);
  store<u32>(at, level, 8);
  store<u32>(at, type, 12);
  control = at + 16 + ((length + 7) & ~7);
  return at + 16;
}
