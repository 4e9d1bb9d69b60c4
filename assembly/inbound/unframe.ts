/**
 * Takes an opened ESP packet apart (RFC 4303 §3.4.4.1 step 3 on).
 *
 *     tunnel      | … IV | inner packet  | TFC padding | padding | pad length, next header |
 *     transport   | … IV | upper layer   |               padding | pad length, next header |
 */
import { countDrop } from "../arena";
import { InDummy, InPaddingError, XfrmInStateModeError } from "../drops";
import { ESP_TRAILER } from "../esp";
import { IPPROTO_IPIP, IPPROTO_IPV6, IPPROTO_NONE } from "../ip/protocols";
import { PACKET_LENGTH, PACKET_PAYLOAD } from "../layout";
import { SA_FLAG_TUNNEL } from "../layout/records";
import { rebuildTransport } from "./transport";

/** The inner packet, as `unframeEsp` or `unframeAh` found it. */
export class Inner {
  /** Address of its IP header; in front of it there is room for the virtio header. */
  static at: usize = 0;
  /** Bytes there. */
  static head: u32 = 0;
  /** Address and number of the bytes that follow elsewhere. */
  static body: usize = 0;
  static bodyLength: u32 = 0;
}

/** @returns false if the packet was dropped, and counted */
export function unframeEsp(arena: usize, packet: usize, flags: u32): bool {
  const payload: usize = load<u32>(packet, PACKET_PAYLOAD);
  const length = load<u32>(packet, PACKET_LENGTH);
  const pad = <u32>load<u8>(payload + length - 2);
  const next = <u32>load<u8>(payload + length - 1);
  if (pad + ESP_TRAILER > length || !isPadding(payload + length - ESP_TRAILER - pad, pad)) {
    countDrop(arena, InPaddingError);
    return false;
  }
  if (next == IPPROTO_NONE) {
    countDrop(arena, InDummy);
    return false;
  }
  const inner = length - ESP_TRAILER - pad;
  if ((flags & SA_FLAG_TUNNEL) == 0) return rebuildTransport(arena, packet, flags, payload, inner, next);
  if (!isInner(payload, inner, next)) {
    countDrop(arena, XfrmInStateModeError);
    return false;
  }
  Inner.at = payload;
  Inner.head = inner;
  Inner.bodyLength = 0;
  return true;
}

/** Is there a packet of the IP version that the next header announces? */
@inline
export function isInner(at: usize, length: u32, next: u32): bool {
  if (length == 0) return false;
  const version = load<u8>(at) >> 4;
  return (next == IPPROTO_IPIP && version == 4) || (next == IPPROTO_IPV6 && version == 6);
}

/** 1, 2, 3 … (RFC 4303 §2.4). */
@inline
function isPadding(at: usize, length: u32): bool {
  for (let i: u32 = 0; i < length; i++) {
    if (<u32>load<u8>(at + i) != i + 1) return false;
  }
  return true;
}
