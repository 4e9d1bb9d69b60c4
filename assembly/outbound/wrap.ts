/**
 * One packet into the output: the outer IP header where the lane wants one, the ESP (or AH) header,
 * room for what is protected, the trailer; and the PACKET descriptor that has it sealed.
 *
 *     Batch.output
 *     | outer IP header | SPI | sequence | IV | protected part … | padding | N | next | ICV |
 *     |<--- outer ----->|<------- gap ------->|<------------ plain ----------------->|
 *
 * Tunnel mode protects the whole packet and takes the outer header from the SA's template; transport
 * mode protects what follows the packet's own header, and keeps that (RFC 4303 §3.1). UDP lanes have
 * no outer header: the system writes it. A BYPASS packet has nothing but its own header.
 */
import { ahLength, frameAh } from "../ah/seal";
import { countDrop } from "../arena";
import { XfrmOutError } from "../drops";
import { describeAad, ESP_HEADER, ESP_TRAILER } from "../esp";
import { Ip } from "../ip/packet";
import { IPPROTO_AH, IPPROTO_ESP, IPPROTO_IPIP, IPPROTO_IPV6, IPPROTO_NONE } from "../ip/protocols";
import { checksumOf, copyBlocks, storeIpv4Checksum, sumIpv4Header, without } from "../ip/checksum";
import {
  PACKET_FLAG_ESN,
  PACKET_FLAGS,
  PACKET_ICV,
  PACKET_IV,
  PACKET_KEY,
  PACKET_LENGTH,
  PACKET_PAYLOAD,
  PACKET_SEQ_HI,
  PACKET_SIZE,
  PACKET_STATUS,
  STATUS_PENDING,
} from "../layout";
import { LANE_RAW4, LANE_RAW6, LANE_UDP4, LANE_UDP4_DF } from "../layout/arena";
import {
  SA_BLOCK_MASK,
  SA_DSCP_MAP,
  SA_FLAG_AH,
  SA_FLAG_COPY_DSCP,
  SA_FLAG_COUNTER_IV,
  SA_FLAG_DF_COPY,
  SA_FLAG_DF_SET,
  SA_FLAG_ESN,
  SA_FLAG_MAP_DSCP,
  SA_FLAG_OUTER6,
  SA_FLAG_TUNNEL,
  SA_FLAG_UDP,
  SA_FLAGS,
  SA_HEADER,
  SA_HEADER_LENGTH,
  SA_ICV_LENGTH,
  SA_INNER_MTU,
  SA_IV_LENGTH,
  SA_IV_MASK,
  SA_KEY,
  SA_LANE,
  SA_SPI,
  SA_TFC,
} from "../layout/records";
import { addDatagram, Batch, RUN_ALONE } from "./batch";
import { storeRandomIv } from "./iv";

/** How the frame at hand is wrapped; the same for all packets cut from it. */
export class Wrap {
  /** The SA's record; 0 for BYPASS. */
  static sa: usize = 0;
  static flags: u32 = 0;
  /** Bytes in front of ESP, between its header and the protected part, and of the ICV. */
  static outer: u32 = 0;
  static gap: u32 = 0;
  static icv: u32 = 0;
  /** Where in the packet the protected part begins. */
  static inside: u32 = 0;
  /** What the protected part is. */
  static next: u32 = 0;
  /** Alignment, minus one, and what TFC pads to. */
  static mask: u32 = 0;
  static least: u32 = 0;
  /** Don't Fragment and TOS of the outer header; lane and TOS as a RUN has them. */
  static df: bool = false;
  static tos: u32 = 0;
  static route: u32 = 0;
  /** The number of the next packet. */
  static sequence: u64 = 0;
  /** Of the packet being written: its ESP or AH header, and bytes of plain text with trailer. */
  static esp: usize = 0;
  static plain: u32 = 0;
}

/**
 * Takes the SA for the packet that `parseIp` saw last.
 * @returns false if the packet cannot go through this mode
 */
