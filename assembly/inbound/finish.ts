/**
 * From opened packets to frames for the TUN. In the order of a packet's travel:
 *
 *   1. drop what did not authenticate, move the replay window            commit.ts
 *   2. hard limits of the SA
 *   3. padding, next header, tunnel or transport                         unframe.ts, transport.ts, ../ah
 *   4. congestion marks (RFC 6040)                                       ecn.ts
 *   5. selectors and policies (RFC 4301 §5.2), TCP MSS                   admit.ts, ../ip/mss.ts
 *   6. coalesce                                                          flow.ts, coalesce.ts
 *   7. one iovec list for each frame
 */
import { unframeAh } from "../ah/open";
import { countDrop } from "../arena";
import { InEcnError, InInnerError, XfrmInStateExpired } from "../drops";
import { clampMss } from "../ip/mss";
import { Ip, parseIp } from "../ip/packet";
import { PACKET_SIZE, PACKET_STATUS, STATUS_OK } from "../layout";
import {
  ARENA_EPOCH,
  ARENA_IN_PACKETS_USED,
  FRAME_IOVEC_COUNT,
  FRAME_IOVECS,
  FRAME_PACKETS,
  FRAME_SIZE,
  IN_FRAME_IOVECS,
  IN_FRAMES,
  IN_LOCAL_SIZE,
  IN_LOCALS,
  IN_PACKETS,
  LOCAL_TOS,
  VNET_HEADER_SIZE,
} from "../layout/arena";
import {
  SA_BYTES,
  SA_FLAG_AH,
  SA_FLAG_TUNNEL,
  SA_FLAGS,
  SA_HARD_BYTES,
  SA_HARD_PACKETS,
  SA_INNER_MTU,
  SA_PACKETS,
} from "../layout/records";
import { countSa } from "../sad";
import { countPolicy } from "../spd";
import { Admission, admit } from "./admit";
import { appendToRun, beginRuns, finishRun, startRun } from "./coalesce";
import { commitBatch } from "./commit";
import { decapsulateEcn } from "./ecn";
import { Candidate, classify, findFlow, nextBatch, rememberFlow } from "./flow";
import { absolute, IOV_BASE, IOV_LEN, IOV_SIZE } from "./initialise";
import {
  NOTE_AT,
  NOTE_BODY,
  NOTE_BODY_LENGTH,
  NOTE_COUNT,
  NOTE_HEAD,
  NOTE_HEADERS,
  NOTE_KIND,
  NOTE_NEXT,
  NOTE_POLICY,
  NOTE_SA,
  NOTE_SLOT,
  NOTE_TAIL,
  NOTE_TOTAL,
  SLOT_MASK,
} from "./packet";
import { Inner, unframeEsp } from "./unframe";

/** See `KernelExports`. */
export function inboundFinish(arena: usize): u32 {
  const packets = arena + IN_PACKETS;
  const count = load<u32>(arena, ARENA_IN_PACKETS_USED);
  commitBatch(arena, packets, count);
  const frames = takeApart(arena, packets, count);
  layFrames(arena, frames);
  atomic.add<u32>(arena, 1, ARENA_EPOCH);
  return frames;
}

/** Packets of one SA, as they follow each other: counted once. */
class Run {
  static sa: usize = 0;
  static flags: u32 = 0;
  static packets: u64 = 0;
  static bytes: u64 = 0;
  /** What the SA may still carry. */
  static packetsLeft: u64 = 0;
  static bytesLeft: u64 = 0;
}

function startSa(arena: usize, sa: usize): void {
  if (Run.packets != 0) countSa(arena, Run.sa, Run.packets, Run.bytes);
  Run.sa = sa;
  Run.packets = 0;
  Run.bytes = 0;
  if (sa == 0) return;
  Run.flags = load<u32>(sa, SA_FLAGS);
  Run.packetsLeft = rest(load<u64>(sa, SA_HARD_PACKETS), atomic.load<u64>(sa, SA_PACKETS));
  Run.bytesLeft = rest(load<u64>(sa, SA_HARD_BYTES), atomic.load<u64>(sa, SA_BYTES));
}

@inline
function rest(limit: u64, used: u64): u64 {
  return used < limit ? limit - used : 0;
}

/** @returns frames, each an entry of IN_FRAMES with the NOTE that heads it */
function takeApart(arena: usize, packets: usize, count: u32): u32 {
  let frames: u32 = 0;
  nextBatch();
  beginRuns(arena);
  for (const end = packets + <usize>count * PACKET_SIZE; packets < end; packets += PACKET_SIZE) {
    if (load<u32>(packets, PACKET_STATUS) != STATUS_OK) continue;
    const sa: usize = load<u32>(packets, NOTE_SA);
    if (sa != Run.sa) startSa(arena, sa);
    if (Run.packets >= Run.packetsLeft || Run.bytes >= Run.bytesLeft) {
      countDrop(arena, XfrmInStateExpired);
      continue;
    }
    if (!(Run.flags & SA_FLAG_AH ? unframeAh(arena, packets, Run.flags) : unframeEsp(arena, packets, Run.flags))) continue;
    if (!takeInner(arena, packets, sa)) continue;
    store<u32>(arena + IN_FRAMES + <usize>frames * FRAME_SIZE, <u32>packets, FRAME_IOVECS);
    frames++;
  }
  startSa(arena, 0);
  return frames;
}

