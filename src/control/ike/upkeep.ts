/** What an established IKE SA does by itself: liveness, NAT keepalives, rekeying, reauthentication. */
import { jittered } from '../child/lifetime.ts';
import { keepSkD } from '../crypto/keys.ts';
import { formatProposal } from '../proposals/keywords.ts';
import { EXCHANGE, PROTOCOL } from '../wire/iana.ts';
import { mayCall } from './choose.ts';
import type { Context } from './context.ts';
import { because, destroy } from './lifecycle.ts';
import type { IkeSa } from './sa.ts';
import { isUsable } from './states.ts';

/** An SA whose rekeying has not begun, as something else was under way, is looked at again after so long. */
const REKEYING_DUE = 1_000;

/** RFC 3948 §2.3: the one byte of a NAT keepalive. */
const KEEPALIVE = Uint8Array.of(0xff);

/** Both sides have proved who they are. Drops what only the handshake needed. */
export function established(cx: Context, sa: IkeSa): void {
  sa.state = 'ESTABLISHED';
  sa.establishedAt = cx.now;
  sa.authenticatedAt = cx.now;
  sa.lastReceived = cx.now;
  sa.handshake = undefined;
  sa.peer.hashes = undefined;
  cx.clearTimer(sa, 'half-open');
  cx.table.settle(sa);
  cx.table.file(sa);
  const connection = sa.connection.name;
  const nat = sa.udpEncapsulation
    ? `, NAT ${[sa.natLocal && 'here', sa.natRemote && 'there'].filter(Boolean).join(' and ')}`
    : '';
  const ends = `${sa.localId!.text} at ${sa.local.address} === ${sa.remoteId!.text} at ${sa.remote.address}`;
  const words = formatProposal(PROTOCOL.IKE, sa.transforms);
  cx.log('info', `IKE SA ${sa.id} is up: ${ends}, ${words}${nat}`, connection);
  cx.event({ type: 'ike-up', connection, id: sa.id });
  keepUp(cx, sa);
  scheduleReauthentication(cx, sa);
  cx.connections.ikeUp(sa);
}

/** Sets the timers of an established SA, a rekeyed one included. */
export function keepUp(cx: Context, sa: IkeSa): void {
  sa.keys = keepSkD(sa.keys!);
  scheduleLiveness(cx, sa);
  scheduleKeepalive(cx, sa);
  const { rekeyTime, overTime, randTime } = sa.connection;
  if (rekeyTime === 0) return;
  sa.rekeyAt = cx.now + jittered(cx, rekeyTime, randTime);
  cx.setTimer(sa, 'rekey', sa.rekeyAt, rekeyNow);
  if (overTime === 0) return;
  cx.setTimer(sa, 'overtime', cx.now + (rekeyTime + overTime) * 1000, endOfLife);
}

/** Does its rekeying wait for another exchange to end? */
const isRekeyingDue = ({ queue }: IkeSa): boolean =>
  queue.some(({ exchange, subject }) => exchange === EXCHANGE.CREATE_CHILD_SA && subject === undefined);

function endOfLife(cx: Context, sa: IkeSa): void {
  // What it waits for ends soon, if only with this SA, as nobody answers (RFC 7296 §2.4); and what that
  // exchange brings about at the peer would be lost, with all children.
  if (isUsable(sa.state) && isRekeyingDue(sa)) {
    cx.setTimer(sa, 'overtime', cx.now + REKEYING_DUE, endOfLife);
    return;
  }
  const over = because('ERR_OVERTIME', 'its lifetime is over and no rekeying succeeded');
  if (isUsable(sa.state)) cx.operations.deleteIke(sa, 'expired', over.message);
  else destroy(cx, sa, 'expired', over);
}

function rekeyNow(cx: Context, sa: IkeSa): void {
  if (sa.state === 'ESTABLISHED') cx.operations.rekeyIke(sa);
}

/** Counts from the last authentication: rekeying does not renew it (RFC 7296 §2.8.3). */
export function scheduleReauthentication(cx: Context, sa: IkeSa): void {
  const { reauthTime, randTime } = sa.connection;
  if (reauthTime === 0 || !mayCall(sa)) return;
  sa.reauthAt ??= sa.authenticatedAt + jittered(cx, reauthTime, randTime);
  cx.setTimer(sa, 'reauth', Math.max(sa.reauthAt, cx.now), reauthenticateNow);
}

function reauthenticateNow(cx: Context, sa: IkeSa): void {
  if (isUsable(sa.state)) cx.operations.reauthenticate(sa);
}

/** When something authentic last came from the peer, in IKE or in any child (RFC 7296 §2.4). */
function lastSign(cx: Context, sa: IkeSa): number {
  const used = [...sa.children.values()].map((child) => cx.environment.counters(child.keyIn)?.lastUsed ?? 0);
  return Math.max(sa.lastReceived, ...used);
}

function scheduleLiveness(cx: Context, sa: IkeSa): void {
  const delay = sa.connection.dpdDelay * 1000;
  if (delay === 0) return;
  cx.setTimer(sa, 'liveness', Math.max(lastSign(cx, sa) + delay, cx.now + 1), lookForLife);
}

function lookForLife(cx: Context, sa: IkeSa): void {
  const delay = sa.connection.dpdDelay * 1000;
  const silent = cx.now - lastSign(cx, sa) >= delay;
  // A request that is under way finds out by itself.
  if (silent && isUsable(sa.state) && sa.window.outstanding.size === 0) cx.operations.checkLiveness(sa);
  if (silent) sa.lastReceived = Math.max(sa.lastReceived, cx.now - delay + Math.min(delay, 1000));
  scheduleLiveness(cx, sa);
}

/** When we last sent something to the peer, in IKE or in any child. */
function lastSent(cx: Context, sa: IkeSa): number {
  const used = [...sa.children.values()].map((child) => cx.environment.counters(child.keyOut)?.lastUsed ?? 0);
  return Math.max(sa.lastSent, ...used);
}

/** Only the side behind the NAT keeps its mapping alive, and only when it sends nothing else (RFC 3948 §4). */
function scheduleKeepalive(cx: Context, sa: IkeSa): void {
  const pause = cx.limits.keepalive * 1000;
  if (pause === 0 || !sa.natLocal) {
    cx.clearTimer(sa, 'keepalive');
    return;
  }
  cx.setTimer(sa, 'keepalive', Math.max(lastSent(cx, sa) + pause, cx.now + 1), keepAlive);
}

function keepAlive(cx: Context, sa: IkeSa): void {
  if (cx.now - lastSent(cx, sa) >= cx.limits.keepalive * 1000) {
    sa.lastSent = cx.now;
    cx.push({ type: 'send', datagram: { local: sa.local, remote: sa.remote, data: KEEPALIVE } });
  }
  scheduleKeepalive(cx, sa);
}

/** The path changed: a NAT may have appeared, or gone. */
export const pathChanged = (cx: Context, sa: IkeSa): void => scheduleKeepalive(cx, sa);
