/**
 * One frame on its way out (RFC 4301 §5.1), in the order in which it travels:
 *
 *     virtio-net header ─► IP ─► SPD ─► SA ─► size ─► sequence numbers ─► packets
 */
import { POLICY_UNKNOWN } from "../classifier";
import {
  OutFragment,
  OutNoPolicy,
  OutTooBig,
  XfrmOutError,
  XfrmOutPolBlock,
  XfrmOutStateExpired,
  XfrmOutNoStates,
  XfrmOutStateInvalid,
  XfrmOutStateModeError,
  XfrmOutStateSeqError,
} from "../drops";
import { trackFragment } from "../ip/fragment";
import { clampMss } from "../ip/mss";
import { Ip, parseIp } from "../ip/packet";
import { IPPROTO_TCP, IPPROTO_UDP } from "../ip/protocols";
import { EVENT_EXPIRE_HARD_SEQUENCE, EVENT_EXPIRE_SOFT_SEQUENCE, VNET_HEADER_SIZE } from "../layout/arena";
import {
  POLICY_ACTION_BYPASS,
  POLICY_ACTION_PROTECT,
  SA_FLAG_TUNNEL,
  SA_FLAGS,
  SA_HARD_SEQUENCE,
  SA_INNER_MTU,
  SA_SEQUENCE,
  SA_SOFT_SEQUENCE,
  SA_STATE,
  SA_STATE_LIVE,
} from "../layout/records";
import { countSa, isExpired, reportExpiry } from "../sad";
import { countPolicy } from "../spd";
import { hasRoom, isEmpty, mustWait } from "./batch";
import { decide, Decision } from "./decide";
import { completeChecksum, countFragments, emitFragments } from "./fragment";
import { Datagram, forgetDatagram, gatherFragment } from "./reassemble";
import { replyTooBig } from "./reply";
import { emitTcp, emitUdp, emitWhole, TCP_HEADER, tcpHeaderLength, UDP_HEADER } from "./segment";
import { GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, VNET_CSUM_OFFSET, VNET_CSUM_START, VNET_FLAGS, VNET_GSO_SIZE, VNET_GSO_TYPE, VNET_NEEDS_CSUM } from "./vnet";
import { Wrap, wrapBypass, wrapFragmentable, wrappedSize, wrapWith } from "./wrap";

/** What `takeFrame` says: dealt with, for better or worse. Any other small number is why it was dropped. */
export const TAKEN: u32 = 0;
/** The batch is full: the frame is to be shown again after the next Finish. */
export const NO_ROOM: u32 = 0xffff;
/** There is no SA yet; the policy is in Decision.policy. */
export const NO_SA: u32 = 0xfffe;

/** Sequence numbers above are not given out: no sum of what workers ask for at once reaches the end. */
const LAST_SEQUENCE: u64 = 0xffffffff00000000;

/** Every IPv6 link takes packets of that size (RFC 8200 §5). */
const IPV6_LEAST_MTU: u32 = 1280;

/** No packet is longer than 65,535 bytes: this is what is left inside IPv4 and UDP. */
const LONGEST_OUTER: u32 = 65507;

/** The frame that `takeFrame` saw last. */
class Frame {
  static needsChecksum: bool = false;
  static checksumStart: u32 = 0;
  static checksumOffset: u32 = 0;
  /** IPPROTO_TCP or IPPROTO_UDP if it is a super-frame, the bytes of headers and of a segment's payload; else 0. */
  static segmentation: u32 = 0;
  static header: u32 = 0;
  static segment: u32 = 0;
  /** Did it come in fragments? So others may be made of it, whatever its header says. */
  static reassembled: bool = false;
  /** Is it to be cut into IPv4 fragments? */
  static fragmented: bool = false;
  /** Packets to be made of it. */
  static packets: u32 = 0;
}

/**
 * Takes a frame as read from the TUN.
 * @param at address of its virtio-net header
 * @returns TAKEN, NO_ROOM, NO_SA or the reason to drop it
 */
