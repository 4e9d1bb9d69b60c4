/** When a child SA is rekeyed, and when it ends whatever happened (RFC 7296 §2.8). */
import type { ChildConfig } from '../config/model.ts';
import type { Context } from '../ike/context.ts';
import { isInstalled, isLive } from '../ike/states.ts';
import { type ChildSa, isCurrent } from './child-sa.ts';
import type { SoftLimits } from './keymat.ts';

/** While a rekey's responder waits for a sign that the peer has the new SA, it looks for one so often. */
export const CONFIRM_INTERVAL = 1_000;
/** Longer than a peer's Delete is retransmitted. */
const RETIRED_LIFETIME = 240_000;

/** @returns milliseconds from now, with jitter so that two peers seldom rekey at once (RFC 7296 §2.8) */
export function jittered(cx: Context, seconds: number, randSeconds: number): number {
  const rand = Math.min(randSeconds, seconds) * 1000;
  return seconds * 1000 - cx.randomBelow(rand + 1);
}

/** @returns the limits in bytes and packets at which to rekey, with the same jitter (RFC 7296 §2.8) */
export function softLimits(cx: Context, config: ChildConfig): SoftLimits {
  const limit = (value: number, rand: number) =>
    value === 0 ? undefined : Math.max(1, value - cx.randomBelow(Math.min(value, rand) + 1));
  return {
    softBytes: limit(config.rekeyBytes, config.randBytes),
    softPackets: limit(config.rekeyPackets, config.randPackets),
  };
}

/** Sets the timers of a fresh child. */
export function scheduleChild(cx: Context, child: ChildSa): void {
  const { rekeyTime, lifeTime, randTime } = child.config;
  if (rekeyTime > 0) {
    child.rekeyAt = cx.now + jittered(cx, rekeyTime, randTime);
    cx.setTimer(child, 'rekey', child.rekeyAt, softExpire);
  }
  if (lifeTime > 0) {
    child.expireAt = cx.now + lifeTime * 1000;
    cx.setTimer(child, 'expire', child.expireAt, endOfLife);
  }
}

const endOfLife = (cx: Context, child: ChildSa): void => hardExpire(cx, child, 'its lifetime is over');

/** A limit of time, bytes or packets says: rekey. */
export function softExpire(cx: Context, child: ChildSa): void {
  if (!isCurrent(child)) return;
  // A peer that still waits for the answer that made it would not know which child we speak of.
  if (!child.sending) cx.setTimer(child, 'rekey', cx.now + CONFIRM_INTERVAL, softExpire);
  else cx.operations.rekeyChild(child.owner, child);
}

/** A limit is reached that must not be passed: the SA goes, and its policies with it or to a trap. */
export function hardExpire(cx: Context, child: ChildSa, reason: string): void {
  if (!isInstalled(child.state)) return;
  const cause = child.replacedBy === undefined ? 'expired' : 'replaced';
  cx.operations.deleteChild(child.owner, child, cause, reason);
}

/** A child that another one replaced is deleted by whoever made that one; if nobody does, we do. */
export function retire(cx: Context, child: ChildSa, successor: ChildSa): void {
  child.replacedBy = successor;
  cx.clearTimer(child, 'rekey');
  if (child.state === 'DELETED') return;
  if (isLive(child.state)) child.state = 'REKEYED';
  const expireAt = Math.min(child.expireAt ?? Infinity, cx.now + RETIRED_LIFETIME);
  cx.setTimer(child, 'expire', expireAt, () =>
    hardExpire(cx, child, 'it was replaced, and the peer did not delete it'),
  );
}

/** Has the peer been seen to use it? */
export const isConfirmed = (cx: Context, child: ChildSa): boolean =>
  (cx.environment.counters(child.keyIn)?.packets ?? 0) > 0;

/** A rekey's responder sends through `child` once the peer has been seen to use it. */
export function sendWhenConfirmed(cx: Context, child: ChildSa): void {
  cx.setTimer(child, 'confirm', cx.now + CONFIRM_INTERVAL, () => {
    // Nothing begins to use what goes with its IKE SA.
    if (child.sending || !isLive(child.state) || child.owner.state === 'DELETING') return;
    if (isConfirmed(cx, child)) cx.policies.use(child);
    else sendWhenConfirmed(cx, child);
  });
}
