/**
 * Packets that met a PROTECT policy without an SA (RFC 4301 §4.4.1): the first one asks for an SA,
 * and some wait for it. Bounded, in all and per policy, and not forever.
 */
import { countDrop, now, pushEvent } from "../arena";
import { XfrmAcquireError, XfrmOutNoQueueSpace } from "../drops";
import { copyBlocks } from "../ip/checksum";
import { Ip } from "../ip/packet";
import {
  ARENA_QUEUE_COUNT,
  EVENT_ACQUIRE,
  EVENT_FAMILY,
  EVENT_LOCAL,
  EVENT_LOCAL_PORT,
  EVENT_PROTOCOL,
  EVENT_REMOTE,
  EVENT_REMOTE_PORT,
  QUEUE_ENTRIES,
  QUEUE_ENTRY_SIZE,
  QUEUE_LENGTH,
  QUEUE_MAX,
  QUEUE_POLICY,
  QUEUE_SINCE,
  QUEUE_SLOTS,
  QUEUE_TICKET,
  OUT_SLOT_FRAME,
  SLOT_SIZE,
} from "../layout/arena";
import { POLICY_ACQUIRED, POLICY_HANDLE } from "../layout/records";

/** Frames of one policy: no flow takes the whole queue. */
const PER_POLICY: u32 = 16;
/** Milliseconds. */
const LIFETIME: u32 = 30000;
/** Seconds after which a policy asks again. */
const ACQUIRE_INTERVAL: u32 = 1;

/** Goes up with every frame queued by this instance. */
let ticket: u32 = 0;

@inline
function entryAt(arena: usize, index: u32): usize {
  return arena + QUEUE_ENTRIES + index * QUEUE_ENTRY_SIZE;
}

@inline
function milliseconds(arena: usize): u32 {
  return <u32>(<u64>now(arena));
}

/** @returns the address of a queued frame's virtio-net header */
@inline
export function queuedFrame(arena: usize, index: u32): usize {
  return arena + QUEUE_SLOTS + index * SLOT_SIZE + OUT_SLOT_FRAME;
}

@inline
export function queuedLength(arena: usize, index: u32): u32 {
  return load<u32>(entryAt(arena, index), QUEUE_LENGTH);
}

/** Asks for an SA and keeps the frame that `parseIp` has just seen. */
export function queueFrame(arena: usize, policy: usize, frame: usize, length: u32): void {
  acquire(arena, policy);
  const handle = load<u32>(policy, POLICY_HANDLE);
  let free: u32 = QUEUE_MAX;
  let waiting: u32 = 0;
  for (let index: u32 = 0; index < <u32>QUEUE_MAX; index++) {
    const entry = entryAt(arena, index);
    if (load<u32>(entry, QUEUE_LENGTH) != 0 && isTooOld(arena, entry)) dropQueued(arena, index);
    if (load<u32>(entry, QUEUE_LENGTH) == 0) free = index;
    else if (load<u32>(entry, QUEUE_POLICY) == handle) waiting++;
  }
  if (free == QUEUE_MAX || waiting >= PER_POLICY) return countDrop(arena, XfrmOutNoQueueSpace);
  const entry = entryAt(arena, free);
  store<u32>(entry, length, QUEUE_LENGTH);
  store<u32>(entry, handle, QUEUE_POLICY);
  store<u32>(entry, milliseconds(arena), QUEUE_SINCE);
  store<u32>(entry, ++ticket, QUEUE_TICKET);
  copyBlocks(queuedFrame(arena, free), frame, length);
  store<u32>(arena, load<u32>(arena, ARENA_QUEUE_COUNT) + 1, ARENA_QUEUE_COUNT);
}

/** @returns the index of the oldest frame queued after the ticket `after`, QUEUE_MAX for none; drops those that waited too long */
export function nextQueued(arena: usize, after: u32): u32 {
  let oldest: u32 = QUEUE_MAX;
  let least: u32 = u32.MAX_VALUE;
  for (let index: u32 = 0; index < <u32>QUEUE_MAX; index++) {
    const entry = entryAt(arena, index);
    if (load<u32>(entry, QUEUE_LENGTH) == 0) continue;
    if (isTooOld(arena, entry)) {
      dropQueued(arena, index);
      continue;
    }
    // Tickets may wrap: what counts is how far one is past `after`.
    const distance = load<u32>(entry, QUEUE_TICKET) - after - 1;
    if (distance >= 0x80000000 || distance >= least) continue;
    oldest = index;
    least = distance;
  }
  return oldest;
}

/** @returns a ticket before that of every queued frame */
@inline
export function firstTicket(): u32 {
  return ticket - 0x7fffffff;
}

@inline
export function ticketOf(arena: usize, index: u32): u32 {
  return load<u32>(entryAt(arena, index), QUEUE_TICKET);
}

/** Forgets a frame. */
export function unqueue(arena: usize, index: u32): void {
  store<u32>(entryAt(arena, index), 0, QUEUE_LENGTH);
  store<u32>(arena, load<u32>(arena, ARENA_QUEUE_COUNT) - 1, ARENA_QUEUE_COUNT);
}

@inline
function isTooOld(arena: usize, entry: usize): bool {
  return milliseconds(arena) - load<u32>(entry, QUEUE_SINCE) > LIFETIME;
}

function dropQueued(arena: usize, index: u32): void {
  unqueue(arena, index);
  countDrop(arena, XfrmAcquireError);
}

/** Raises one acquire a second and policy, whatever the number of packets and workers. */
function acquire(arena: usize, policy: usize): void {
  const seconds = <u32>(<u64>(now(arena) / 1000));
  const asked = atomic.load<u32>(policy, POLICY_ACQUIRED);
  if (seconds - asked < ACQUIRE_INTERVAL) return;
  if (atomic.cmpxchg<u32>(policy, asked, seconds, POLICY_ACQUIRED) != asked) return;
  const event = pushEvent(arena, EVENT_ACQUIRE, load<u32>(policy, POLICY_HANDLE));
  if (event == 0) {
    atomic.store<u32>(policy, asked, POLICY_ACQUIRED);
    return;
  }
  store<u8>(event, Ip.version, EVENT_FAMILY);
  store<u8>(event, Ip.protocol, EVENT_PROTOCOL);
  store<u32>(event, Ip.sourcePort, EVENT_LOCAL_PORT);
  store<u32>(event, Ip.destinationPort, EVENT_REMOTE_PORT);
  store<u64>(event, Ip.sourceHigh, EVENT_LOCAL);
  store<u64>(event, Ip.sourceLow, EVENT_LOCAL + 8);
  store<u64>(event, Ip.destinationHigh, EVENT_REMOTE);
  store<u64>(event, Ip.destinationLow, EVENT_REMOTE + 8);
}
