/**
 * Joins the packets of a flow into one frame for the TUN, as a network card with large receive
 * offload would: one system call, and one pass through the system's stack, for up to 64 KiB.
 *
 * A run takes a packet whose headers agree in all that a later split would have to give back, and
 * whose checksums are right: the frame is marked as not yet summed, so that a wrong checksum would
 * be made good on the way. Runs keep the order within a flow: whatever does not fit the flow's
 * latest run starts a new one behind it.
 *
 * Payloads of neighbours are moved together, so that the system copies one piece and not dozens:
 *
 *     received   | … IP TCP payload 1 … ICV | ESP … IP TCP payload 2 … ICV | ESP …
 *     joined     | … IP TCP payload 1 payload 2 |
 */
import { copyBlocks, foldSum, storeIpv4Checksum, sumBytes, sumIpv4Header, sumPseudoHeader } from "../ip/checksum";
import { IPPROTO_TCP, IPPROTO_UDP } from "../ip/protocols";
import { PACKET_SIZE } from "../layout";
import { ARENA_CAPABILITIES, ARENA_IKE_COUNT, CAPABILITY_TUN_TSO, CAPABILITY_TUN_USO } from "../layout/arena";
import { Candidate } from "./flow";
import {
  KIND_CLOSED,
  KIND_IPV6,
  KIND_TCP,
  KIND_VERIFIED,
  NOTE_AT,
  NOTE_BODY,
  NOTE_BODY_LENGTH,
  NOTE_COUNT,
  NOTE_EXPECT,
  NOTE_HEAD,
  NOTE_HEADERS,
  NOTE_KIND,
  NOTE_NEXT,
  NOTE_SIZE,
  NOTE_SLOT,
  NOTE_TAIL,
  NOTE_TOTAL,
  NOTE_UPPER,
} from "./packet";

const MAX_TOTAL: u32 = 65535;
/** Linux splits UDP into no more (UDP_MAX_SEGMENTS); for TCP it keeps the iovecs of a frame below IOV_MAX. */
const MAX_UDP: u32 = 64;
const MAX_TCP: u32 = 500;

const TCP_FIN: u32 = 0x01;
const TCP_PSH: u32 = 0x08;
const TCP_ACK: u32 = 0x10;
const TCP_ECE: u32 = 0x40;
/** What ends a run. */
const TCP_END: u32 = TCP_FIN | TCP_PSH;

const TCP_SEQUENCE: usize = 4;
const TCP_ACKNOWLEDGMENT: usize = 8;
const TCP_FLAGS: usize = 13;
const TCP_CHECKSUM: u32 = 16;
const UDP_CHECKSUM: u32 = 6;

/** The packet that came into a run last, and the head of that run: what follows in memory may be moved to it. */
class Last {
  static note: usize = 0;
  static head: usize = 0;
  static movable: bool = false;
}

/** Datagrams for IKE stay where they are until they are posted, so nothing is moved over them. */
export function beginRuns(arena: usize): void {
  Last.note = 0;
  Last.movable = load<u32>(arena, ARENA_IKE_COUNT) == 0;
}

/** Makes the candidate, whose NOTE has its place already, the head of a run. */
export function startRun(arena: usize, note: usize): void {
  const kind = Candidate.kind;
  const upper = load<u32>(note, NOTE_AT) + Candidate.upper;
  const capabilities = load<u32>(arena, ARENA_CAPABILITIES);
  let open = Candidate.payload != 0;
  if (kind & KIND_TCP) {
    const flags = <u32>load<u8>(upper, TCP_FLAGS);
    open = open && (capabilities & CAPABILITY_TUN_TSO) != 0 && (flags & ~TCP_ECE) == TCP_ACK && load<u16>(upper, 18) == 0;
    store<u32>(note, bswap<u32>(load<u32>(upper, TCP_SEQUENCE)) + Candidate.payload, NOTE_EXPECT);
  } else {
    open = open && (capabilities & CAPABILITY_TUN_USO) != 0 && load<u16>(upper, UDP_CHECKSUM) != 0;
  }
  store<u32>(note, open ? kind : kind | KIND_CLOSED, NOTE_KIND);
  store<u32>(note, Candidate.upper, NOTE_UPPER);
  store<u32>(note, Candidate.headers, NOTE_HEADERS);
  store<u32>(note, Candidate.payload, NOTE_SIZE);
  Last.note = note;
  Last.head = note;
}

