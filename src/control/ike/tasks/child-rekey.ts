/**
 * CREATE_CHILD_SA for the rekeying of a child SA, before the old one is broken (RFC 7296 §1.3.3, §2.8):
 *
 *   HDR, SK {N(REKEY_SA), SA, Ni, [KEi,] TSi, TSr} -->
 *             <-- HDR, SK {SA, Nr, [KEr,] TSi, TSr}
 *              or HDR, SK {N(CHILD_SA_NOT_FOUND) | N(TEMPORARY_FAILURE) | …}
 *   HDR, SK {D(ESP)} -->                     the old child, by whoever made the new one
 *             <-- HDR, SK {D(ESP)}
 *
 * No packet is lost: the responder can receive on the new SA before it answers, the initiator sends
 * on it as soon as it has the answer, the responder as soon as it sees that, and both receive on the
 * old one until a moment after its deletion.
 *
 * If both begin at once there are two new children; the one whose exchange has the lowest of the four
 * nonces is deleted by its initiator, the old one by the other (§2.8.1).
 */
import { type ChildSa, isCurrent, spiText } from '../../child/child-sa.ts';
import { announceHeir, removeChild } from '../../child/install.ts';
import { retire, sendWhenConfirmed } from '../../child/lifetime.ts';
import { Writer } from '../../wire/bytes.ts';
import { NOTIFY, notifyName, PROTOCOL } from '../../wire/iana.ts';
import { findNotify } from '../../wire/message.ts';
import type { Payload } from '../../wire/payloads/index.ts';
import type { NotifyPayload } from '../../wire/payloads/notify.ts';
import type { Context } from '../context.ts';
import { enqueue } from '../exchange.ts';
import { Failure } from '../failure.ts';
import { pauseOfChild } from '../patience.ts';
import type { IkeSa } from '../sa.ts';
import { isLive } from '../states.ts';
import type { Answer, Received } from '../task.ts';
import { ChildExchange, respondWithChild } from './child-exchange.ts';
import { awaitsChild, DeleteChild, findByPeerSpi, isBeingDeleted } from './delete.ts';
import { deleteRedundant, deleteWhenConfirmed, goesWith } from './redundant.ts';

const AT_ONCE = 'the peer rekeyed at the same time';
/** The peer does not want to: it is asked again later, as long as the old child lives. */
const REFUSED_PAUSE = 30_000;

export class ChildRekey extends ChildExchange {
  readonly name: string;
  private readonly old: ChildSa;

  constructor(old: ChildSa) {
    super({ config: old.config, packet: undefined }, old.agreement.ke);
    this.name = `rekeying of child ${old.text}`;
    this.old = old;
  }

  protected isWanted(): boolean {
    const { old } = this;
    if (!isCurrent(old)) return false;
    old.state = 'REKEYING';
    return true;
  }

  protected prelude(): Payload[] {
    const { old } = this;
    const spi = new Writer(4);
    spi.u32(old.agreement.spiIn);
    return [{ kind: 'N', protocol: old.protocol, spi: spi.bytes, notify: NOTIFY.REKEY_SA, data: new Uint8Array() }];
  }

  /** Deleted or replaced by the peer meanwhile: who has asked for the child since has waited for this one to be over. */
  protected notNeeded(cx: Context, sa: IkeSa): void {
    cx.connections.missed(sa.connection, this.subject);
  }

  protected succeeded(cx: Context, sa: IkeSa, child: ChildSa): void {
    child.origin = this.old.origin;
    if (goesWith(cx, this.old, child)) return;
    const rival = this.old.replacedBy;
    if (rival !== undefined && rival.state !== 'DELETED') {
      resolveCollision(cx, sa, this.old, child, rival);
      return;
    }
    if (rival?.replacedBy !== undefined && Buffer.compare(child.lowestNonce, rival.lowestNonce) < 0) {
      // The answer was so late that the peer's child, which won, has had an heir of its own since.
      retire(cx, child, rival.replacedBy);
      deleteRedundant(cx, child, AT_ONCE);
      return;
    }
    replace(cx, this.old, child);
    cx.policies.use(child);
    if (this.old.state !== 'DELETED') enqueue(cx, sa, new DeleteChild(this.old, 'replaced', 'it was rekeyed'));
  }

  protected refused(cx: Context, sa: IkeSa, failure: Failure, notify?: number): void {
    const { old } = this;
    if (old.state === 'REKEYING') old.state = 'INSTALLED';
    if (!isCurrent(old)) {
      this.notNeeded(cx, sa);
      return;
    }
    if (notify === NOTIFY.CHILD_SA_NOT_FOUND) {
      // RFC 7296 §2.25: the peer has lost it, so it is made anew.
      cx.log('warn', `child ${old.text} is unknown to the peer and is made anew`, sa.connection.name);
      cx.operations.createChild(sa, { config: old.config, packet: undefined });
      removeChild(cx, old, 'failed', 'the peer does not know it');
      return;
    }
    if (notify === NOTIFY.NO_ADDITIONAL_SAS) {
      cx.log('info', `the peer cannot rekey child ${old.text}: a new IKE SA takes over`, sa.connection.name);
      cx.operations.reauthenticate(sa);
      return;
    }
    const isBusy = notify === NOTIFY.TEMPORARY_FAILURE;
    const pause = isBusy ? pauseOfChild(cx, sa, old) : REFUSED_PAUSE;
    const words = notify === undefined ? failure.message : `${notifyName(notify)}: ${failure.message}`;
    cx.log(
      isBusy ? 'debug' : 'error',
      `${this.name} failed, trying again in ${Math.round(pause / 1000)} s: ${words}`,
      sa.connection.name,
    );
    cx.setTimer(old, 'rekey', cx.now + pause, () => {
      if (isCurrent(old)) cx.operations.rekeyChild(old.owner, old);
    });
  }