export function takeFrame(arena: usize, at: usize, length: u32): u32 {
  if (length < <u32>VNET_HEADER_SIZE || !parseIp(at + VNET_HEADER_SIZE, length - VNET_HEADER_SIZE)) return XfrmOutError;
  if (!parseOffload(at)) return XfrmOutError;
  Frame.reassembled = false;
  trackFragment(arena, false);
  return takePacket(arena);
}

/** Takes the packet that `parseIp` saw last. */
function takePacket(arena: usize): u32 {
  decide(arena);
  const policy = Decision.policy;
  if (policy == 0) return OutNoPolicy;
  if (policy == POLICY_UNKNOWN) return OutFragment;
  if (Decision.action == POLICY_ACTION_PROTECT) return protect(arena, policy, Decision.sa);
  if (Decision.action == POLICY_ACTION_BYPASS) return bypass(policy);
  countPolicy(policy, 1, Ip.length);
  return XfrmOutPolBlock;
}

/** Transport mode is for whole packets: this fragment waits for the others, and the datagram goes when all are there. */
function takeFragment(arena: usize): u32 {
  if (!gatherFragment(arena)) return TAKEN;
  if (!parseIp(Datagram.at, Datagram.length)) {
    forgetDatagram();
    return XfrmOutError;
  }
  Frame.needsChecksum = false;
  Frame.segmentation = 0;
  Frame.packets = 1;
  Frame.reassembled = true;
  const result = takePacket(arena);
  // The last fragment will be shown again.
  if (result == NO_ROOM) return NO_ROOM;
  forgetDatagram();
  return result == NO_SA ? XfrmOutNoStates : result;
}

/** Reads what the virtio-net header leaves to us. @returns false if it contradicts the packet */
function parseOffload(at: usize): bool {
  Frame.needsChecksum = (<u32>load<u8>(at, VNET_FLAGS) & VNET_NEEDS_CSUM) != 0;
  Frame.segmentation = 0;
  Frame.packets = 1;
  if (Frame.needsChecksum) {
    Frame.checksumStart = load<u16>(at, VNET_CSUM_START);
    Frame.checksumOffset = load<u16>(at, VNET_CSUM_OFFSET);
    if (Frame.checksumStart < Ip.header || Frame.checksumStart + Frame.checksumOffset + 2 > Ip.length) return false;
  }
  const type = <u32>load<u8>(at, VNET_GSO_TYPE) & ~GSO_ECN;
  if (type == GSO_NONE) return true;
  const segment = <u32>load<u16>(at, VNET_GSO_SIZE);
  const upper = Ip.length - Ip.header;
  let header: u32;
  if (type == GSO_UDP_L4) {
    if (Ip.protocol != IPPROTO_UDP || upper < UDP_HEADER) return false;
    header = Ip.header + UDP_HEADER;
  } else {
    if (type != (Ip.version == 4 ? GSO_TCPV4 : GSO_TCPV6) || Ip.protocol != IPPROTO_TCP || upper < TCP_HEADER) return false;
    const tcp = tcpHeaderLength();
    if (tcp < TCP_HEADER || tcp > upper) return false;
    header = Ip.header + tcp;
  }
  if (segment == 0 || Ip.fragment) return false;
  Frame.header = header;
  const payload = Ip.length - header;
  if (payload <= segment) return true;
  Frame.segment = segment;
  Frame.segmentation = Ip.protocol;
  Frame.packets = (payload + segment - 1) / segment;
  return true;
}

function protect(arena: usize, policy: usize, sa: usize): u32 {
  if (sa == 0) return NO_SA;
  if (load<u32>(sa, SA_STATE) != SA_STATE_LIVE) return XfrmOutStateInvalid;
  if (isExpired(sa)) return XfrmOutStateExpired;
  if (Ip.fragment && !(load<u32>(sa, SA_FLAGS) & SA_FLAG_TUNNEL)) return takeFragment(arena);
  if (!wrapWith(sa)) return XfrmOutStateModeError;
  const mtu = load<u32>(sa, SA_INNER_MTU);
  if (!fitTo(mtu)) {
    if (!Frame.reassembled) replyTooBig(arena, mtu);
    return OutTooBig;
  }
  if (mustWait(Wrap.route, Frame.packets)) return NO_ROOM;
  if (!roomForFrame()) return isEmpty() ? XfrmOutError : NO_ROOM;
  if (!takeSequence(arena, sa, Frame.packets)) return XfrmOutStateSeqError;
  countSa(arena, sa, Frame.packets, Ip.length);
  countPolicy(policy, Frame.packets, Ip.length);
  clampMss(mtu, Frame.needsChecksum);
  emit(mtu);
  return TAKEN;
}