export function wrapWith(sa: usize): bool {
  const flags = load<u32>(sa, SA_FLAGS);
  const outerVersion: u32 = flags & SA_FLAG_OUTER6 ? 6 : 4;
  useSa(sa, flags);
  if (flags & SA_FLAG_TUNNEL) {
    Wrap.inside = 0;
    Wrap.outer = load<u32>(sa, SA_HEADER_LENGTH);
    Wrap.next = Ip.version == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
    Wrap.tos = outerTos(sa, flags);
    Wrap.df = (flags & SA_FLAG_DF_SET) != 0 || ((flags & SA_FLAG_DF_COPY) != 0 && Ip.df);
  } else {
    // Transport mode is for packets between the SA's own ends.
    if (Ip.version != outerVersion) return false;
    Wrap.inside = Ip.transport;
    Wrap.outer = Ip.transport;
    Wrap.next = load<u8>(Ip.at + Ip.transportNext);
    Wrap.tos = Ip.tos;
    Wrap.df = Ip.df;
    // No socket option takes along what stands between the header and ESP.
    if ((flags & SA_FLAG_UDP) != 0 && Ip.transport != (outerVersion == 4 ? 20 : 40)) return false;
  }
  chooseRoute(sa, flags);
  setPadding(sa, flags, Wrap.inside);
  return true;
}

/** RFC 6040 §4.1, normal mode: ECN is copied; DSCP as RFC 4301 §5.1.2.1 lets the administrator choose. */
@inline
function outerTos(sa: usize, flags: u32): u32 {
  if (flags & SA_FLAG_MAP_DSCP) return (<u32>load<u8>(load<u32>(sa, SA_DSCP_MAP) + (Ip.tos >>> 2)) << 2) | (Ip.tos & 3);
  return flags & SA_FLAG_COPY_DSCP ? Ip.tos : Ip.tos & 3;
}

/**
 * Takes an SA of ESP for a dummy packet (RFC 4303 §2.6): no packet, next header 59, and outside like any
 * other. @returns the most bytes that it may have inside
 */
export function wrapDummy(sa: usize): u32 {
  const flags = load<u32>(sa, SA_FLAGS);
  const header = load<u32>(sa, SA_HEADER_LENGTH);
  // Transport mode, too, has its header from the template.
  useSa(sa, flags | SA_FLAG_TUNNEL);
  Wrap.inside = 0;
  Wrap.outer = header;
  Wrap.next = IPPROTO_NONE;
  Wrap.tos = 0;
  // TCP has it, and so most packets.
  Wrap.df = (flags & (SA_FLAG_DF_SET | SA_FLAG_DF_COPY)) != 0;
  chooseRoute(sa, flags);
  const kept: u32 = flags & SA_FLAG_TUNNEL ? 0 : header;
  setPadding(sa, flags, kept);
  return load<u32>(sa, SA_INNER_MTU) - min(kept, load<u32>(sa, SA_INNER_MTU));
}

@inline
function useSa(sa: usize, flags: u32): void {
  Wrap.sa = sa;
  Wrap.flags = flags;
  Wrap.icv = load<u32>(sa, SA_ICV_LENGTH);
  Wrap.mask = load<u32>(sa, SA_BLOCK_MASK);
  Wrap.gap = flags & SA_FLAG_AH ? ahLength(sa) : ESP_HEADER + load<u32>(sa, SA_IV_LENGTH);
}

@inline
function chooseRoute(sa: usize, flags: u32): void {
  if (flags & SA_FLAG_UDP) Wrap.outer = 0;
  let lane = load<u32>(sa, SA_LANE);
  if (lane == LANE_UDP4 && Wrap.df) lane = LANE_UDP4_DF;
  Wrap.route = lane | (Wrap.tos << 8);
}

/**
 * TFC padding (RFC 4303 §2.7): up to the size asked for, but not beyond what the path takes.
 * @param kept bytes of the packet's own header in front of ESP
 */
@inline
function setPadding(sa: usize, flags: u32, kept: u32): void {
  const tfc = load<u32>(sa, SA_TFC);
  Wrap.least = 0;
  if (tfc == 0 || flags & SA_FLAG_AH) return;
  const most = (load<u32>(sa, SA_INNER_MTU) - kept + ESP_TRAILER) & ~Wrap.mask;
  Wrap.least = min<u32>((tfc + Wrap.mask) & ~Wrap.mask, most);
}

