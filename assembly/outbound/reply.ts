/** ICMP errors to the hosts behind us: frames for the TUN, written by the worker after outboundFinish. */
import { mayAnswer, writeTooBig } from "../ip/icmp";
import { Ip } from "../ip/packet";
import {
  ARENA_REPLY_COUNT,
  FRAME_IOVEC_COUNT,
  FRAME_IOVECS,
  FRAME_PACKETS,
  FRAME_SIZE,
  OUT_REPLIES,
  OUT_REPLIES_MAX,
  OUT_REPLY_FRAMES,
  OUT_REPLY_IOVECS,
  OUT_REPLY_SIZE,
  VNET_HEADER_SIZE,
} from "../layout/arena";
import { HEADER_ABSOLUTE, HEADER_BASE } from "../layout/records";

/** The least that an IPv6 sender will go down to (RFC 8200 §5), and an IPv4 sender may be asked to (RFC 791). */
const LEAST_MTU4: u32 = 68;
const LEAST_MTU6: u32 = 1280;

/** Tells the sender of the packet that `parseIp` saw last how long it may be; a batch has room for a few. */
export function replyTooBig(arena: usize, mtu: u32): void {
  const count = load<u32>(arena, ARENA_REPLY_COUNT);
  if (count >= <u32>OUT_REPLIES_MAX || !mayAnswer()) return;
  const at = arena + OUT_REPLIES + count * OUT_REPLY_SIZE;
  // Nothing is offloaded.
  store<u64>(at, 0);
  store<u16>(at, 0, 8);
  const length = writeTooBig(at + VNET_HEADER_SIZE, max(mtu, Ip.version == 4 ? LEAST_MTU4 : LEAST_MTU6));
  const iovec = arena + OUT_REPLY_IOVECS + (count << 4);
  store<u64>(iovec, load<u64>(HEADER_BASE, HEADER_ABSOLUTE) + at);
  store<u64>(iovec, VNET_HEADER_SIZE + length, 8);
  const frame = arena + OUT_REPLY_FRAMES + count * FRAME_SIZE;
  store<u32>(frame, <u32>iovec, FRAME_IOVECS);
  store<u32>(frame, 1, FRAME_IOVEC_COUNT);
  store<u32>(frame, 1, FRAME_PACKETS);
  store<u32>(arena, count + 1, ARENA_REPLY_COUNT);
}
