/**
 * The extension headers of an IPv6 packet that came over a raw socket: the system keeps the IP header
 * and hands these over as control messages, whole and in the order in which they stood.
 */
import { IPPROTO_DSTOPTS, IPPROTO_HOPOPTS, IPPROTO_ROUTING } from "../ip/protocols";
import { IN_CONTROL_SIZE, IN_CONTROLS, IN_MESSAGES, MMSGHDR_SIZE } from "../layout/arena";
import { MSG_CONTROLLEN } from "./initialise";
import { CMSG_DATA, CMSG_LEVEL, CMSG_TYPE, SOL_IPV6 } from "./received";

const IPV6_HOPOPTS: u32 = 54;
const IPV6_RTHDR: u32 = 57;
const IPV6_DSTOPTS: u32 = 59;

/** What `copyExtensions` copied last: the protocol of the first one, and the address of the last one. */
export class Extensions {
  static first: u32 = 0;
  static last: usize = 0;
}

/** @returns the protocol number of the header that a control message holds, -1 for any other message */
@inline
function protocolOf(message: usize): i32 {
  if (load<u32>(message, CMSG_LEVEL) != SOL_IPV6) return -1;
  const type = load<u32>(message, CMSG_TYPE);
  if (type == IPV6_HOPOPTS) return IPPROTO_HOPOPTS;
  if (type == IPV6_RTHDR) return IPPROTO_ROUTING;
  return type == IPV6_DSTOPTS ? <i32>IPPROTO_DSTOPTS : -1;
}

/** Copies the extension headers of a slot's datagram to `to`. @returns their bytes */
export function copyExtensions(arena: usize, slot: u32, to: usize): u32 {
  const controls = arena + IN_CONTROLS + <usize>slot * IN_CONTROL_SIZE;
  const length = <usize>load<u64>(arena + IN_MESSAGES + <usize>slot * MMSGHDR_SIZE, MSG_CONTROLLEN);
  const end = controls + min<usize>(length, IN_CONTROL_SIZE);
  let copied: u32 = 0;
  for (let at = controls; at + CMSG_DATA <= end; ) {
    const size = <usize>load<u64>(at);
    if (size < CMSG_DATA || size > end - at) break;
    const protocol = protocolOf(at);
    if (protocol >= 0) {
      if (copied == 0) Extensions.first = protocol;
      Extensions.last = to + copied;
      memory.copy(to + copied, at + CMSG_DATA, size - CMSG_DATA);
      copied += <u32>(size - CMSG_DATA);
    }
    at += (size + 7) & ~7;
  }
  return copied;
}
