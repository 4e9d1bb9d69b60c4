/**
 * Of two children that both sides made at once one goes, by whoever made it (RFC 7296 §2.8.1). Where that is
 * us, the winner is the peer's, and the peer may still be waiting for the answer that makes it: until it has
 * been seen to use it, ours is all that it has.
 *
 *   HDR, SK {D(ESP | AH)} -->
 *                         <-- HDR, SK {D(ESP | AH)}
 */
import { type ChildSa, heirOf } from '../../child/child-sa.ts';
import { CONFIRM_INTERVAL, isConfirmed, retire } from '../../child/lifetime.ts';
import type { Context } from '../context.ts';
import { enqueue } from '../exchange.ts';
import { DeleteChild } from './delete.ts';

/** Longer than an answer is asked for again; a peer that sends nothing shows nothing. */
const AWAITED = 15_000;

export const deleteRedundant = (cx: Context, child: ChildSa, reason: string): void =>
  enqueue(cx, child.owner, new DeleteChild(child, 'replaced', reason));

/** @param child that lost, and has its heir */
export function deleteWhenConfirmed(cx: Context, child: ChildSa, reason: string, deadline = cx.now + AWAITED): void {
  cx.setTimer(child, 'redundant', cx.now + CONFIRM_INTERVAL, () => {
    const heir = heirOf(child);
    if (heir === undefined || isConfirmed(cx, heir) || cx.now >= deadline) deleteRedundant(cx, child, reason);
    else deleteWhenConfirmed(cx, child, reason, deadline);
  });
}

/**
 * Both sides made the same child, or rekeyed it, and one of the two had lost before its own rekeying was over,
 * whoever began that: what is made of it goes where it goes. The winner is no rival of that one: their nonces
 * say nothing about each other.
 * @returns whether `child`, which was made of `old`, goes
 */
export function goesWith(cx: Context, old: ChildSa, child: ChildSa): boolean {
  const winner = old.isRedundant ? heirOf(old) : undefined;
  if (winner === undefined) return false;
  child.isRedundant = true;
  retire(cx, child, winner);
  deleteWhenConfirmed(cx, child, 'what it was made of has lost to another');
  return true;
}