  override abandon(cx: Context, sa: IkeSa): void {
    super.abandon(cx, sa);
    if (this.old.state === 'REKEYING') this.old.state = 'INSTALLED';
  }
}

/** `child` takes over from `old`: nobody is told that anything went down. */
function replace(cx: Context, old: ChildSa, child: ChildSa): void {
  retire(cx, old, child);
  announceHeir(cx, old, child);
  cx.connections.childUp(child.owner, child);
}

/** @returns a child and, one after the other, those that have taken over from it */
function lineOf(child: ChildSa): ChildSa[] {
  const line = [];
  for (let next: ChildSa | undefined = child; next !== undefined; next = next.replacedBy) line.push(next);
  return line;
}

/**
 * Both sides made a child (RFC 7296 §2.8.1).
 * @param ours made by an exchange that we began @param theirs by one of the peer's
 */
function resolveCollision(cx: Context, sa: IkeSa, old: ChildSa, ours: ChildSa, theirs: ChildSa): void {
  const oursLoses = Buffer.compare(ours.lowestNonce, theirs.lowestNonce) < 0;
  const [winner, loser] = oursLoses ? [theirs, ours] : [ours, theirs];
  cx.log('debug', `both sides rekeyed child ${old.text}: ${winner.text} stays, ${loser.text} goes`, sa.connection.name);
  // The peer may have had its own rekeyed once more before it heard of ours: that goes with it.
  const losers = lineOf(loser);
  // Until now the one that was made first stood for the old one, or what has come from it.
  if (old.replacedBy === loser) announceHeir(cx, losers.at(-1)!, winner);
  retire(cx, old, winner);
  for (const each of losers) {
    each.isRedundant = true;
    retire(cx, each, winner);
  }
  if (oursLoses) {
    // The peer deletes the old child, and begins to send on its own new one.
    sendWhenConfirmed(cx, theirs);
    // As long as the old one is there, the peer can go on with that.
    if (isBeingDeleted(old)) deleteWhenConfirmed(cx, ours, AT_ONCE);
    else deleteRedundant(cx, ours, AT_ONCE);
    return;
  }
  cx.policies.use(ours);
  if (old.state !== 'DELETED') enqueue(cx, sa, new DeleteChild(old, 'replaced', 'it was rekeyed'));
}

/** The peer rekeys a child of ours. */
export function respondChildRekey(cx: Context, sa: IkeSa, request: Received): Answer {
  const notify = findNotify(request.payloads, NOTIFY.REKEY_SA)!;
  const old = rekeyed(sa, notify);
  const isOurRekey = old.state === 'REKEYING';
  if (!isCurrent(old)) {
    // RFC 7296 §2.25.1: being closed, or replaced by us already.
    throw new Failure('ERR_TEMPORARY', `child ${old.text} is on its way out`, NOTIFY.TEMPORARY_FAILURE);
  }
  const made = (child: ChildSa): void => {
    child.origin = old.origin;
    if (goesWith(cx, old, child)) return;
    const ours = old.replacedBy;
    if (ours !== undefined && ours.state !== 'DELETED') {
      // Ours was done first, while the peer was still busy with additional key exchanges.
      resolveCollision(cx, sa, old, ours, child);
      return;
    }
    if (isOurRekey && isLive(old.state)) {
      // Who wins is known when our own exchange is over.
      old.replacedBy = child;
      announceHeir(cx, old, child);
      cx.clearTimer(old, 'rekey');
      sendWhenConfirmed(cx, child);
      return;
    }
    replace(cx, old, child);
    sendWhenConfirmed(cx, child);
  };
  // Deleted, or rekeyed once more since: then this one comes too late.
  const stillWanted = (): boolean => isCurrent(old.replacedBy ?? old);
  return respondWithChild(cx, sa, request, [old.config], made, stillWanted);
}

/** @throws Failure CHILD_SA_NOT_FOUND with the SPI that the peer named (RFC 7296 §2.25) */
function rekeyed(sa: IkeSa, { protocol, spi }: NotifyPayload): ChildSa {
  const isChild = (protocol === PROTOCOL.ESP || protocol === PROTOCOL.AH) && spi.length === 4;
  const number = isChild ? new DataView(spi.buffer, spi.byteOffset, 4).getUint32(0) : 0;
  const old = isChild ? findByPeerSpi(sa, protocol, number) : undefined;
  if (old === undefined) {
    // It may be the one whose making we wait to hear of.
    if (awaitsChild(sa)) throw new Failure('ERR_TEMPORARY', 'a child SA is being created', NOTIFY.TEMPORARY_FAILURE);
    throw new Failure(
      'ERR_CHILD_SA_NOT_FOUND',
      `the peer rekeys ${spiText(number)}, which is no child here`,
      NOTIFY.CHILD_SA_NOT_FOUND,
    );
  }
  return old;
}