/** Appends the candidate to the run of `head`, if it fits. @returns whether it did */
export function appendToRun(head: usize, note: usize): bool {
  const kind = load<u32>(head, NOTE_KIND);
  const payload = Candidate.payload;
  const size = load<u32>(head, NOTE_SIZE);
  const total = load<u32>(head, NOTE_TOTAL) + payload;
  const count = load<u32>(head, NOTE_COUNT);
  if ((kind & KIND_CLOSED) != 0 || payload == 0 || payload > size || total > MAX_TOTAL) return false;
  if (load<u32>(head, NOTE_HEADERS) != Candidate.headers) return false;
  const first: usize = load<u32>(head, NOTE_AT);
  const at: usize = load<u32>(note, NOTE_AT);
  const upper = Candidate.upper;
  if (!continuesIp(first, at, kind, count)) return false;
  let ends = payload < size;
  if (kind & KIND_TCP) {
    if (count >= MAX_TCP || !continuesTcp(head, first + upper, at + upper, Candidate.headers - upper)) return false;
    ends = ends || (<u32>load<u8>(at + upper, TCP_FLAGS) & TCP_END) != 0;
  } else if (count >= MAX_UDP || load<u16>(at + upper, UDP_CHECKSUM) == 0) return false;
  if ((kind & KIND_VERIFIED) == 0 && !verifies(head, load<u32>(head, NOTE_TOTAL), kind, upper)) {
    store<u32>(head, kind | KIND_CLOSED, NOTE_KIND);
    return false;
  }
  if (!verifies(note, Candidate.total, kind, upper)) return false;
  if (kind & KIND_TCP) store<u8>(first + upper, load<u8>(first + upper, TCP_FLAGS) | load<u8>(at + upper, TCP_FLAGS), TCP_FLAGS);
  // Its own headers may be overwritten now.
  if (!moveUp(head, note, at + Candidate.headers, payload)) {
    store<u32>(load<u32>(head, NOTE_TAIL), <u32>note, NOTE_NEXT);
    store<u32>(head, <u32>note, NOTE_TAIL);
    store<u32>(note, Candidate.headers, NOTE_HEADERS);
  }
  Last.note = note;
  Last.head = head;
  store<u32>(head, total, NOTE_TOTAL);
  store<u32>(head, count + 1, NOTE_COUNT);
  store<u32>(head, load<u32>(head, NOTE_EXPECT) + payload, NOTE_EXPECT);
  store<u32>(head, kind | KIND_VERIFIED | (ends ? KIND_CLOSED : 0), NOTE_KIND);
  return true;
}

/**
 * Moves a payload to the end of the run's bytes, if its packet is the next one in memory: what lies between
 * them is what ESP or AH had around them, and packets that were dropped.
 * @returns whether it did: then the run's last piece is longer, and the packet none of its own
 */
@inline
function moveUp(head: usize, note: usize, from: usize, length: u32): bool {
  if (!Last.movable || Last.note + PACKET_SIZE != note || Last.head != head) return false;
  if (load<u32>(note, NOTE_SLOT) != load<u32>(note - PACKET_SIZE, NOTE_SLOT)) return false;
  const tail: usize = load<u32>(head, NOTE_TAIL);
  if (load<u32>(tail, NOTE_BODY_LENGTH) != 0 || load<u32>(note, NOTE_BODY_LENGTH) != 0) return false;
  const bytes = load<u32>(tail, NOTE_HEAD);
  const end: usize = load<u32>(tail, NOTE_AT) + bytes;
  // Whole blocks are copied, from the front.
  if (from < end + 16) return false;
  copyBlocks(end, from, length);
  store<u32>(tail, bytes + length, NOTE_HEAD);
  return true;
}

/**
 * Do traffic class, flow label, next header and hop limit agree; or TOS, DF, TTL and protocol? Where
 * an IPv4 packet may be fragmented, its Identification must be the one that a split would give it
 * (RFC 6864 §4: with DF it means nothing).
 */
@inline
function continuesIp(a: usize, b: usize, kind: u32, count: u32): bool {
  if (kind & KIND_IPV6) return load<u32>(a) == load<u32>(b) && load<u16>(a, 6) == load<u16>(b, 6);
  if (load<u16>(a) != load<u16>(b) || load<u16>(a, 6) != load<u16>(b, 6) || load<u16>(a, 8) != load<u16>(b, 8)) return false;
  return load<u16>(a, 6) != 0 || bswap<u16>(load<u16>(b, 4)) == bswap<u16>(load<u16>(a, 4)) + <u16>count;
}