/**
 * Makes the packets fit the path: as they are; by smaller TCP segments or fragments, if they may be
 * fragmented; or by fragments of the outer packet: in transport mode, which is for whole packets
 * (RFC 4303 §3.3.4), for UDP super-frames, and for IPv6 packets that any link must take (RFC 8200 §5).
 * @returns false if the sender must be told
 */
function fitTo(mtu: u32): bool {
  Frame.fragmented = false;
  const size = packetSize();
  if (size <= mtu) return true;
  if (Frame.reassembled) return fragmentOuter();
  if (Ip.version == 6 ? size > IPV6_LEAST_MTU : Ip.df || mtu < Ip.header + TCP_HEADER + 8) return false;
  if (Frame.segmentation == IPPROTO_TCP && mtu > Frame.header) {
    Frame.segment = mtu - Frame.header;
    Frame.packets = (Ip.length - Frame.header + Frame.segment - 1) / Frame.segment;
    return true;
  }
  if (Ip.version == 6 || Frame.segmentation != 0 || !(Wrap.flags & SA_FLAG_TUNNEL)) return fragmentOuter();
  Frame.fragmented = true;
  Frame.packets = countFragments(mtu);
  return true;
}

/** @returns false if an outer packet would be longer than any may be */
function fragmentOuter(): bool {
  if (wrappedSize(packetSize() - Wrap.inside) > LONGEST_OUTER) return false;
  wrapFragmentable();
  return true;
}

/** Bytes of the longest IP packet that the frame makes. */
@inline
function packetSize(): u32 {
  return Frame.segmentation != 0 ? Frame.header + Frame.segment : Ip.length;
}

function bypass(policy: usize): u32 {
  wrapBypass();
  Frame.fragmented = false;
  if (!roomForFrame()) return isEmpty() ? XfrmOutError : NO_ROOM;
  countPolicy(policy, Frame.packets, Ip.length);
  emit(0);
  return TAKEN;
}

@inline
function roomForFrame(): bool {
  return hasRoom(Frame.packets, Frame.packets * wrappedSize(packetSize() - Wrap.inside));
}

function emit(mtu: u32): void {
  if (Frame.fragmented) {
    if (Frame.needsChecksum) completeChecksum(Frame.checksumStart, Frame.checksumOffset);
    emitFragments(mtu);
  } else if (Frame.segmentation == IPPROTO_TCP) emitTcp(Frame.segment);
  else if (Frame.segmentation == IPPROTO_UDP) emitUdp(Frame.segment);
  else emitWhole(Frame.needsChecksum, Frame.checksumStart, Frame.checksumOffset);
}

/**
 * Allocates sequence numbers: one atomic add, however many workers use the SA. The counter never
 * comes near its end, so that no number is given out twice (RFC 4303 §3.3.3).
 */
export function takeSequence(arena: usize, sa: usize, count: u32): bool {
  const hard = min<u64>(load<u64>(sa, SA_HARD_SEQUENCE), LAST_SEQUENCE);
  const before = atomic.load<u64>(sa, SA_SEQUENCE);
  if (before + count > hard) {
    reportExpiry(arena, sa, EVENT_EXPIRE_HARD_SEQUENCE);
    return false;
  }
  const last = atomic.add<u64>(sa, count, SA_SEQUENCE) + count;
  if (last > hard) return false;
  if (last >= load<u64>(sa, SA_SOFT_SEQUENCE)) reportExpiry(arena, sa, EVENT_EXPIRE_SOFT_SEQUENCE);
  Wrap.sequence = last - count + 1;
  return true;
}
