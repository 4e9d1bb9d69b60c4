/** How IKE SAs come to life and end, whichever operation it was that did it. */

import type { EspalierError } from '../../errors.ts';
import { removeChild } from '../child/install.ts';
import type { Context } from './context.ts';
import { type Cause, Failure } from './failure.ts';
import type { IkeSa } from './sa.ts';

/** An SA that is gone answers the repetition of the peer's last request for so long. */
const LINGER = 30_000;

/**
 * Ends an IKE SA with everything under it, at once and without a word to the peer: keys are wiped,
 * children removed, operations abandoned. Its last answer can still be repeated for a while.
 */
export function destroy(cx: Context, sa: IkeSa, trigger: Cause, why: EspalierError): void {
  if (sa.state === 'DESTROYING') return;
  // What was to go is gone for that reason, be it that the peer fell silent in the middle of it; only of
  // what had grown old the silence says more.
  const intended = sa.deletion?.cause;
  const cause = intended === undefined || (intended === 'expired' && trigger === 'dead') ? trigger : intended;
  const wasEstablished = sa.establishedAt > 0;
  const isSuperseded = sa.replacedBy !== undefined || sa.state === 'PASSIVE';
  sa.state = 'DESTROYING';
  cx.clearTimers(sa);
  const tasks = [...sa.window.outstanding.values()].map(({ task }) => task).concat(sa.queue);
  for (const record of sa.window.outstanding.values()) cx.timers.cancel(record.timer);
  sa.window.outstanding.clear();
  sa.queue.length = 0;
  for (const task of tasks) task.abandon?.(cx, sa, why.message);
  for (const followup of sa.followups.values()) followup.abandon();
  sa.followups.clear();
  // What the peer's rekeying made goes with it, if who inherits was open: its children are gone, and the peer, which
  // may go on with that one, is to find out.
  if (sa.rivalSuccessor?.state === 'PASSIVE') discard(cx, sa.rivalSuccessor);
  const children = [...sa.children.values()];
  for (const child of children) removeChild(cx, child, cause, why.message);
  sa.wipe();
  cx.table.settle(sa);
  // Only a peer that went as far as IKE_AUTH has an answer that it may have missed; and one that we have given
  // up must not hear that we are still there.
  if (trigger !== 'dead' && sa.window.firstUnanswered > (sa.initDigest === undefined ? 0 : 1))
    cx.timers.set(cx.now + LINGER, () => cx.table.remove(sa));
  else cx.table.remove(sa);
  if (!isSuperseded) report(cx, sa, wasEstablished, cause, why);
  cx.connections.ikeDown(sa, wasEstablished, cause, why);
}

function report(cx: Context, sa: IkeSa, wasEstablished: boolean, cause: Cause, why: EspalierError): void {
  const connection = sa.connection.name;
  if (!wasEstablished) {
    cx.log('error', `IKE SA ${sa.id} failed: ${why.message}`, connection);
    cx.event({ type: 'ike-failed', connection, code: why.code, reason: why.message });
    return;
  }
  const level = cause === 'dead' || cause === 'failed' ? 'warn' : 'info';
  cx.log(level, `IKE SA ${sa.id} is gone: ${why.message}`, connection);
  cx.event({ type: 'ike-down', connection, id: sa.id, reason: why.message });
}

/** Forgets an SA that never was more than an attempt, and leaves nothing behind. */
export function discard(cx: Context, sa: IkeSa): void {
  cx.clearTimers(sa);
  sa.state = 'DESTROYING';
  sa.wipe();
  cx.table.remove(sa);
}

/** @returns the reason as an error, for `destroy` */
export const because = (code: string, message: string): Failure => new Failure(code, message);
