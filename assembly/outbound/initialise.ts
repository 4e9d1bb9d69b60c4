import { ARENA_FLOWS, ARENA_FLOWS_SIZE, ARENA_FRAGMENTS, ARENA_FRAGMENTS_SIZE, ARENA_QUEUE_COUNT, QUEUE_ENTRIES, QUEUE_ENTRY_SIZE, QUEUE_MAX, REASSEMBLY_ENTRIES, REASSEMBLY_ENTRY_SIZE, REASSEMBLY_MAX } from "../layout/arena";

/** Empties the tables of the outbound half of an arena. */
export function initialiseOutbound(arena: usize): void {
  memory.fill(arena + QUEUE_ENTRIES, 0, QUEUE_MAX * QUEUE_ENTRY_SIZE);
  memory.fill(arena + REASSEMBLY_ENTRIES, 0, REASSEMBLY_MAX * REASSEMBLY_ENTRY_SIZE);
  memory.fill(arena + ARENA_FLOWS, 0, ARENA_FLOWS_SIZE);
  memory.fill(arena + ARENA_FRAGMENTS, 0, ARENA_FRAGMENTS_SIZE);
  store<u32>(arena, 0, ARENA_QUEUE_COUNT);
}
