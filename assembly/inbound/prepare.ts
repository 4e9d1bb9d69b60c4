/**
 * From datagrams to packets that can be opened. In the order of a packet's travel:
 *
 *   1. split what UDP_GRO has merged
 *   2. tell ESP from IKE and from keepalives (RFC 3948 §2)
 *   3. find the SA by SPI (RFC 4303 §3.4.2)
 *   4. infer the sequence number and look at the replay window (§3.4.3)
 *   5. describe the packet to the cipher (§3.4.4)
 */
import { imageOf, takeAh } from "../ah/open";
import { countDrop } from "../arena";
import {
  InKeepalive,
  XfrmInBufferError,
  XfrmInHdrError,
  XfrmInNoStates,
  XfrmInStateInvalid,
  XfrmInStateSeqError,
} from "../drops";
import { describeAad, ESP_HEADER, ESP_TRAILER } from "../esp";
import { IPV4_HEADER, IPV6_HEADER } from "../ip/packet";
import { IPPROTO_AH } from "../ip/protocols";
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
import {
  ARENA_EPOCH,
  ARENA_IKE_COUNT,
  ARENA_IN_PACKETS_USED,
  IKE_ADDRESS,
  IKE_LENGTH,
  IKE_SLOT,
  IN_IKE,
  IN_IKE_MAX,
  IN_IKE_SIZE,
  IN_PACKETS,
  LOCAL_ADDRESS,
  LOCAL_FAMILY,
  LOCAL_TOS,
  MAX_PACKETS,
  SOURCE_RAW4,
  SOURCE_RAW6_ESP,
  SOURCE_UDP4,
  SOURCE_UDP6,
} from "../layout/arena";
import {
  SA_FLAG_ESN,
  SA_FLAGS,
  SA_ICV_LENGTH,
  SA_IV_LENGTH,
  SA_KEY,
  SA_REPLAY_DROPS,
  SA_STATE,
  SA_STATE_LIVE,
} from "../layout/records";
import { inferSequence, replayCheck } from "../replay";
import { findSa } from "../sad";
import { fetchTrain } from "./fetch";
import { copyExtensions, Extensions } from "./extensions";
import { NOTE_SA, NOTE_SLOT, PACKET_SEQUENCE, SLOT_RAW } from "./packet";
import { readSlot, Received } from "./received";
import { makeIpv6 } from "./transport";

/** RFC 3948 §2.3. */
const KEEPALIVE: u32 = 0xff;

/** See `KernelExports`. */
export function inboundPrepare(arena: usize, source: u32, count: u32): u32 {
  atomic.add<u32>(arena, 1, ARENA_EPOCH);
  store<u32>(arena, 0, ARENA_IN_PACKETS_USED);
  store<u32>(arena, 0, ARENA_IKE_COUNT);
  for (let slot: u32 = 0; slot < count; slot++) {
    if (!readSlot(arena, slot)) countDrop(arena, XfrmInBufferError);
    else if (source == SOURCE_UDP4 || source == SOURCE_UDP6) splitDatagrams(arena);
    else if (source == SOURCE_RAW4) takeRaw4(arena);
    else if (source == SOURCE_RAW6_ESP) takeEsp(arena, Received.at, Received.length, slot | SLOT_RAW);
    else takeRaw6Ah(arena, slot);
  }
  return load<u32>(arena, ARENA_IN_PACKETS_USED);
}

/** The slot's datagrams lie back to back: what UDP_GRO merged is of one sender. */
function splitDatagrams(arena: usize): void {
  if (Received.length == 0) countDrop(arena, XfrmInHdrError);
  const end = Received.at + Received.length;
  const used = load<u32>(arena, ARENA_IN_PACKETS_USED);
  // The descriptors to come are not in use yet.
  if (used < <u32>MAX_PACKETS) fetchTrain(Received.at, end, Received.segment, arena + IN_PACKETS + <usize>used * PACKET_SIZE);
  for (let at = Received.at; at < end; at += Received.segment) {
    takeDatagram(arena, at, min<u32>(Received.segment, <u32>(end - at)));
  }
}

function takeDatagram(arena: usize, at: usize, length: u32): void {
  if (length > ESP_HEADER) {
    if (load<u32>(at) == 0) listIke(arena, at + 4, length - 4);
    else takeEsp(arena, at, length, Received.slot);
  } else if (length == 1 && load<u8>(at) == KEEPALIVE) countDrop(arena, InKeepalive);
  else countDrop(arena, XfrmInHdrError);
}

/** A datagram behind the non-ESP marker (RFC 3948 §2.2). */
function listIke(arena: usize, at: usize, length: u32): void {
  const count = load<u32>(arena, ARENA_IKE_COUNT);
  if (count >= <u32>IN_IKE_MAX) {
    countDrop(arena, XfrmInBufferError);
    return;
  }
  const entry = arena + IN_IKE + <usize>count * IN_IKE_SIZE;
  store<u32>(entry, at, IKE_ADDRESS);
  store<u32>(entry, length, IKE_LENGTH);
  store<u32>(entry, Received.slot, IKE_SLOT);
  store<u32>(arena, count + 1, ARENA_IKE_COUNT);
}

