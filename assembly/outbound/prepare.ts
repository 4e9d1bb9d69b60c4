/** The outbound exports: frames to packets (Prepare), packets to messages (Finish). See `KernelExports`. */
import { countDrop, enterBatch, leaveBatch } from "../arena";
import { XfrmOutNoStates } from "../drops";
import { ARENA_OUT_COUNT, ARENA_OUT_TAKEN, OUT_LENGTHS, OUT_SLOT_FRAME, OUT_SLOTS, SLOT_SIZE } from "../layout/arena";
import { beginOutput, endOutput } from "./batch";
import { NO_ROOM, NO_SA, TAKEN, takeFrame } from "./frame";
import { layOutMessages } from "./messages";

export function outboundPrepare(arena: usize, count: u32): u32 {
  enterBatch(arena);
  beginOutput(arena);
  // Goes on where the last call ran out of room.
  let taken = load<u32>(arena, ARENA_OUT_TAKEN);
  if (taken >= load<u32>(arena, ARENA_OUT_COUNT)) taken = 0;
  for (; taken < count; taken++) {
    const length = load<u32>(arena + (taken << 2), OUT_LENGTHS);
    const result = takeFrame(arena, arena + OUT_SLOTS + taken * SLOT_SIZE + OUT_SLOT_FRAME, length);
    if (result == NO_ROOM) break;
    if (result == NO_SA) countDrop(arena, XfrmOutNoStates);
    else if (result != TAKEN) countDrop(arena, result);
  }
  store<u32>(arena, taken, ARENA_OUT_TAKEN);
  store<u32>(arena, count, ARENA_OUT_COUNT);
  return endOutput();
}

export function outboundFinish(arena: usize): u32 {
  const messages = layOutMessages(arena);
  leaveBatch(arena);
  return messages;
}
