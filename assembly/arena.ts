/** What both directions do with the header of their arena: counting drops, raising events. */
import { ARENA_DROPS, ARENA_EPOCH, ARENA_EVENT_COUNT, ARENA_EVENTS, ARENA_NOW, EVENT_HANDLE, EVENT_KIND, EVENT_SIZE, EVENTS_MAX } from "./layout/arena";
import { initialiseInbound } from "./inbound/initialise";
import { initialiseOutbound } from "./outbound/initialise";

/** Prepares what is fixed in the arena of one worker; see `KernelExports`. */
export function initialiseArena(arena: usize): void {
  initialiseOutbound(arena);
  initialiseInbound(arena);
}

/** Between a Prepare and its Finish the epoch is odd: what this worker may have looked up stays where it is. */
@inline
export function enterBatch(arena: usize): void {
  atomic.store<u32>(arena, atomic.load<u32>(arena, ARENA_EPOCH) | 1, ARENA_EPOCH);
}

/** See enterBatch. */
@inline
export function leaveBatch(arena: usize): void {
  atomic.store<u32>(arena, (atomic.load<u32>(arena, ARENA_EPOCH) | 1) + 1, ARENA_EPOCH);
}

/** Counts a dropped packet under one of assembly/drops.ts. */
@inline
export function countDrop(arena: usize, reason: u32): void {
  countDrops(arena, reason, 1);
}

@inline
export function countDrops(arena: usize, reason: u32, packets: u64): void {
  const counter = arena + (<usize>reason << 3);
  store<u64>(counter, load<u64>(counter, ARENA_DROPS) + packets, ARENA_DROPS);
}

/** @returns the address of a fresh EVENT, cleared but for kind and handle; 0 if the batch has too many */
export function pushEvent(arena: usize, kind: u32, handle: u32): usize {
  const count = load<u32>(arena, ARENA_EVENT_COUNT);
  if (count >= <u32>EVENTS_MAX) return 0;
  store<u32>(arena, count + 1, ARENA_EVENT_COUNT);
  const event = arena + ARENA_EVENTS + count * EVENT_SIZE;
  memory.fill(event, 0, EVENT_SIZE);
  store<u32>(event, kind, EVENT_KIND);
  store<u32>(event, handle, EVENT_HANDLE);
  return event;
}

/** Milliseconds since the epoch. */
@inline
export function now(arena: usize): f64 {
  return load<f64>(arena, ARENA_NOW);
}
