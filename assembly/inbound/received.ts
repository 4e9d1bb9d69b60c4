/**
 * One slot as recvmmsg left it: its bytes, its sender, and what the control messages say.
 *
 *     struct cmsghdr { u64 len; i32 level; i32 type; } and data, each aligned to 8 bytes
 */
import {
  IN_CONTROLS,
  IN_CONTROL_SIZE,
  IN_LOCALS,
  IN_LOCAL_SIZE,
  IN_MESSAGES,
  IN_SLOT_DATA,
  IN_SLOTS,
  LOCAL_ADDRESS,
  LOCAL_FAMILY,
  LOCAL_HOP_LIMIT,
  LOCAL_SEGMENT,
  LOCAL_TOS,
  MMSGHDR_SIZE,
  SLOT_SIZE,
} from "../layout/arena";
import { MSG_CONTROLLEN, MSG_FLAGS, MSG_LEN } from "./initialise";

const SOL_IP: u32 = 0;
const SOL_UDP: u32 = 17;
export const SOL_IPV6: u32 = 41;
const IP_TOS: u32 = 1;
const IP_PKTINFO: u32 = 8;
const UDP_GRO: u32 = 104;
const IPV6_PKTINFO: u32 = 50;
const IPV6_HOPLIMIT: u32 = 52;
const IPV6_TCLASS: u32 = 67;

export const CMSG_LEVEL: usize = 8;
export const CMSG_TYPE: usize = 12;
export const CMSG_DATA: usize = 16;
/** in_pktinfo: interface, preferred source, and then the destination in the packet. */
const PKTINFO_ADDRESS: usize = CMSG_DATA + 8;

/** Control messages, or the datagram, did not fit. */
const MSG_CTRUNC: u32 = 0x08;
const MSG_TRUNC: u32 = 0x20;

/** The slot that `readSlot` saw last. */
export class Received {
  static slot: u32 = 0;
  static at: usize = 0;
  static length: u32 = 0;
  /** LOCAL_* of the slot. */
  static local: usize = 0;
  /** Bytes of each datagram but the last. */
  static segment: u32 = 0;
}

/** @returns whether the slot is whole */
export function readSlot(arena: usize, slot: u32): bool {
  const message = arena + IN_MESSAGES + <usize>slot * MMSGHDR_SIZE;
  const local = arena + IN_LOCALS + <usize>slot * IN_LOCAL_SIZE;
  Received.slot = slot;
  Received.at = arena + IN_SLOTS + <usize>slot * SLOT_SIZE + IN_SLOT_DATA;
  Received.length = load<u32>(message, MSG_LEN);
  Received.local = local;
  store<u32>(local, 0, LOCAL_FAMILY);
  store<u32>(local, 0, LOCAL_TOS);
  store<u32>(local, 0, LOCAL_SEGMENT);
  store<u32>(local, 0, LOCAL_HOP_LIMIT);
  const controls = arena + IN_CONTROLS + <usize>slot * IN_CONTROL_SIZE;
  readControls(local, controls, controls + min<usize>(<usize>load<u64>(message, MSG_CONTROLLEN), IN_CONTROL_SIZE));
  const segment = load<u32>(local, LOCAL_SEGMENT);
  Received.segment = segment == 0 ? Received.length : segment;
  return (load<u32>(message, MSG_FLAGS) & (MSG_TRUNC | MSG_CTRUNC)) == 0;
}

function readControls(local: usize, at: usize, end: usize): void {
  while (at + CMSG_DATA <= end) {
    const length = <usize>load<u64>(at);
    if (length < CMSG_DATA || length > end - at) return;
    const level = load<u32>(at, CMSG_LEVEL);
    const type = load<u32>(at, CMSG_TYPE);
    if (level == SOL_UDP) {
      if (type == UDP_GRO) store<u32>(local, load<u32>(at, CMSG_DATA), LOCAL_SEGMENT);
    } else if (level == SOL_IP) {
      if (type == IP_TOS) store<u32>(local, load<u8>(at, CMSG_DATA), LOCAL_TOS);
      else if (type == IP_PKTINFO) {
        store<u32>(local, 4, LOCAL_FAMILY);
        store<u32>(local, load<u32>(at, PKTINFO_ADDRESS), LOCAL_ADDRESS);
      }
    } else if (level == SOL_IPV6) {
      if (type == IPV6_TCLASS) store<u32>(local, load<u32>(at, CMSG_DATA) & 0xff, LOCAL_TOS);
      else if (type == IPV6_HOPLIMIT) store<u32>(local, load<u32>(at, CMSG_DATA), LOCAL_HOP_LIMIT);
      else if (type == IPV6_PKTINFO) {
        store<u32>(local, 6, LOCAL_FAMILY);
        v128.store(local, v128.load(at, CMSG_DATA), LOCAL_ADDRESS);
      }
    }
    at += (length + 7) & ~7;
  }
}
