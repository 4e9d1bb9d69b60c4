/**
 * What takes over from an IKE SA that is old enough to be reauthenticated (RFC 7296 §2.8.3): a new one made for
 * that, or one that the two have beside it anyway.
 *
 * Nothing in the protocol says that an IKE SA is made in place of another. Where both sides reauthenticate the same
 * one at the same time there are two, and where `unique` lets them be there would be more and more.
 */
import { isCurrent, standsFor } from '../child/child-sa.ts';
import { announceHeir } from '../child/install.ts';
import { isConfirmed } from '../child/lifetime.ts';
import type { Context } from './context.ts';
import type { IkeSa } from './sa.ts';

/** `old` goes, without anybody missing a child that `next` has too. */
export function handOver(cx: Context, old: IkeSa, next: IkeSa, reason: string): void {
  for (const before of old.children.values()) {
    const heirs = [...next.children.values()].filter(
      ({ config, replacedBy }) => config.name === before.config.name && replacedBy === undefined,
    );
    // There may be several that the peer has narrowed to this and that.
    const after = heirs.find((heir) => standsFor(heir, before)) ?? heirs[0];
    if (after === undefined || before.replacedBy !== undefined) continue;
    // The peer takes the old one out before it answers.
    if (after.sending) cx.policies.use(after);
    before.replacedBy = after;
    announceHeir(cx, before, after);
  }
  cx.operations.deleteIke(old, 'replaced', reason);
}

/**
 * Both sides decide by the SPIs, so that of two SAs they never let go of one each.
 * @returns another IKE SA between the same two that has every child of this one, and stays
 */
export const twinOf = (cx: Context, sa: IkeSa): IkeSa | undefined =>
  cx.table
    .ofConnection(sa.connection.name)
    .find(
      (other) =>
        isSettled(sa) &&
        isSettled(other) &&
        isHigher(other, sa) &&
        isKnownToPeer(cx, other) &&
        isBetweenSame(sa, other) &&
        [...sa.children.values()].every(
          (child) => !isCurrent(child) || [...other.children.values()].some((same) => standsFor(same, child)),
        ),
    );

/** Its SPIs are not about to change. */
const isSettled = ({ state }: IkeSa): boolean => state === 'ESTABLISHED';

const isHigher = (a: IkeSa, b: IkeSa): boolean => (a.spiI === b.spiI ? a.spiR > b.spiR : a.spiI > b.spiI);

/** We had the answer that made it, or one to a request of ours since, or packets. */
const isKnownToPeer = (cx: Context, { initiator, window, children }: IkeSa): boolean =>
  initiator || window.next > window.outstanding.size || [...children.values()].some((child) => isConfirmed(cx, child));

const isBetweenSame = (a: IkeSa, b: IkeSa): boolean =>
  a.local.address === b.local.address && a.remote.address === b.remote.address && a.remoteId?.text === b.remoteId?.text;
