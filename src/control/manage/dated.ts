/** Counters as people see them. */
import type { SaCounters } from '../../contract.ts';

/** @returns the counters with `lastUsed` since the epoch */
export function dated(counters: SaCounters, clocks: { readonly now: number; readonly wallClock: number }): SaCounters {
  const { lastUsed } = counters;
  return lastUsed === 0 ? counters : { ...counters, lastUsed: clocks.wallClock - (clocks.now - lastUsed) };
}
