/**
 * Transport mode gives only the upper layer back (RFC 4303 §3.1.1); the IP header is the outer one.
 *
 *     protocol 50, IPv4   it stands in the slot, and moves up to the upper layer
 *     protocol 50, IPv6   the system kept it: made again from the control messages
 *     in UDP              likewise; GRO leaves no room, so it is made in IN_HEADERS, together with a
 *                         copy of the upper layer's first bytes, and the rest follows elsewhere
 */
import { checksumOf, foldSum, storeIpv4Checksum, sumBytes, sumPseudoHeader } from "../ip/checksum";
import { IPV4_HEADER, IPV6_HEADER } from "../ip/packet";
import { IPPROTO_TCP, IPPROTO_UDP } from "../ip/protocols";
import { PACKET_SIZE } from "../layout";
import {
  IN_HEADER_SIZE,
  IN_HEADERS,
  IN_LOCAL_SIZE,
  IN_LOCALS,
  IN_NAME_SIZE,
  IN_NAMES,
  IN_PACKETS,
  IN_SLOT_DATA,
  IN_SLOTS,
  LOCAL_ADDRESS,
  LOCAL_HOP_LIMIT,
  LOCAL_TOS,
  SLOT_SIZE,
} from "../layout/arena";
import { SA_FLAG_OUTER6 } from "../layout/records";
import { copyExtensions, Extensions } from "./extensions";
import { NOTE_SLOT, SLOT_MASK, SLOT_RAW } from "./packet";
import { Inner } from "./unframe";

/** Where an IP header is made in its IN_HEADERS entry: the virtio header fits in front. */
const MADE_AT: usize = 16;
/** Bytes of the upper layer that come along: any TCP header. */
const UPPER_COPY: u32 = 60;
const HOP_LIMIT: u32 = 64;

/**
 * Puts an IP header in front of `length` bytes of upper layer at `payload`.
 * @returns true: nothing can go wrong here
 */
export function rebuildTransport(arena: usize, packet: usize, flags: u32, payload: usize, length: u32, next: u32): bool {
  const note = load<u32>(packet, NOTE_SLOT);
  const slot = <usize>(note & SLOT_MASK);
  const version6 = (flags & SA_FLAG_OUTER6) != 0;
  if (note & SLOT_RAW) {
    const outer = arena + IN_SLOTS + slot * SLOT_SIZE + IN_SLOT_DATA;
    const size = version6 ? makeIpv6Before(arena, slot, payload, length, next) : (<u32>load<u8>(outer) & 15) << 2;
    Inner.at = payload - size;
    Inner.head = size + length;
    Inner.bodyLength = 0;
    if (!version6) moveIpv4(outer, Inner.at, size, length, next);
    return true;
  }
  const copied = min(length, UPPER_COPY);
  const size = version6 ? IPV6_HEADER : IPV4_HEADER;
  Inner.at = arena + IN_HEADERS + (packet - arena - IN_PACKETS) / PACKET_SIZE * IN_HEADER_SIZE + MADE_AT;
  Inner.head = size + copied;
  Inner.body = payload + copied;
  Inner.bodyLength = length - copied;
  if (version6) makeIpv6(arena, slot, Inner.at, length, next);
  else makeIpv4(arena, slot, Inner.at, length, next);
  mendChecksum(payload, length, next, version6 ? 6 : 4);
  memory.copy(Inner.at + size, payload, copied);
  return true;
}

function moveIpv4(from: usize, to: usize, size: u32, length: u32, next: u32): void {
  memory.copy(to, from, size);
  store<u16>(to, bswap<u16>(<u16>(size + length)), 2);
  store<u8>(to, next, 9);
  storeIpv4Checksum(to);
}

function makeIpv4(arena: usize, slot: usize, at: usize, length: u32, next: u32): void {
  const local = arena + IN_LOCALS + slot * IN_LOCAL_SIZE;
  const name = arena + IN_NAMES + slot * IN_NAME_SIZE;
  store<u32>(at, 0x45 | (load<u32>(local, LOCAL_TOS) << 8) | (<u32>bswap<u16>(<u16>(IPV4_HEADER + length)) << 16));
  // Identification 0 and DF: an atomic datagram (RFC 6864), as nobody will fragment it any more.
  store<u32>(at, 0x40 << 16, 4);
  store<u32>(at, HOP_LIMIT | (next << 8), 8);
  store<u32>(at, load<u32>(name, 4), 12);
  store<u32>(at, load<u32>(local, LOCAL_ADDRESS), 16);
  storeIpv4Checksum(at);
}

/** The whole of what stood in front of ESP or AH. @returns its bytes, put in front of `payload` */
function makeIpv6Before(arena: usize, slot: usize, payload: usize, length: u32, next: u32): u32 {
  const made = arena + IN_HEADERS;
  const extensions = copyExtensions(arena, <u32>slot, made);
  const size = IPV6_HEADER + extensions;
  makeIpv6(arena, slot, payload - size, extensions + length, extensions == 0 ? next : Extensions.first);
  if (extensions != 0) store<u8>(Extensions.last, next);
  memory.copy(payload - extensions, made, extensions);
  return size;
}

export function makeIpv6(arena: usize, slot: usize, at: usize, length: u32, next: u32): void {
  const local = arena + IN_LOCALS + slot * IN_LOCAL_SIZE;
  const name = arena + IN_NAMES + slot * IN_NAME_SIZE;
  const hops = load<u32>(local, LOCAL_HOP_LIMIT);
  store<u32>(at, bswap<u32>(0x60000000 | (load<u32>(local, LOCAL_TOS) << 20)));
  store<u16>(at, bswap<u16>(<u16>length), 4);
  store<u8>(at, next, 6);
  store<u8>(at, hops == 0 ? HOP_LIMIT : hops, 7);
  v128.store(at, v128.load(name, 8), 8);
  v128.store(at, v128.load(local, LOCAL_ADDRESS), 24);
}

/**
 * A NAT has changed addresses that the sender's checksum covers, and could not change the checksum.
 * The payload is authentic, so it is made anew (RFC 3948 §3.1.2).
 */
function mendChecksum(upper: usize, length: u32, next: u32, version: u32): void {
  let field: u32;
  if (next == IPPROTO_TCP) field = 16;
  else if (next == IPPROTO_UDP) field = 6;
  else return;
  if (length < field + 2) return;
  const old = load<u16>(upper + field);
  if (next == IPPROTO_UDP && old == 0 && version == 4) return;
  const sum = sumPseudoHeader(Inner.at, version, next, length) + sumBytes(upper, length);
  if (foldSum(sum) == 0xffff) return;
  const fresh = checksumOf(sum + (~<u32>old & 0xffff));
  store<u16>(upper + field, fresh == 0 && next == IPPROTO_UDP ? 0xffff : fresh);
}
