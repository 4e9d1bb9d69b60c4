/**
 * Looks into an IP packet: what a policy, a selector or a segmenter wants to know of it.
 *
 *     IPv4  | header, options      | upper layer …
 *     IPv6  | header | hop-by-hop, destination options, routing, fragment … | upper layer …
 *
 * The result is in the static fields of `Ip` (globals of this instance, so private to its thread);
 * it holds until the next call of `parseIp`.
 */
import { OPAQUE_PORT } from "../layout/arena";
import {
  IPPROTO_DCCP,
  IPPROTO_DSTOPTS,
  IPPROTO_FRAGMENT,
  IPPROTO_HOPOPTS,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_MH,
  IPPROTO_ROUTING,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPPROTO_UDPLITE,
  PROTOCOL_OPAQUE,
} from "./protocols";

export const IPV4_HEADER: u32 = 20;
export const IPV6_HEADER: u32 = 40;

/** Most extension headers worth following; more are an attack on whoever follows them. */
const MAX_EXTENSIONS: i32 = 8;

/** The packet that `parseIp` saw last. Lengths and offsets in bytes from `at`; numbers in host order. */
export class Ip {
  /** Address of the IP header. */
  static at: usize = 0;
  /** 4 or 6. */
  static version: u32 = 0;
  /** Of the whole packet, as the header says. */
  static length: u32 = 0;
  /** Where the upper layer begins. */
  static header: u32 = 0;
  /** The upper layer's protocol, or PROTOCOL_OPAQUE. */
  static protocol: u32 = 0;
  /** TOS or traffic class: DSCP and ECN. */
  static tos: u32 = 0;
  static sourceHigh: u64 = 0;
  static sourceLow: u64 = 0;
  static destinationHigh: u64 = 0;
  static destinationLow: u64 = 0;
  /**
   * Ports; of ICMP type × 256 + code and of the Mobility Header type × 256, in both
   * (RFC 4301 §4.4.1.1); OPAQUE_PORT for none.
   */
  static sourcePort: u32 = 0;
  static destinationPort: u32 = 0;
  /** Don't Fragment; always so in IPv6. */
  static df: bool = false;
  /** Part of a fragmented packet: the place of this part in bytes, whether others follow, the identification (wire). */
  static fragment: bool = false;
  static fragmentOffset: u32 = 0;
  static moreFragments: bool = false;
  static identification: u32 = 0;
  /** IPv6: where the fragment header is, 0 for none, and the byte that names it. */
  static fragmentHeader: u32 = 0;
  static fragmentNamed: u32 = 0;
  /**
   * Where ESP or AH of transport mode goes (RFC 4303 §3.1.1): behind what routers on the way read,
   * in front of the last destination options. And the offset of the byte that names what is there.
   */
  static transport: u32 = 0;
  static transportNext: u32 = 0;
}

/**
 * Parses the packet at `at`, of which `available` bytes are there.
 * @returns whether it is a packet: false if it is malformed or cut short
 */
export function parseIp(at: usize, available: u32): bool {
  Ip.at = at;
  Ip.fragment = false;
  Ip.fragmentOffset = 0;
  Ip.moreFragments = false;
  Ip.fragmentHeader = 0;
  if (available < IPV4_HEADER) return false;
  const version = <u32>load<u8>(at) >> 4;
  Ip.version = version;
  if (version == 4) return parseIpv4(at, available);
  if (version == 6 && available >= IPV6_HEADER) return parseIpv6(at, available);
  return false;
}

/*
 *  0                   1                   2                   3
 * +-------+-------+-----------+---+-------------------------------+
 * |Version|  IHL  |   DSCP    |ECN|          Total Length         |
 * +-------+-------+-----------+---+-----+-------------------------+
 * |         Identification        |Flags|      Fragment Offset    |
 * +---------------+---------------+-----+-------------------------+
 * |  Time to Live |    Protocol   |         Header Checksum       |
 * +---------------+---------------+-------------------------------+
 * |                        Source Address                         |
 * +---------------------------------------------------------------+
 * |                     Destination Address                       |
 * +---------------------------------------------------------------+
 */
function parseIpv4(at: usize, available: u32): bool {
  const header = (<u32>load<u8>(at) & 15) << 2;
  const length = <u32>bswap<u16>(load<u16>(at, 2));
  if (header < IPV4_HEADER || length < header || length > available) return false;
  Ip.header = header;
  Ip.length = length;
  Ip.tos = load<u8>(at, 1);
  Ip.protocol = load<u8>(at, 9);
  Ip.sourceHigh = 0;
  Ip.sourceLow = bswap<u32>(load<u32>(at, 12));
  Ip.destinationHigh = 0;
  Ip.destinationLow = bswap<u32>(load<u32>(at, 16));
  Ip.transport = header;
  Ip.transportNext = 9;
  const fragment = <u32>bswap<u16>(load<u16>(at, 6));
  Ip.df = (fragment & 0x4000) != 0;
  if (fragment & 0x3fff) {
    Ip.fragment = true;
    Ip.fragmentOffset = (fragment & 0x1fff) << 3;
    Ip.moreFragments = (fragment & 0x2000) != 0;
    Ip.identification = load<u16>(at, 4);
  }
  parsePorts();
  return true;
}

