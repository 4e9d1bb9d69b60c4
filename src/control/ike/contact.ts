/**
 * Which IKE SAs are between the same two, and what INITIAL_CONTACT and `unique` make of them (RFC 7296 §2.4).
 *
 * The notification says that a peer has no other IKE SA between the two identities, however many connections either
 * side has for them. Who gets it forgets those that it knows, without a word: said wrongly, it leaves a black hole.
 */
import { sameValue } from '../config/compare.ts';
import type { Context } from './context.ts';
import type { IkeSa } from './sa.ts';
import { isUsable } from './states.ts';

/** Is it certain that the peer has no other IKE SA with us? One that waits for its answer to IKE_AUTH may be such. */
export function isFirstContact(cx: Context, sa: IkeSa): boolean {
  if (sa.connection.unique === 'never' || sa.reauthenticates !== undefined) return false;
  return !cx.table.ofLikeEnds(sa).some((other) => other !== sa && other.state !== 'DESTROYING');
}

/** @returns other IKE SAs that the peer has over the same connection */
export const rivalsOf = (cx: Context, sa: IkeSa): IkeSa[] =>
  ofSamePeer(cx, sa).filter(({ connection }) => connection.name === sa.connection.name);

/**
 * @returns what a peer that says INITIAL_CONTACT has lost. What was established after it began with this one is not
 *   that, for the message may be an old one; nor is what another proof than this one's has established.
 */
export function lostByPeer(cx: Context, sa: IkeSa): IkeSa[] {
  const proves = ({ connection }: IkeSa) => cx.credentials.of(connection).remote;
  return ofSamePeer(cx, sa).filter(
    (other) =>
      other.connection.unique !== 'never' &&
      other.establishedAt < sa.handshake!.begunAt &&
      (other.connection.name === sa.connection.name || sameValue(proves(other), proves(sa))),
  );
}

/** RFC 7619 §2.3: who proves nothing is not the same as another one that says the same. */
function ofSamePeer(cx: Context, sa: IkeSa): IkeSa[] {
  if (sa.connection.unique === 'never' || sa.connection.remote.auth === 'null') return [];
  return cx.table.ofSameEnds(sa).filter((other) => other !== sa && isUsable(other.state));
}