/** @returns whether the inner packet makes a frame: false if it was dropped or joined another */
function takeInner(arena: usize, note: usize, sa: usize): bool {
  const at = Inner.at;
  const available = Inner.head + Inner.bodyLength;
  Run.packets++;
  Run.bytes += available;
  const slot = <usize>(load<u32>(note, NOTE_SLOT) & SLOT_MASK);
  if (Run.flags & SA_FLAG_TUNNEL && !decapsulateEcn(at, load<u32>(arena + IN_LOCALS + slot * IN_LOCAL_SIZE, LOCAL_TOS))) {
    countDrop(arena, InEcnError);
    return false;
  }
  if (!classify(arena, at, Inner.head, available)) {
    if (!admitInner(arena, sa, available)) return false;
    keep(note, Ip.length, Admission.policy);
    store<u32>(note, 0, NOTE_KIND);
    return true;
  }
  const flow = findFlow(at, sa);
  // A packet of this flow has been admitted in this batch already.
  if (flow == 0 && !admitInner(arena, sa, available)) return false;
  keep(note, Candidate.total, flow == 0 ? Admission.policy : load<u32>(flow, NOTE_POLICY));
  if (flow != 0 && appendToRun(flow, note)) return false;
  startRun(arena, note);
  rememberFlow(note);
  return true;
}

/** @returns false if the packet was dropped, and counted */
function admitInner(arena: usize, sa: usize, available: u32): bool {
  // Extension headers must be where they can be seen, or selectors would judge something else.
  if (!parseIp(Inner.at, available) || (Ip.header > Inner.head && Inner.bodyLength != 0)) {
    countDrop(arena, InInnerError);
    return false;
  }
  if (!admit(arena, sa)) return false;
  // The peer may not have done so, and what is sent in answer goes through an SA like this one.
  clampMss(load<u32>(sa, SA_INNER_MTU), false);
  return true;
}

/** Writes the NOTE of a packet that heads a frame of its own, for now. */
@inline
function keep(note: usize, total: u32, policy: usize): void {
  store<u32>(note, <u32>policy, NOTE_POLICY);
  const head = min(Inner.head, total);
  store<u32>(note, <u32>Inner.at, NOTE_AT);
  store<u32>(note, head, NOTE_HEAD);
  store<u32>(note, <u32>Inner.body, NOTE_BODY);
  store<u32>(note, Inner.bodyLength == 0 ? 0 : total - head, NOTE_BODY_LENGTH);
  store<u32>(note, 0, NOTE_NEXT);
  store<u32>(note, <u32>note, NOTE_TAIL);
  store<u32>(note, total, NOTE_TOTAL);
  store<u32>(note, 1, NOTE_COUNT);
}

/** Writes the iovecs of every frame, and turns the entries of IN_FRAMES into FRAMEs. */
function layFrames(arena: usize, frames: u32): void {
  const first = arena + IN_FRAME_IOVECS;
  let iovec = first;
  for (let i: u32 = 0; i < frames; i++) {
    const frame = arena + IN_FRAMES + <usize>i * FRAME_SIZE;
    const start = iovec;
    let note: usize = load<u32>(frame, FRAME_IOVECS);
    const vnet = load<u32>(note, NOTE_AT) - VNET_HEADER_SIZE;
    store<u32>(frame, load<u32>(note, NOTE_COUNT), FRAME_PACKETS);
    countRun(note);
    finishRun(note, vnet);
    iovec = lay(iovec, vnet, load<u32>(note, NOTE_HEAD) + VNET_HEADER_SIZE);
    iovec = lay(iovec, load<u32>(note, NOTE_BODY), load<u32>(note, NOTE_BODY_LENGTH));
    for (note = load<u32>(note, NOTE_NEXT); note != 0; note = load<u32>(note, NOTE_NEXT)) {
      const headers = load<u32>(note, NOTE_HEADERS);
      iovec = lay(iovec, load<u32>(note, NOTE_AT) + headers, load<u32>(note, NOTE_HEAD) - headers);
      iovec = lay(iovec, load<u32>(note, NOTE_BODY), load<u32>(note, NOTE_BODY_LENGTH));
    }
    store<u32>(frame, <u32>start, FRAME_IOVECS);
    store<u32>(frame, <u32>((iovec - start) / IOV_SIZE), FRAME_IOVEC_COUNT);
  }
}

/** Counts a run under the policy of its flow. */
@inline
function countRun(note: usize): void {
  const policy = load<u32>(note, NOTE_POLICY);
  if (policy == 0) return;
  const packets = load<u32>(note, NOTE_COUNT);
  countPolicy(policy, packets, load<u32>(note, NOTE_TOTAL) + (packets - 1) * load<u32>(note, NOTE_HEADERS));
}

/** @returns where the next iovec goes */
@inline
function lay(iovec: usize, address: usize, length: u32): usize {
  if (length == 0) return iovec;
  store<u64>(iovec, absolute(address), IOV_BASE);
  store<u64>(iovec, length, IOV_LEN);
  return iovec + IOV_SIZE;
}
