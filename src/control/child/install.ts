/**
 * Puts child SAs into the data plane and takes them out, in the order that loses no packet:
 * inbound before the peer can send, outbound when the peer can receive, old inbound last.
 */

import { suiteName } from '../../algorithms.ts';
import type { ChildConfig } from '../config/model.ts';
import type { ChildKeys } from '../crypto/keys.ts';
import type { Context } from '../ike/context.ts';
import type { Cause } from '../ike/failure.ts';
import type { IkeSa } from '../ike/sa.ts';
import { formatSelector } from '../wire/payloads/ts.ts';
import { type ChildAgreement, ChildSa, heirOf } from './child-sa.ts';
import { saParameters } from './keymat.ts';
import { scheduleChild, softLimits } from './lifetime.ts';

/** Packets of an old SA may be on their way for so long after its deletion was agreed. */
const GRACE = 5_000;

export interface Installation {
  readonly config: ChildConfig;
  readonly agreement: ChildAgreement;
  readonly keys: ChildKeys;
  /** Are we the initiator of the exchange that makes it? Its keys come first. */
  readonly initiator: boolean;
  /** Point the policies to it now; a rekey's responder waits for a sign of the peer. */
  readonly send: boolean;
}

/** Installs both directions; the keys go with the effects. */
export function installChild(cx: Context, sa: IkeSa, installation: Installation): ChildSa {
  const { config, agreement, keys, initiator } = installation;
  const child = new ChildSa(
    cx.nextId(),
    sa,
    config,
    agreement,
    { in: cx.nextId(), out: cx.nextId() },
    initiator,
    cx.now,
  );
  const soft = softLimits(cx, config);
  const [ours, theirs] = initiator ? [keys.initiator, keys.responder] : [keys.responder, keys.initiator];
  for (const [direction, key, material] of [
    ['in', child.keyIn, theirs],
    ['out', child.keyOut, ours],
  ] as const) {
    const parameters = saParameters(sa, child, direction, material, soft);
    if (cx.parts.exportKeys) {
      const copy = { encryption: material.encryption.slice(), integrity: material.integrity.slice() };
      cx.push({ type: 'keys', keys: { kind: 'child', parameters: { ...parameters, keys: copy } } });
    }
    cx.push({ type: 'install-sa', key, parameters });
  }
  child.state = 'INSTALLED';
  sa.children.set(child.id, child);
  cx.children.set(child.keyIn, child).set(child.keyOut, child);
  if (installation.send) cx.policies.use(child);
  else cx.policies.admit(child);
  scheduleChild(cx, child);
  return child;
}

/** Tells everyone that a child is there: not one that replaces another. */
export function announceChild(cx: Context, child: ChildSa): void {
  const { agreement, config, owner: sa } = child;
  const selectors = (side: ChildAgreement['local']) => side.map(formatSelector).join(' ');
  const path = sa.udpEncapsulation ? ' in UDP' : '';
  const what = `${agreement.protocol.toUpperCase()}${path} ${agreement.mode} ${suiteName(agreement.suite)}`;
  cx.log(
    'info',
    `child ${child.text} is up: ${what}, ${selectors(agreement.local)} === ${selectors(agreement.remote)}`,
    sa.connection.name,
  );
  cx.event({ type: 'child-up', connection: sa.connection.name, child: config.name, id: child.id });
  cx.connections.childUp(sa, child);
}

/** Tells everyone that `heir` stands for what `child` was: nothing goes up or down. */
export function announceHeir(cx: Context, child: ChildSa, heir: ChildSa): void {
  const connection = heir.owner.connection.name;
  cx.log('info', `child ${child.text} was rekeyed: ${heir.text}`, connection);
  cx.event({ type: 'child-rekeyed', connection, child: heir.config.name, id: child.id, replacedBy: heir.id });
}

/** Stops sending through a child and takes its outbound SA out; what is still under way can arrive. */
function stopSending(cx: Context, child: ChildSa): void {
  cx.policies.release(child);
  cx.children.delete(child.keyOut);
  cx.push({ type: 'remove-sa', key: child.keyOut, direction: 'out' });
}

/**
 * Takes a child out. One that was replaced keeps its inbound SA for a moment, so that no packet
 * that the peer sent before it changed over is lost; in any other case all stops at once.
 */
export function removeChild(cx: Context, child: ChildSa, cause: Cause, reason: string): void {
  if (child.state === 'DELETED') return;
  const replaced = cause === 'replaced';
  const successor = heirOf(child);
  // The peer has let go of the one in use, so it is ready for the new one. That it lets go of what lost a
  // collision says nothing: the answer that makes the winner may still be on its way.
  if (successor !== undefined && !successor.sending && cx.policies.carries(child)) cx.policies.use(successor);
  child.state = 'DELETED';
  cx.clearTimers(child);
  child.owner.children.delete(child.id);
  if (child.replacedBy === undefined) cx.connections.childLeaving(child.owner, child, cause);
  stopSending(cx, child);
  if (replaced) cx.timers.set(cx.now + GRACE, () => removeInbound(cx, child));
  else removeInbound(cx, child);
  if (child.replacedBy !== undefined) return;
  // What it had replaced has lost its heir: it goes too, rather than wait for a peer that forgot it.
  for (const before of child.owner.children.values()) {
    if (before.replacedBy === child)
      cx.operations.deleteChild(before.owner, before, 'replaced', 'its successor is gone');
  }
  const connection = child.owner.connection.name;
  cx.log('info', `child ${child.text} is down: ${reason}`, connection);
  cx.event({ type: 'child-down', connection, child: child.config.name, id: child.id, reason });
}

function removeInbound(cx: Context, child: ChildSa): void {
  cx.children.delete(child.keyIn);
  cx.push({ type: 'remove-sa', key: child.keyIn, direction: 'in' });
}
