/** The outbound exports: frames to packets (Prepare, Resume), packets of nothing (Dummies), packets to messages (Finish). See `KernelExports`. */
import { countDrop, enterBatch, leaveBatch } from "../arena";
import { ARENA_OUT_COUNT, ARENA_OUT_TAKEN, ARENA_REPLY_COUNT, OUT_LENGTHS, OUT_SLOT_FRAME, OUT_SLOTS, QUEUE_MAX, SLOT_SIZE } from "../layout/arena";
import { beginOutput, endOutput } from "./batch";
import { Decision } from "./decide";
import { emitDummies } from "./dummies";
import { fetchAhead } from "./fetch";
import { NO_ROOM, NO_SA, TAKEN, takeFrame } from "./frame";
import { layOutMessages } from "./messages";
import { firstTicket, nextQueued, queuedFrame, queuedLength, queueFrame, ticketOf, unqueue } from "./queue";

export function outboundPrepare(arena: usize, count: u32): u32 {
  begin(arena);
  // Goes on where the last call ran out of room.
  let taken = load<u32>(arena, ARENA_OUT_TAKEN);
  if (taken >= load<u32>(arena, ARENA_OUT_COUNT)) taken = 0;
  fetchAhead(arena, taken, count);
  for (; taken < count; taken++) {
    const frame = arena + OUT_SLOTS + taken * SLOT_SIZE + OUT_SLOT_FRAME;
    const length = load<u32>(arena + (taken << 2), OUT_LENGTHS);
    const result = takeFrame(arena, frame, length);
    if (result == NO_ROOM) break;
    if (result == NO_SA) queueFrame(arena, Decision.policy, frame, length);
    else if (result != TAKEN) countDrop(arena, result);
  }
  store<u32>(arena, taken, ARENA_OUT_TAKEN);
  store<u32>(arena, count, ARENA_OUT_COUNT);
  return endOutput();
}

export function outboundResume(arena: usize): u32 {
  begin(arena);
  let after = firstTicket();
  while (true) {
    const index = nextQueued(arena, after);
    if (index == QUEUE_MAX) break;
    after = ticketOf(arena, index);
    const result = takeFrame(arena, queuedFrame(arena, index), queuedLength(arena, index));
    if (result == NO_ROOM) break;
    if (result == NO_SA) continue;
    unqueue(arena, index);
    if (result != TAKEN) countDrop(arena, result);
  }
  return endOutput();
}

export function outboundDummies(arena: usize, count: u32): u32 {
  begin(arena);
  emitDummies(arena, count);
  return endOutput();
}

export function outboundFinish(arena: usize): u32 {
  const messages = layOutMessages(arena);
  leaveBatch(arena);
  return messages;
}

function begin(arena: usize): void {
  enterBatch(arena);
  beginOutput(arena);
  store<u32>(arena, 0, ARENA_REPLY_COUNT);
}