/** The packet that `parseIp` saw last goes as it is. */
export function wrapBypass(): void {
  Wrap.sa = 0;
  Wrap.flags = 0;
  Wrap.outer = Ip.transport;
  Wrap.inside = Ip.transport;
  Wrap.gap = 0;
  Wrap.icv = 0;
  Wrap.mask = 0;
  Wrap.least = 0;
  Wrap.tos = Ip.tos;
  Wrap.df = Ip.df;
  Wrap.route = (Ip.version == 4 ? LANE_RAW4 : LANE_RAW6) | (Ip.tos << 8);
}

/** The outer packet will be longer than the path takes: it is to be fragmented there, and travels alone. */
export function wrapFragmentable(): void {
  Wrap.df = false;
  Wrap.route = load<u32>(Wrap.sa, SA_LANE) | (Wrap.tos << 8) | RUN_ALONE;
}

/** @returns an upper bound of the output that a packet with so many protected bytes takes */
@inline
export function wrappedSize(inside: u32): u32 {
  // AH keeps the image of its headers behind the packet.
  if (Wrap.flags & SA_FLAG_AH) return 2 * (Wrap.outer + Wrap.gap) + inside;
  return Wrap.outer + Wrap.gap + max(inside + ESP_TRAILER + Wrap.mask, Wrap.least) + Wrap.icv;
}

/**
 * Begins a packet.
 * @param length of the IP packet to be wrapped
 * @param index the packet's place among those cut from one frame
 * @returns where its protected part goes: length - Wrap.inside bytes
 */
export function openPacket(length: u32, index: u32): usize {
  const inside = length - Wrap.inside;
  const sa = Wrap.sa;
  let at = Batch.output;
  if (sa == 0) {
    Wrap.plain = inside;
    writeOwnHeader(at, length, index);
    return at + Wrap.outer;
  }
  if (Wrap.flags & SA_FLAG_AH) {
    Wrap.plain = inside;
    writeOuterHeader(at, Wrap.outer + Wrap.gap + inside, index, IPPROTO_AH);
    Wrap.esp = at + Wrap.outer;
    return Wrap.esp + Wrap.gap;
  }
  Wrap.plain = max((inside + ESP_TRAILER + Wrap.mask) & ~Wrap.mask, Wrap.least);
  if (Wrap.outer != 0) {
    writeOuterHeader(at, Wrap.outer + Wrap.gap + Wrap.plain + Wrap.icv, index, IPPROTO_ESP);
    at += Wrap.outer;
  }
  Wrap.esp = at;
  store<u32>(at, load<u32>(sa, SA_SPI));
  store<u32>(at, bswap<u32>(<u32>Wrap.sequence), 4);
  if (Wrap.flags & SA_FLAG_COUNTER_IV) store<u64>(at, Wrap.sequence ^ load<u64>(sa, SA_IV_MASK), 8);
  else if (Wrap.gap != ESP_HEADER) storeRandomIv(Batch.arena, at + ESP_HEADER);
  return at + Wrap.gap;
}

/** Ends the packet whose protected part ends at `end`. */
export function closePacket(end: usize): void {
  if (Wrap.sa == 0) {
    addDatagram(end, 0, Wrap.route, 0);
    return;
  }
  if (Wrap.flags & SA_FLAG_AH) return closeAh(end);
  const payload = Wrap.esp + Wrap.gap;
  const icv = payload + Wrap.plain;
  writeTrailer(end, icv);
  const packet = Batch.packet;
  Batch.packet = packet + PACKET_SIZE;
  store<u32>(packet, load<u32>(Wrap.sa, SA_KEY), PACKET_KEY);
  store<u32>(packet, <u32>payload, PACKET_PAYLOAD);
  store<u32>(packet, Wrap.plain, PACKET_LENGTH);
  store<u32>(packet, <u32>Wrap.esp + ESP_HEADER, PACKET_IV);
  store<u32>(packet, <u32>icv, PACKET_ICV);
  store<u32>(packet, STATUS_PENDING, PACKET_STATUS);
  const high = <u32>(Wrap.sequence >>> 32);
  store<u32>(packet, high, PACKET_SEQ_HI);
  store<u32>(packet, Wrap.flags & SA_FLAG_ESN ? PACKET_FLAG_ESN : 0, PACKET_FLAGS);
  describeAad(packet, Wrap.esp, Wrap.gap, Wrap.flags, high);
  Wrap.sequence++;
  addDatagram(icv + Wrap.icv, Wrap.sa, Wrap.route, packet);
}

