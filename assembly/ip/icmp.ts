/**
 * ICMP errors: those that arrive, and those that we send.
 *
 * We send "too big" to the sender of the packet that `parseIp` saw last: ICMP Destination Unreachable, code 4
 * (RFC 1191 §4), or ICMPv6 Packet Too Big (RFC 4443 §3.2).
 *
 *     +---------------+---------------+-------------------------------+
 *     |     Type      |     Code      |           Checksum            |
 *     +---------------+---------------+-------------------------------+
 *     |     IPv4: unused, next-hop MTU (16); IPv6: MTU (32)           |
 *     +---------------------------------------------------------------+
 *     |     as much of the packet as fits                             |
 *     +---------------------------------------------------------------+
 */
import { HEADER_BASE, HEADER_ICMP4, HEADER_ICMP6 } from "../layout/records";
import { checksumOf, copyBlocks, storeIpv4Checksum, sumBytes, sumPseudoHeader } from "./checksum";
import { Ip, IPV4_HEADER, IPV6_HEADER, parseIp } from "./packet";
import { IPPROTO_ICMP, IPPROTO_ICMPV6 } from "./protocols";

const ICMP_HEADER: u32 = 8;
/** RFC 1812 §4.3.2.3, RFC 4443 §2.4 (c). */
const LARGEST4: u32 = 576;
const LARGEST6: u32 = 1280;
const HOP_LIMIT: u32 = 64;

const REDIRECT: u32 = 5;

/** Is it an error (RFC 1122 §3.2.2, RFC 4443 §2.1)? */
export function isIcmpError(): bool {
  return isDeliveryError() || (Ip.protocol == IPPROTO_ICMP && Ip.version == 4 && Ip.sourcePort >>> 8 == REDIRECT);
}

/**
 * Does it tell that a packet did not get to its end: unreachable, quench, time exceeded, parameter problem; of
 * ICMPv6 a type below 128? A redirect does not, and a peer is not to change this side's routes.
 */
export function isDeliveryError(): bool {
  const type = Ip.sourcePort >>> 8;
  if (Ip.protocol == IPPROTO_ICMPV6) return Ip.version == 6 && type < 128;
  return Ip.protocol == IPPROTO_ICMP && Ip.version == 4 && (type == 3 || type == 4 || type == 11 || type == 12);
}

/**
 * Goes on to the packet that the error quotes, as if `parseIp` had seen that one. It is cut short, but
 * must show its ports, and have come from where the error goes.
 */
export function parseQuoted(): bool {
  const header = Ip.header + ICMP_HEADER;
  const quoted = Ip.length - header;
  const high = Ip.destinationHigh;
  const low = Ip.destinationLow;
  if (Ip.length < header || !parseIp(Ip.at + header, 65535)) return false;
  return Ip.header + 4 <= quoted && Ip.sourceHigh == high && Ip.sourceLow == low;
}

/** No error about errors, later fragments, or to where an answer cannot go (RFC 1122 §3.2.2, RFC 4443 §2.4 (e)). */
export function mayAnswer(): bool {
  if (Ip.fragmentOffset != 0 || isIcmpError()) return false;
  if (Ip.version == 4) return isUnicast4(<u32>Ip.sourceLow) && isUnicast4(<u32>Ip.destinationLow);
  return (Ip.sourceHigh | Ip.sourceLow) != 0 && Ip.sourceHigh >>> 56 != 0xff;
}

@inline
function isUnicast4(address: u32): bool {
  return address != 0 && address < 0xe0000000;
}

/** Writes the error at `at`. @returns its length */
export function writeTooBig(at: usize, mtu: u32): u32 {
  return Ip.version == 4 ? writeTooBig4(at, mtu) : writeTooBig6(at, mtu);
}

function writeTooBig4(at: usize, mtu: u32): u32 {
  const quoted = min(Ip.length, LARGEST4 - IPV4_HEADER - ICMP_HEADER);
  const length = IPV4_HEADER + ICMP_HEADER + quoted;
  const own = load<u32>(HEADER_BASE, HEADER_ICMP4);
  // Version, header length, TOS (internetwork control, RFC 1812 §4.3.2.5); no fragment, DF.
  store<u32>(at, 0xc045);
  store<u16>(at, bswap<u16>(<u16>length), 2);
  store<u32>(at, 0x00400000, 4);
  store<u8>(at, HOP_LIMIT, 8);
  store<u8>(at, IPPROTO_ICMP, 9);
  store<u32>(at, own != 0 ? own : load<u32>(Ip.at, 16), 12);
  store<u32>(at, load<u32>(Ip.at, 12), 16);
  storeIpv4Checksum(at);
  const icmp = at + IPV4_HEADER;
  store<u32>(icmp, 0x0403);
  store<u32>(icmp, bswap<u32>(mtu), 4);
  copyBlocks(icmp + ICMP_HEADER, Ip.at, quoted);
  store<u16>(icmp, checksumOf(sumBytes(icmp, ICMP_HEADER + quoted)), 2);
  return length;
}

function writeTooBig6(at: usize, mtu: u32): u32 {
  const quoted = min(Ip.length, LARGEST6 - IPV6_HEADER - ICMP_HEADER);
  const own = v128.load(HEADER_BASE, HEADER_ICMP6);
  store<u32>(at, 0x60);
  store<u16>(at, bswap<u16>(<u16>(ICMP_HEADER + quoted)), 4);
  store<u8>(at, IPPROTO_ICMPV6, 6);
  store<u8>(at, HOP_LIMIT, 7);
  v128.store(at, v128.any_true(own) ? own : v128.load(Ip.at, 24), 8);
  v128.store(at, v128.load(Ip.at, 8), 24);
  const icmp = at + IPV6_HEADER;
  store<u32>(icmp, 2);
  store<u32>(icmp, bswap<u32>(mtu), 4);
  copyBlocks(icmp + ICMP_HEADER, Ip.at, quoted);
  const sum = sumPseudoHeader(at, 6, IPPROTO_ICMPV6, ICMP_HEADER + quoted) + sumBytes(icmp, ICMP_HEADER + quoted);
  store<u16>(icmp, checksumOf(sum), 2);
  return IPV6_HEADER + ICMP_HEADER + quoted;
}
