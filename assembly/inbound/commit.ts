/**
 * The opened batch: what did not authenticate goes, and what did enters the replay window
 * (RFC 4303 §3.4.4.1: the window is updated only after the ICV has verified).
 *
 * Packets of one SA stand in runs; SA_LOCK is taken once a run.
 */
import { countDrop, pushEvent } from "../arena";
import { XfrmInStateInvalid, XfrmInStateProtoError, XfrmInStateSeqError } from "../drops";
import { PACKET_SEQ_HI, PACKET_SIZE, PACKET_STATUS, STATUS_OK, STATUS_PENDING } from "../layout";
import { EVENT_MAPPING, EVENT_NAME, IN_NAME_SIZE, IN_NAMES } from "../layout/arena";
import {
  SA_FLAG_OUTER6,
  SA_FLAG_UDP,
  SA_FLAGS,
  SA_HANDLE,
  SA_INTEGRITY_DROPS,
  SA_MAPPED,
  SA_REMOTE,
  SA_REPLAY_DROPS,
  SA_STATE,
  SA_STATE_LIVE,
} from "../layout/records";
import { closeWindow, openWindow, replayCommit, Window } from "../replay";
import { lockSa, unlockSa } from "../sad";
import { NOTE_SA, NOTE_SLOT, PACKET_SEQUENCE, SLOT_MASK, SLOT_RAW } from "./packet";

const AF_INET: u16 = 2;
/** Bytes of the longer sockaddr. */
const SOCKADDR_IN6: usize = 28;

/** Leaves STATUS_OK only on the packets that may go on. */
export function commitBatch(arena: usize, packets: usize, count: u32): void {
  let locked: usize = 0;
  for (const end = packets + <usize>count * PACKET_SIZE; packets < end; packets += PACKET_SIZE) {
    const sa: usize = load<u32>(packets, NOTE_SA);
    if (load<u32>(packets, PACKET_STATUS) != STATUS_OK) {
      countDrop(arena, XfrmInStateProtoError);
      atomic.add<u64>(sa, 1, SA_INTEGRITY_DROPS);
      continue;
    }
    if (sa != locked) {
      if (locked != 0) release(locked);
      lockSa(sa);
      openWindow(sa);
      locked = sa;
    }
    const verdict = accept(arena, packets, sa);
    if (verdict == 0) continue;
    countDrop(arena, verdict);
    store<u32>(packets, STATUS_PENDING, PACKET_STATUS);
  }
  if (locked != 0) release(locked);
}

@inline
function release(sa: usize): void {
  closeWindow(sa);
  unlockSa(sa);
}

/** @returns 0, or the reason to drop an authentic packet */
function accept(arena: usize, packet: usize, sa: usize): u32 {
  if (load<u32>(sa, SA_STATE) != SA_STATE_LIVE) return XfrmInStateInvalid;
  const sequence = (<u64>load<u32>(packet, PACKET_SEQ_HI) << 32) | <u64>load<u32>(packet, PACKET_SEQUENCE);
  const top = Window.top;
  if (!replayCommit(sa, sequence)) {
    atomic.add<u64>(sa, 1, SA_REPLAY_DROPS);
    return XfrmInStateSeqError;
  }
  // Only the newest packet tells where the peer is now: an old one may have been held back.
  if (sequence > top) followPeer(arena, packet, sa);
  return 0;
}

/** Reports a peer whose packets come from another address than the SA's (RFC 7296 §2.23). */
@inline
function followPeer(arena: usize, packet: usize, sa: usize): void {
  const flags = load<u32>(sa, SA_FLAGS);
  const slot = load<u32>(packet, NOTE_SLOT);
  if ((flags & SA_FLAG_UDP) == 0 || (slot & SLOT_RAW) != 0) return;
  const name = arena + IN_NAMES + <usize>(slot & SLOT_MASK) * IN_NAME_SIZE;
  if (!isPeer(name, sa, flags)) reportMapping(arena, name, sa);
}

/** Family, port and address: the first 8 bytes of a sockaddr_in; all but the flow label of a sockaddr_in6. */
@inline
function isPeer(name: usize, sa: usize, flags: u32): bool {
  const remote = sa + SA_REMOTE;
  if ((flags & SA_FLAG_OUTER6) == 0) return load<u64>(name) == load<u64>(remote);
  return load<u32>(name) == load<u32>(remote) && load<u64>(name, 8) == load<u64>(remote, 8) && load<u64>(name, 16) == load<u64>(remote, 16);
}

/** Once for each new address: SA_MAPPED remembers the last one. */
function reportMapping(arena: usize, name: usize, sa: usize): void {
  let hash = load<u64>(name) * 0x9e3779b97f4a7c15;
  if (load<u16>(name) != AF_INET) hash ^= (load<u64>(name, 8) + load<u64>(name, 16) * 3) * 0xff51afd7ed558ccd;
  const mapped = <u32>(hash >> 32) | 1;
  if (atomic.load<u32>(sa, SA_MAPPED) == mapped) return;
  const event = pushEvent(arena, EVENT_MAPPING, load<u32>(sa, SA_HANDLE));
  if (event == 0) return;
  atomic.store<u32>(sa, mapped, SA_MAPPED);
  memory.copy(event + EVENT_NAME, name, SOCKADDR_IN6);
}
