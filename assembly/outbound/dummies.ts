/**
 * Dummy packets (RFC 4303 §2.6), so that an observer cannot tell when there is something to say. With TFC
 * padding all packets of an SA have one size; without it, a dummy packet has any.
 *
 * They take sequence numbers, but are none of the packets that the SA has carried.
 */
import { isExpired } from "../sad";
import { OUT_DUMMIES } from "../layout/arena";
import { SA_FLAG_AH, SA_FLAGS, SA_HANDLE, SA_IV_MASK, SA_SEQUENCE, SA_STATE, SA_STATE_LIVE } from "../layout/records";
import { mix } from "../mix";
import { Batch, hasRoom, mustWait } from "./batch";
import { takeSequence } from "./frame";
import { closePacket, openPacket, Wrap, wrapDummy, wrappedSize } from "./wrap";

/** One for each SA in OUT_DUMMIES that is still the one that was meant. */
export function emitDummies(arena: usize, count: u32): void {
  // No packet of any flow is in this batch.
  Batch.flow = 1;
  for (let index: u32 = 0; index < count; index++) {
    const entry = arena + OUT_DUMMIES + (<usize>index << 3);
    const sa: usize = load<u32>(entry);
    if (load<u32>(sa, SA_HANDLE) == load<u32>(entry, 4)) emitDummy(arena, sa);
  }
}

function emitDummy(arena: usize, sa: usize): void {
  if (load<u32>(sa, SA_STATE) != SA_STATE_LIVE || load<u32>(sa, SA_FLAGS) & SA_FLAG_AH || isExpired(sa)) return;
  const most = wrapDummy(sa);
  const length = Wrap.least != 0 ? 0 : anyLength(sa, most);
  if (!hasRoom(1, wrappedSize(length)) || mustWait(Wrap.route, 1)) return;
  if (!takeSequence(arena, sa, 1)) return;
  const at = openPacket(length, 0);
  memory.fill(at, 0, length);
  closePacket(at + length);
}

/** @returns a length up to `most` that an observer cannot foresee */
@inline
function anyLength(sa: usize, most: u32): u32 {
  return <u32>(mix(load<u64>(sa, SA_IV_MASK), atomic.load<u64>(sa, SA_SEQUENCE) + 1) >>> 32) % (most + 1);
}
