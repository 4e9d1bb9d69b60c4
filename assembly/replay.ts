/**
 * Anti-replay (RFC 4303 §3.4.3) and the high half of extended sequence numbers (appendix A).
 *
 * The window is a ring of bits, bit `sequence mod ring`, in the manner of RFC 6479: it never shifts.
 * Moving its right edge clears the bits of the numbers that were skipped, and no others, so that the
 * usual step of one clears nothing.
 *
 *     SEQUENCE - WINDOW_SIZE      SEQUENCE
 *     too old  |  seen or not seen  |  new
 *
 * `replayCheck` comes before the packet is opened and takes no lock: what it refuses, `replayCommit`
 * would refuse too, as numbers only ever become older. `replayCommit` comes after authentication,
 * under SA_LOCK, and is the only one that writes. Others see the right edge once a run of packets has moved
 * it: an atomic store waits for all stores before it, the batch's plain text too.
 */
import { SA_FLAG_ESN, SA_FLAGS, SA_SEQUENCE, SA_WINDOW, SA_WINDOW_SIZE } from "./layout/records";

/** What stands for the window in appendix A when anti-replay is off: the nearest number wins. */
const HALF: u32 = 0x80000000;

/** Bits of the ring that holds the window, minus one. Same as `windowRing` of src/dataplane/sad.ts. */
@inline
function ringMask(size: u32): u32 {
  return <u32>(<u32>-1) >> clz<u32>(size - 1);
}

/**
 * Infers the whole sequence number from its low half.
 * @returns it; 0, which is never sent, when it would lie before the first
 */
export function inferSequence(sa: usize, low: u32): u64 {
  if ((load<u32>(sa, SA_FLAGS) & SA_FLAG_ESN) == 0) return <u64>low;
  const size = load<u32>(sa, SA_WINDOW_SIZE);
  const window = size == 0 ? HALF : size;
  const top = atomic.load<u64>(sa, SA_SEQUENCE);
  const topLow = <u32>top;
  let high = <u32>(top >> 32);
  const bottom = topLow - window + 1;
  if (topLow >= window - 1) {
    // Case A: the window lies within one subspace.
    if (low < bottom) high++;
  } else if (low >= bottom) {
    // Case B: it spans two, and this number is of the first.
    if (high == 0) return 0;
    high--;
  }
  return (<u64>high << 32) | <u64>low;
}

/** May this number still be accepted? */
export function replayCheck(sa: usize, sequence: u64): bool {
  return isFresh(sa, sequence, atomic.load<u64>(sa, SA_SEQUENCE), load<u32>(sa, SA_WINDOW_SIZE));
}

@inline
function isFresh(sa: usize, sequence: u64, top: u64, size: u32): bool {
  if (size == 0) return true;
  if (sequence == 0) return false;
  if (sequence > top) return true;
  if (top - sequence >= <u64>size) return false;
  return (load<u32>(wordOf(sa, sequence, ringMask(size))) & bitOf(sequence)) == 0;
}

/** The window of the SA whose lock this worker holds. */
export class Window {
  /** Its right edge. */
  static top: u64 = 0;
}

/** The caller has taken SA_LOCK, and is going to commit. */
@inline
export function openWindow(sa: usize): void {
  Window.top = atomic.load<u64>(sa, SA_SEQUENCE);
}

/** The caller is going to release SA_LOCK. Now: who sees the new edge sees the bits before it as they should be. */
@inline
export function closeWindow(sa: usize): void {
  if (Window.top != load<u64>(sa, SA_SEQUENCE)) atomic.store<u64>(sa, Window.top, SA_SEQUENCE);
}

/**
 * Accepts a number, once. The caller has opened the SA's window, and verified the ICV.
 * @returns whether it was new
 */
export function replayCommit(sa: usize, sequence: u64): bool {
  const top = Window.top;
  const size = load<u32>(sa, SA_WINDOW_SIZE);
  if (!isFresh(sa, sequence, top, size)) return false;
  if (size != 0) {
    const mask = ringMask(size);
    const word = wordOf(sa, sequence, mask);
    if (sequence > top && sequence - top > 1) forget(sa, top + 1, sequence, mask);
    store<u32>(word, load<u32>(word) | bitOf(sequence));
  }
  if (sequence > top) Window.top = sequence;
  return true;
}

/** Clears the bits of the numbers from `from` up to, without, `to`. */
function forget(sa: usize, from: u64, to: u64, mask: u32): void {
  if (to - from > <u64>mask) {
    memory.fill(load<u32>(sa, SA_WINDOW), 0, (mask + 1) >> 3);
    return;
  }
  while (from < to) {
    const word = wordOf(sa, from, mask);
    if ((<u32>from & 31) == 0 && to - from >= 32) {
      store<u32>(word, 0);
      from += 32;
    } else {
      store<u32>(word, load<u32>(word) & ~bitOf(from));
      from++;
    }
  }
}

@inline
function wordOf(sa: usize, sequence: u64, mask: u32): usize {
  return load<u32>(sa, SA_WINDOW) + (((<u32>sequence & mask) >> 5) << 2);
}

@inline
function bitOf(sequence: u64): u32 {
  return 1 << (<u32>sequence & 31);
}