/** Does the segment at `b` come next, with the acknowledgement, window, flags and options of `a`? */
@inline
function continuesTcp(head: usize, a: usize, b: usize, length: u32): bool {
  if (bswap<u32>(load<u32>(b, TCP_SEQUENCE)) != load<u32>(head, NOTE_EXPECT)) return false;
  if (load<u32>(a, TCP_ACKNOWLEDGMENT) != load<u32>(b, TCP_ACKNOWLEDGMENT)) return false;
  // Offset, flags, window; then the urgent pointer.
  if ((load<u32>(a, 12) ^ load<u32>(b, 12)) & ~(TCP_END << 8)) return false;
  if (load<u16>(a, 18) != load<u16>(b, 18)) return false;
  for (let i: u32 = 20; i < length; i += 4) {
    if (load<u32>(a + i) != load<u32>(b + i)) return false;
  }
  return true;
}

/** Are the checksums of the packet right: the IPv4 header's, and that of TCP or UDP? */
function verifies(note: usize, total: u32, kind: u32, upper: u32): bool {
  const at: usize = load<u32>(note, NOTE_AT);
  const version: u32 = kind & KIND_IPV6 ? 6 : 4;
  if (version == 4 && sumIpv4Header(at) != 0xffff) return false;
  const head = min(load<u32>(note, NOTE_HEAD), total);
  let sum = sumPseudoHeader(at, version, kind & KIND_TCP ? IPPROTO_TCP : IPPROTO_UDP, total - upper);
  sum += sumBytes(at + upper, head - upper);
  if (total > head) sum += sumBytes(load<u32>(note, NOTE_BODY), total - head);
  return foldSum(sum) == 0xffff;
}

// struct virtio_net_hdr: what the frame still lacks, and how to split it.
const VNET_FLAGS: usize = 0;
const VNET_GSO_TYPE: usize = 1;
const VNET_HDR_LEN: usize = 2;
const VNET_GSO_SIZE: usize = 4;
const VNET_CSUM_START: usize = 6;
const VNET_CSUM_OFFSET: usize = 8;
const NEEDS_CSUM: u8 = 1;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;

/**
 * Writes the virtio header of a run at `vnet`, and what its first packet's headers say of lengths
 * and checksums: the sum of the pseudo-header, not complemented, for whoever computes the rest.
 */
export function finishRun(head: usize, vnet: usize): void {
  store<u64>(vnet, 0);
  store<u16>(vnet, 0, 8);
  if (load<u32>(head, NOTE_COUNT) == 1) return;
  const kind = load<u32>(head, NOTE_KIND);
  const at: usize = load<u32>(head, NOTE_AT);
  const total = load<u32>(head, NOTE_TOTAL);
  const upper = load<u32>(head, NOTE_UPPER);
  const tcp = (kind & KIND_TCP) != 0;
  const version6 = (kind & KIND_IPV6) != 0;
  const field = tcp ? TCP_CHECKSUM : UDP_CHECKSUM;
  if (version6) store<u16>(at, bswap<u16>(<u16>(total - upper)), 4);
  else {
    store<u16>(at, bswap<u16>(<u16>total), 2);
    storeIpv4Checksum(at);
  }
  if (!tcp) store<u16>(at + upper, bswap<u16>(<u16>(total - upper)), 4);
  const sum = foldSum(sumPseudoHeader(at, version6 ? 6 : 4, tcp ? IPPROTO_TCP : IPPROTO_UDP, total - upper));
  store<u16>(at + upper + field, <u16>sum);
  store<u8>(vnet, NEEDS_CSUM, VNET_FLAGS);
  store<u8>(vnet, tcp ? (version6 ? GSO_TCPV6 : GSO_TCPV4) : GSO_UDP_L4, VNET_GSO_TYPE);
  store<u16>(vnet, <u16>load<u32>(head, NOTE_HEADERS), VNET_HDR_LEN);
  store<u16>(vnet, <u16>load<u32>(head, NOTE_SIZE), VNET_GSO_SIZE);
  store<u16>(vnet, <u16>upper, VNET_CSUM_START);
  store<u16>(vnet, <u16>field, VNET_CSUM_OFFSET);
}
