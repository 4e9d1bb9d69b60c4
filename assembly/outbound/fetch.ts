/**
 * Frames to many SAs, thousands of which do not fit into the processor's caches: what finding their
 * SAs takes is fetched for all frames at once, step by step, rather than waited for one by one.
 *
 *     flow cache ─► POLICY ─► SA
 *
 * What is found here is a guess and changes nothing: every frame is looked up as if this had not been.
 */
import { POLICY_UNKNOWN } from "../classifier";
import { parseIp } from "../ip/packet";
import { OUT_LENGTHS, OUT_PACKETS, OUT_SLOT_FRAME, OUT_SLOTS, SLOT_SIZE, VNET_HEADER_SIZE } from "../layout/arena";
import { POLICY_SA } from "../layout/records";
import { expectFlow, FLOW_POLICY } from "../spd";

/** Bytes from an SA's record that sending reads: all but the template of the outer header. */
const SA_READ: usize = 256;

/** Fetches for the frames in the slots from `from` on, if they go to several destinations. */
export function fetchAhead(arena: usize, from: u32, count: u32): void {
  if (count - from < 4 || destinationOf(arena, from) == destinationOf(arena, from + 1)) return;
  // The descriptors are not in use yet.
  const list = arena + OUT_PACKETS;
  const end = list + (<usize>(count - from) << 2);
  for (let at = list; at < end; at += 4, from++) store<u32>(at, <u32>flowOf(arena, from));
  for (let at = list; at < end; at += 4) {
    const entry: usize = load<u32>(at);
    if (entry != 0) store<u32>(at, load<u32>(entry, FLOW_POLICY));
  }
  for (let at = list; at < end; at += 4) {
    const policy: usize = load<u32>(at);
    store<u32>(at, policy > POLICY_UNKNOWN ? load<u32>(policy, POLICY_SA) : 0);
  }
  let sum: u32 = 0;
  for (let at = list; at < end; at += 4) {
    const sa: usize = load<u32>(at);
    if (sa == 0) continue;
    for (let line: usize = 0; line < SA_READ; line += 64) sum ^= load<u32>(sa + line);
  }
  // Otherwise nothing would need it.
  store<u32>(list, sum);
}

@inline
function packetAt(arena: usize, slot: u32): usize {
  return arena + OUT_SLOTS + slot * SLOT_SIZE + OUT_SLOT_FRAME + VNET_HEADER_SIZE;
}

/** @returns what tells destinations apart: an IPv4 address, the low half of an IPv6 address */
@inline
function destinationOf(arena: usize, slot: u32): u64 {
  const at = packetAt(arena, slot);
  return load<u8>(at) >> 4 == 4 ? load<u32>(at, 16) : load<u64>(at, 32);
}

/** @returns the flow cache's bucket for the frame in a slot; 0 if it is no IP packet */
@inline
function flowOf(arena: usize, slot: u32): usize {
  const length = load<u32>(arena + (slot << 2), OUT_LENGTHS);
  if (length < <u32>VNET_HEADER_SIZE || !parseIp(packetAt(arena, slot), length - VNET_HEADER_SIZE)) return 0;
  return expectFlow(arena);
}
