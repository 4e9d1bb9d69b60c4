/** AH on the way in (RFC 4302 §3.4). */
import { countDrop } from "../arena";
import { XfrmInHdrError, XfrmInStateModeError } from "../drops";
import {
  PACKET_AAD,
  PACKET_AAD_LENGTH,
  PACKET_ICV,
  PACKET_INLINE,
  PACKET_IV,
  PACKET_LENGTH,
  PACKET_PAYLOAD,
} from "../layout";
import { IN_SIDE, IN_SIDE_SIZE, SLOTS } from "../layout/arena";
import { SA_FLAG_AH, SA_FLAG_TUNNEL, SA_ICV_LENGTH, SA_IV_LENGTH } from "../layout/records";
import { admitSa, admitSequence } from "../inbound/prepare";
import { rebuildTransport } from "../inbound/transport";
import { Inner, isInner } from "../inbound/unframe";
import { inferSequence } from "../replay";
import { AH_HEADER, maskImage } from "./image";

/** Every slot has room for one image: a raw socket delivers one packet at a time. */
const IMAGE_SIZE: u32 = IN_SIDE_SIZE / SLOTS;
/** u32: address of the AH header, until the packet is taken apart. */
const PACKET_AH: usize = PACKET_INLINE;

/** @returns where the headers of a slot's packet are to be copied for `takeAh` */
@inline
export function imageOf(arena: usize, slot: u32): usize {
  return arena + IN_SIDE + <usize>slot * IMAGE_SIZE;
}

/**
 * Takes an AH packet, `length` bytes from AH on.
 * @param image of its slot, in which the `before` bytes in front of AH are
 */
export function takeAh(arena: usize, image: usize, before: u32, ah: usize, length: u32, note: u32): void {
  if (length < AH_HEADER) {
    countDrop(arena, XfrmInHdrError);
    return;
  }
  const sa = admitSa(arena, load<u32>(ah, 4), SA_FLAG_AH);
  if (sa == 0) return;
  const iv = load<u32>(sa, SA_IV_LENGTH);
  const icv = load<u32>(sa, SA_ICV_LENGTH);
  // Peers pad the ICV to 4 or to 8 bytes, whatever the version: the header says how long it is.
  const size = (<u32>load<u8>(ah, 1) + 2) << 2;
  if (size < AH_HEADER + iv + icv || size > length || before + size > IMAGE_SIZE) {
    countDrop(arena, XfrmInHdrError);
    return;
  }
  memory.copy(image + before, ah, size);
  if (!maskImage(image, before, iv + icv)) {
    countDrop(arena, XfrmInHdrError);
    return;
  }
  const packet = admitSequence(arena, sa, inferSequence(sa, bswap<u32>(load<u32>(ah, 8))), note);
  if (packet == 0) return;
  store<u32>(packet, <u32>ah + size, PACKET_PAYLOAD);
  store<u32>(packet, length - size, PACKET_LENGTH);
  store<u32>(packet, <u32>ah + AH_HEADER, PACKET_IV);
  store<u32>(packet, <u32>ah + AH_HEADER + iv, PACKET_ICV);
  store<u32>(packet, <u32>image, PACKET_AAD);
  store<u32>(packet, before + size, PACKET_AAD_LENGTH);
  store<u32>(packet, <u32>ah, PACKET_AH);
}

/** Takes an authentic AH packet apart. @returns false if it was dropped, and counted */
export function unframeAh(arena: usize, packet: usize, flags: u32): bool {
  const payload: usize = load<u32>(packet, PACKET_PAYLOAD);
  const length = load<u32>(packet, PACKET_LENGTH);
  const next = <u32>load<u8>(load<u32>(packet, PACKET_AH));
  if ((flags & SA_FLAG_TUNNEL) == 0) return rebuildTransport(arena, packet, flags, payload, length, next);
  if (!isInner(payload, length, next)) {
    countDrop(arena, XfrmInStateModeError);
    return false;
  }
  Inner.at = payload;
  Inner.head = length;
  Inner.bodyLength = 0;
  return true;
}