/** A raw IPv4 socket delivers the IP header too, and whole packets only. */
function takeRaw4(arena: usize): void {
  const at = Received.at;
  const header = (<u32>load<u8>(at) & 15) << 2;
  const total = <u32>bswap<u16>(load<u16>(at, 2));
  if (Received.length < IPV4_HEADER || header < IPV4_HEADER || total < header || total > Received.length) {
    countDrop(arena, XfrmInHdrError);
    return;
  }
  const note = Received.slot | SLOT_RAW;
  store<u32>(Received.local, 4, LOCAL_FAMILY);
  store<u32>(Received.local, load<u8>(at, 1), LOCAL_TOS);
  store<u32>(Received.local, load<u32>(at, 16), LOCAL_ADDRESS);
  if (load<u8>(at, 9) != <u8>IPPROTO_AH) {
    takeEsp(arena, at + header, total - header, note);
    return;
  }
  const image = imageOf(arena, Received.slot);
  memory.copy(image, at, header);
  takeAh(arena, image, header, at + header, total - header, note);
}

/** A raw IPv6 socket does not: what AH covers is made again from the control messages. */
function takeRaw6Ah(arena: usize, slot: u32): void {
  const image = imageOf(arena, slot);
  const extensions = copyExtensions(arena, slot, image + IPV6_HEADER);
  const next = extensions == 0 ? IPPROTO_AH : Extensions.first;
  makeIpv6(arena, slot, image, extensions + Received.length, next);
  takeAh(arena, image, IPV6_HEADER + extensions, Received.at, Received.length, slot | SLOT_RAW);
}

/**
 * An ESP packet, whatever it came in: an SA takes it with and without UDP (RFC 7296 §2.23).
 * @param note what becomes of NOTE_SLOT
 */
export function takeEsp(arena: usize, at: usize, length: u32, note: u32): void {
  if (length < ESP_HEADER) {
    countDrop(arena, XfrmInHdrError);
    return;
  }
  const sa = admitSa(arena, load<u32>(at), 0);
  if (sa == 0) return;
  const iv = load<u32>(sa, SA_IV_LENGTH);
  const icv = load<u32>(sa, SA_ICV_LENGTH);
  if (length < ESP_HEADER + iv + icv + ESP_TRAILER) {
    countDrop(arena, XfrmInHdrError);
    return;
  }
  const low = bswap<u32>(load<u32>(at, 4));
  const sequence = inferSequence(sa, low);
  const packet = admitSequence(arena, sa, sequence, note);
  if (packet == 0) return;
  const payload = at + ESP_HEADER + iv;
  store<u32>(packet, payload, PACKET_PAYLOAD);
  store<u32>(packet, length - ESP_HEADER - iv - icv, PACKET_LENGTH);
  store<u32>(packet, at + ESP_HEADER, PACKET_IV);
  store<u32>(packet, at + length - icv, PACKET_ICV);
  describeAad(packet, at, ESP_HEADER + iv, load<u32>(sa, SA_FLAGS), <u32>(sequence >> 32));
}

/** @returns the live inbound SA with that SPI (wire), or 0 */
export function admitSa(arena: usize, spi: u32, ah: u32): usize {
  const sa = findSa(spi, ah, Received.local + LOCAL_ADDRESS);
  if (sa == 0) {
    countDrop(arena, XfrmInNoStates);
    return 0;
  }
  if (atomic.load<u32>(sa, SA_STATE) != SA_STATE_LIVE) {
    countDrop(arena, XfrmInStateInvalid);
    return 0;
  }
  return sa;
}

/** @returns a PACKET for a number that may still be new, its geometry yet to be filled in; or 0 */
export function admitSequence(arena: usize, sa: usize, sequence: u64, note: u32): usize {
  if (!replayCheck(sa, sequence)) {
    countDrop(arena, XfrmInStateSeqError);
    atomic.add<u64>(sa, 1, SA_REPLAY_DROPS);
    return 0;
  }
  const used = load<u32>(arena, ARENA_IN_PACKETS_USED);
  if (used >= <u32>MAX_PACKETS) {
    countDrop(arena, XfrmInBufferError);
    return 0;
  }
  store<u32>(arena, used + 1, ARENA_IN_PACKETS_USED);
  const packet = arena + IN_PACKETS + <usize>used * PACKET_SIZE;
  store<u32>(packet, load<u32>(sa, SA_KEY), PACKET_KEY);
  store<u32>(packet, STATUS_PENDING, PACKET_STATUS);
  store<u32>(packet, <u32>(sequence >> 32), PACKET_SEQ_HI);
  store<u32>(packet, load<u32>(sa, SA_FLAGS) & SA_FLAG_ESN ? PACKET_FLAG_ESN : 0, PACKET_FLAGS);
  store<u32>(packet, sa, NOTE_SA);
  store<u32>(packet, note, NOTE_SLOT);
  store<u32>(packet, <u32>sequence, PACKET_SEQUENCE);
  return packet;
}
