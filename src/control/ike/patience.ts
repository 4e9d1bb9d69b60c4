/**
 * When to ask again what the peer refused with TEMPORARY_FAILURE (RFC 7296 §2.25): late enough for the peer
 * to finish what it was doing, early enough for what has to be replaced before it ends, and at random, so
 * that two sides that got into each other's way do not do so for ever.
 */
import type { ChildSa } from '../child/child-sa.ts';
import type { Context } from './context.ts';
import type { IkeSa } from './sa.ts';

const PAUSE = 2_000;
/** Of what is left of an SA's life, no more than this is spent on one pause. */
const SHARE = 1 / 8;
const SHORTEST = 250;
/**
 * The rekeying of an IKE SA and what concerns a child refuse each other (§2.25.2): then the IKE SA, without
 * which there are no children either, goes first, and the child waits for so much longer. Of what is left of a
 * child's life that may be more than a pause: it has to outlast the pause of the IKE SA, which may be just as short.
 */
const YIELD = 5_000;
const YIELD_SHARE = 1 / 3;
/** A child that ends sooner has no time for that: it asks again at once, in the pause that the IKE SA makes. */
const URGENT = 2_500;
const AT_ONCE = 50;

const share = (cx: Context, longest: number, deadline = Infinity, part = SHARE): number =>
  Math.max(SHORTEST, Math.min(longest, Math.floor((deadline - cx.now) * part)));

/** @returns milliseconds until an IKE SA is rekeyed after all */
export function pauseOfIke(cx: Context, sa: IkeSa): number {
  const pause = share(cx, PAUSE, sa.timers.get('overtime')?.at);
  return pause + cx.randomBelow(pause);
}

/** @returns milliseconds until a child is made after all, or rekeyed, if it is `old` that it replaces */
export function pauseOfChild(cx: Context, sa: IkeSa, old?: ChildSa): number {
  const pause = share(cx, PAUSE, old?.expireAt);
  const givesWay = cx.now - sa.refusedRekeyAt < YIELD;
  if (givesWay && (old?.expireAt ?? Infinity) - cx.now < URGENT) return AT_ONCE;
  return pause + cx.randomBelow(pause) + (givesWay ? share(cx, YIELD, old?.expireAt, YIELD_SHARE) : 0);
}