/*
 *  0                   1                   2                   3
 * +-------+-----------+---+---------------------------------------+
 * |Version|   DSCP    |ECN|              Flow Label               |
 * +-------+-----------+---+-------+---------------+---------------+
 * |         Payload Length        |  Next Header  |   Hop Limit   |
 * +-------------------------------+---------------+---------------+
 * |                   Source Address (16)                         |
 * |                   Destination Address (16)                    |
 * +---------------------------------------------------------------+
 */
function parseIpv6(at: usize, available: u32): bool {
  const length = <u32>bswap<u16>(load<u16>(at, 4)) + IPV6_HEADER;
  if (length > available) return false;
  Ip.length = length;
  Ip.tos = (<u32>bswap<u16>(load<u16>(at)) >> 4) & 0xff;
  Ip.sourceHigh = bswap<u64>(load<u64>(at, 8));
  Ip.sourceLow = bswap<u64>(load<u64>(at, 16));
  Ip.destinationHigh = bswap<u64>(load<u64>(at, 24));
  Ip.destinationLow = bswap<u64>(load<u64>(at, 32));
  Ip.df = true;
  Ip.header = IPV6_HEADER;
  Ip.protocol = load<u8>(at, 6);
  Ip.transport = IPV6_HEADER;
  Ip.transportNext = 6;
  if (isExtension(Ip.protocol) && !parseExtensions(at, length)) return false;
  parsePorts();
  return true;
}

@inline
function isExtension(protocol: u32): bool {
  return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_DSTOPTS;
}

/** RFC 8200 §4. AH, ESP and the Mobility Header are upper layers here, as in RFC 4301 §4.4.1.1. */
function parseExtensions(at: usize, length: u32): bool {
  let offset = IPV6_HEADER;
  let next = Ip.protocol;
  let named: u32 = 6;
  for (let i = 0; isExtension(next); i++) {
    if (i == MAX_EXTENSIONS || offset + 8 > length) return false;
    const header = at + offset;
    let size: u32 = 8;
    if (next == IPPROTO_FRAGMENT) {
      const field = <u32>bswap<u16>(load<u16>(header, 2));
      Ip.fragmentOffset = field & 0xfff8;
      Ip.moreFragments = (field & 1) != 0;
      // An "atomic" fragment (RFC 6946) is a whole packet.
      Ip.fragment = (field & 0xfff9) != 0;
      Ip.fragmentHeader = offset;
      Ip.fragmentNamed = named;
      Ip.identification = load<u32>(header, 4);
    } else {
      size += <u32>load<u8>(header, 1) << 3;
      if (offset + size > length) return false;
    }
    const current = next;
    next = load<u8>(header);
    named = offset;
    offset += size;
    // Destination options stay behind ESP, unless a routing header turns up after them.
    if (current != IPPROTO_DSTOPTS) {
      Ip.transport = offset;
      Ip.transportNext = named;
    }
    if (Ip.fragmentOffset != 0) {
      // What follows is the middle of something.
      if (isExtension(next)) next = PROTOCOL_OPAQUE;
      break;
    }
  }
  Ip.header = offset;
  Ip.protocol = next;
  return true;
}

/** Ports lie in the first four bytes of every protocol that has them. */
@inline
function parsePorts(): void {
  Ip.sourcePort = OPAQUE_PORT;
  Ip.destinationPort = OPAQUE_PORT;
  if (Ip.fragmentOffset != 0) return;
  const protocol = Ip.protocol;
  const upper = Ip.at + Ip.header;
  const length = Ip.length - Ip.header;
  if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP || protocol == IPPROTO_UDPLITE) {
    if (length < 4) return;
    Ip.sourcePort = bswap<u16>(load<u16>(upper));
    Ip.destinationPort = bswap<u16>(load<u16>(upper, 2));
  } else if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
    if (length < 2) return;
    Ip.sourcePort = bswap<u16>(load<u16>(upper));
    Ip.destinationPort = Ip.sourcePort;
  } else if (protocol == IPPROTO_MH) {
    if (length < 3) return;
    Ip.sourcePort = <u32>load<u8>(upper, 2) << 8;
    Ip.destinationPort = Ip.sourcePort;
  }
}