function closeAh(end: usize): void {
  const packet = Batch.packet;
  const free = frameAh(Wrap.sa, packet, Batch.output, Wrap.esp, end, Wrap.next, Wrap.sequence);
  Wrap.sequence++;
  if (free == 0) return countDrop(Batch.arena, XfrmOutError);
  Batch.packet = packet + PACKET_SIZE;
  addDatagram(end, Wrap.sa, Wrap.route, packet);
  Batch.output = free;
}

/** Padding 1, 2, 3 … (RFC 4303 §2.4), in front of it what TFC adds, behind it pad length and next header. */
@inline
function writeTrailer(end: usize, icv: usize): void {
  let padding = <u32>(icv - end) - ESP_TRAILER;
  if (padding > 15) {
    // In tunnel mode the IP header tells the receiver where the packet ends; elsewhere padding must do, 255 at most.
    const limit: u32 = Wrap.flags & SA_FLAG_TUNNEL ? 15 : 255;
    if (padding > limit) {
      memory.fill(end, 0, padding - limit);
      end += padding - limit;
      padding = limit;
    }
    for (let i: u32 = 0; i < padding; i++) store<u8>(end + i, i + 1);
  } else {
    v128.store(end, i8x16(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16));
  }
  store<u8>(icv - ESP_TRAILER, padding);
  store<u8>(icv - ESP_TRAILER, Wrap.next, 1);
}

// ─── Outer headers ────────────────────────────────────────────────────────────────────────────

function writeOuterHeader(at: usize, length: u32, index: u32, protocol: u32): void {
  if (Wrap.flags & SA_FLAG_TUNNEL) writeTunnelHeader(at, length);
  else {
    writeOwnHeader(at, length, index);
    store<u8>(at + Ip.transportNext, protocol);
    if (Ip.version == 4) storeIpv4Checksum(at);
  }
}

/** The SA's template, completed (RFC 4301 §5.1.2). The sequence number makes a good Identification. */
function writeTunnelHeader(at: usize, length: u32): void {
  const template = Wrap.sa + SA_HEADER;
  v128.store(at, v128.load(template));
  v128.store(at, v128.load(template, 16), 16);
  if (Wrap.flags & SA_FLAG_OUTER6) {
    store<u64>(at, load<u64>(template, 32), 32);
    const flow = bswap<u32>(load<u32>(template));
    store<u32>(at, bswap<u32>((flow & 0xf00fffff) | (Wrap.tos << 20)));
    store<u16>(at, bswap<u16>(<u16>(length - 40)), 4);
    return;
  }
  store<u8>(at, Wrap.tos, 1);
  store<u16>(at, bswap<u16>(<u16>length), 2);
  store<u16>(at, bswap<u16>(<u16>Wrap.sequence), 4);
  store<u16>(at, Wrap.df ? 0x0040 : 0, 6);
  storeIpv4Checksum(at);
}

/** The packet's own header, of a packet that is now `length` bytes long. */
function writeOwnHeader(at: usize, length: u32, index: u32): void {
  copyBlocks(at, Ip.at, Wrap.outer);
  patchHeader(at, length, index);
}

/**
 * Makes the copy of an IP header that of the packet number `index` cut from a frame, `length` bytes long.
 * The sum is that of the original: the processor waits when it is to load at once what was just stored in parts.
 */
export function patchHeader(at: usize, length: u32, index: u32): void {
  if (Ip.version == 6) {
    store<u16>(at, bswap<u16>(<u16>(length - 40)), 4);
    return;
  }
  const from = Ip.at;
  const wireLength = <u32>bswap<u16>(<u16>length);
  const identification = load<u16>(from, 4);
  const wireIdentification = <u32>bswap<u16>(<u16>(<u32>bswap<u16>(identification) + index));
  store<u16>(at, wireLength, 2);
  store<u16>(at, wireIdentification, 4);
  const sum = sumIpv4Header(from) + without(load<u16>(from, 2)) + without(identification) + without(load<u16>(from, 10));
  store<u16>(at, checksumOf(sum + wireLength + wireIdentification), 10);
}
