/** How a rekeyed IKE SA takes over from the one before it (RFC 7296 §2.8, §2.18). */
import type { Context } from './context.ts';
import { pump } from './exchange.ts';
import { because, destroy, discard } from './lifecycle.ts';
import type { IkeSa } from './sa.ts';
import { inheritUpdate } from './tasks/mobike.ts';
import { keepUp, scheduleReauthentication } from './upkeep.ts';

/** The peer deletes a rekeyed SA at once; if it does not, we do after so long. */
const REKEYED_LIFETIME = 240_000;

/** The same for one that lost a collision: the peer deletes it at once, or never heard of it. */
const LOSER_LIFETIME = 30_000;

const NOT_DELETED = 'it was rekeyed and the peer did not delete it';

/** Purpose of the timers that wait to ask for a child again. */
export const CREATE_AGAIN = 'create ';

/** Gives the new SA all that the old one knows of the peer. It answers, but is not used until it inherits. */
export function becomeSuccessor(cx: Context, old: IkeSa, next: IkeSa): void {
  Object.assign(next.peer, old.peer);
  next.localId = old.localId;
  next.remoteId = old.remoteId;
  next.peerPath = old.peerPath;
  next.originator = old.originator;
  next.authenticatedAt = old.authenticatedAt;
  next.reauthAt = old.reauthAt;
  next.reauthenticates = old.reauthenticates;
  takePath(old, next);
  next.establishedAt = cx.now;
  next.lastReceived = cx.now;
  next.state = 'PASSIVE';
  next.predecessor = old;
  cx.table.add(next);
  cx.table.file(next);
  awaitDeletion(cx, next, REKEYED_LIFETIME);
}

/**
 * What the peer's rekeying made has lost to ours, and is the peer's to delete (RFC 7296 §2.8.2). If our
 * answer was lost and the old SA is gone, then the peer does not know it, and nothing comes.
 */
export function giveUp(cx: Context, loser: IkeSa): void {
  if (loser.state === 'PASSIVE') awaitDeletion(cx, loser, LOSER_LIFETIME);
}

function awaitDeletion(cx: Context, passive: IkeSa, patience: number): void {
  const why = because('ERR_REKEYED', 'another SA took over, and the peer did not delete this one');
  cx.setTimer(passive, 'passive', cx.now + patience, () => destroy(cx, passive, 'replaced', why));
}

/** Where the two are: it may have changed since the new SA was made. */
function takePath(old: IkeSa, next: IkeSa): void {
  const { local, remote, natLocal, natRemote, peerAddresses } = old;
  Object.assign(next, { local, remote, natLocal, natRemote, peerAddresses });
}

/** Moves children and waiting operations over; from now on the new SA is the one in use. */
export function inherit(cx: Context, old: IkeSa, next: IkeSa): void {
  if (next.state === 'PASSIVE') next.state = 'ESTABLISHED';
  cx.clearTimer(next, 'passive');
  next.predecessor = undefined;
  old.rivalSuccessor = undefined;
  old.replacedBy = next;
  takePath(old, next);
  inheritUpdate(cx, old, next);
  for (const child of old.children.values()) {
    child.owner = next;
    next.children.set(child.id, child);
  }
  old.children.clear();
  for (const name of old.creating) next.creating.add(name);
  for (const name of old.unwanted) next.unwanted.add(name);
  for (const [purpose, timer] of old.timers) {
    if (!purpose.startsWith(CREATE_AGAIN)) continue;
    timer.owner = next;
    next.timers.set(purpose, timer);
    old.timers.delete(purpose);
  }
  next.wanted.push(...old.wanted.splice(0));
  // What was not begun is begun over the new SA; liveness and the old SA's own end have lost their meaning.
  for (const task of old.queue.splice(0)) if (task.subject !== undefined) next.queue.push(task);
  for (const purpose of ['rekey', 'reauth', 'liveness', 'overtime', 'keepalive']) cx.clearTimer(old, purpose);
  if (old.state === 'ESTABLISHED' || old.state === 'REKEYING') {
    old.state = 'REKEYED';
    cx.setTimer(old, 'rekeyed', cx.now + REKEYED_LIFETIME, () => cx.operations.deleteIke(old, 'replaced', NOT_DELETED));
  } else if (old.state === 'DELETING') {
    // Its end had come in the middle of it; now that is the peer's to bring about.
    cx.setTimer(old, 'rekeyed', cx.now + REKEYED_LIFETIME, () =>
      destroy(cx, old, 'replaced', because('ERR_REKEYED', NOT_DELETED)),
    );
  }
  const connection = next.connection.name;
  cx.log('info', `IKE SA ${old.id} was rekeyed: ${next.id}`, connection);
  cx.event({ type: 'ike-rekeyed', connection, id: old.id, replacedBy: next.id });
  keepUp(cx, next);
  scheduleReauthentication(cx, next);
  cx.connections.ikeRekeyed(next);
  pump(cx, next);
}

/**
 * The peer uses a new SA of its own, so it has decided that this one inherits: it does not know of a
 * rekeying of ours, or has refused it.
 */
export function inheritIfUsed(cx: Context, sa: IkeSa): void {
  if (sa.state === 'PASSIVE' && sa.predecessor !== undefined) inherit(cx, sa.predecessor, sa);
}

/** A new SA whose old one went away in the middle of it. */
export const discardSuccessor = (cx: Context, next: IkeSa): void => discard(cx, next);
