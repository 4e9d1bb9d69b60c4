/**
 * CREATE_CHILD_SA for another child SA (RFC 7296 §1.3.1):
 *
 *   HDR, SK {[N(USE_TRANSPORT_MODE),] SA, Ni, [KEi,] TSi, TSr} -->
 *             <-- HDR, SK {[N(USE_TRANSPORT_MODE),] SA, Nr, [KEr,] TSi, TSr}
 *              or HDR, SK {N(INVALID_KE_PAYLOAD) | N(NO_PROPOSAL_CHOSEN) | N(TS_UNACCEPTABLE) | …}
 */
import { type ChildSa, isCurrent, standsFor } from '../../child/child-sa.ts';
import { announceChild, announceHeir } from '../../child/install.ts';
import { retire, sendWhenConfirmed } from '../../child/lifetime.ts';
import { takesPacket } from '../../child/narrowing.ts';
import { NOTIFY } from '../../wire/iana.ts';
import type { Payload } from '../../wire/payloads/index.ts';
import type { Context } from '../context.ts';
import { enqueue } from '../exchange.ts';
import type { Failure } from '../failure.ts';
import { pauseOfChild } from '../patience.ts';
import { type IkeSa, newest, type WantedChild } from '../sa.ts';
import { isUsable } from '../states.ts';
import { CREATE_AGAIN } from '../succession.ts';
import type { Answer, Received } from '../task.ts';
import { reportChildFailure } from './child-advice.ts';
import { ChildExchange, respondWithChild } from './child-exchange.ts';
import { deleteRedundant, deleteWhenConfirmed } from './redundant.ts';

/** TEMPORARY_FAILURE: the peer is rekeying or so, but not for ever (RFC 7296 §2.25). */
const MAX_RETRIES = 10;

/** Asks for a child as soon as the window lets us; until then it counts as being made. */
export function requestChild(cx: Context, sa: IkeSa, wanted: WantedChild, tries = 0): void {
  sa.creating.add(wanted.config.name);
  sa.unwanted.delete(wanted.config.name);
  enqueue(cx, sa, new ChildCreate(wanted, tries));
}

class ChildCreate extends ChildExchange {
  readonly name: string;
  private readonly tries: number;

  constructor(wanted: WantedChild, tries = 0) {
    super(wanted);
    this.name = `creation of child "${wanted.config.name}"`;
    this.tries = tries;
  }

  protected isWanted(sa: IkeSa): boolean {
    return !sa.unwanted.delete(this.subject);
  }

  protected notNeeded(_cx: Context, sa: IkeSa): void {
    sa.creating.delete(this.subject);
  }

  protected override tooLate(sa: IkeSa): string | undefined {
    return sa.unwanted.has(this.subject) ? 'it was taken down before it was up' : super.tooLate(sa);
  }

  protected prelude(): Payload[] {
    return [];
  }

  protected succeeded(cx: Context, sa: IkeSa, child: ChildSa): void {
    install(cx, sa, child);
    // Asked for a packet that none took, the peer has narrowed it to what is up already (RFC 7296 §2.9).
    const before = this.wanted.packet && [...sa.children.values()].find((other) => isSameOfOurs(other, child));
    if (before !== undefined) dropRepetition(cx, child, before);
  }

  protected refused(cx: Context, sa: IkeSa, failure: Failure, notify?: number): void {
    if (notify === NOTIFY.TEMPORARY_FAILURE && this.tries < MAX_RETRIES) {
      this.retry(cx, sa, this.wanted);
      return;
    }
    // RFC 7296 §2.9: a peer that takes single pairs only is asked for that of the packet alone.
    if (notify === NOTIFY.SINGLE_PAIR_REQUIRED && this.wanted.packet !== undefined && !this.wanted.packetOnly) {
      requestChild(cx, sa, { ...this.wanted, packetOnly: true }, this.tries);
      return;
    }
    reportChildFailure(cx, sa, this.wanted.config, failure);
  }

  private retry(cx: Context, sa: IkeSa, wanted: WantedChild): void {
    const purpose = `${CREATE_AGAIN}${wanted.config.name}`;
    cx.log('debug', `${this.name}: the peer is busy, trying again soon`, sa.connection.name);
    sa.creating.add(wanted.config.name);
    cx.setTimer(sa, purpose, cx.now + pauseOfChild(cx, sa), () => {
      const successor = newest(sa);
      for (const each of [sa, successor]) each.creating.delete(wanted.config.name);
      if (successor.unwanted.delete(wanted.config.name)) return;
      // The peer may have made it meanwhile.
      if (isUsable(successor.state) && !isUp(successor, wanted)) requestChild(cx, successor, wanted, this.tries + 1);
    });
  }
}

const isUp = (sa: IkeSa, { config, packet }: WantedChild): boolean =>
  [...sa.children.values()].some(
    (child) =>
      child.config.name === config.name &&
      isCurrent(child) &&
      (packet === undefined || takesPacket(child.agreement, packet)),
  );

/** The child of either side's exchange is there: puts it to use, unless there are more of it now. */
function install(cx: Context, sa: IkeSa, child: ChildSa): void {
  const twins = childTwins(sa, child);
  if (twins.length === 0) cx.policies.use(child);
  announceChild(cx, child);
  // One that went against the first may be what the second goes against: the peer asked again in between.
  for (const twin of twins) if (isCurrent(child)) dropDuplicate(cx, child, twin);
}

/** @returns those that the other side made of the same child, or what has come from them by rekeying */
const childTwins = (sa: IkeSa, child: ChildSa): ChildSa[] =>
  [...sa.children.values()].filter(
    (other) => other !== child && other.origin.madeByUs !== child.madeByUs && standsFor(other, child),
  );

const isSameOfOurs = (other: ChildSa, child: ChildSa): boolean =>
  other !== child && other.origin.madeByUs && standsFor(other, child);

/** It can receive until the peer has let go of it: no packet is lost. */
function dropRepetition(cx: Context, child: ChildSa, before: ChildSa): void {
  child.isRedundant = true;
  retire(cx, child, before);
  announceHeir(cx, child, before);
  cx.policies.use(before);
  deleteRedundant(cx, child, 'the peer gives no more than is up');
}

/**
 * Both sides may make the same child at once, as they may rekey it at once; the same rule decides, so
 * that one is left: the one with the lowest nonce goes, by whoever made it (RFC 7296 §2.8.1). The peer may
 * have rekeyed its own by the time we hear of ours: it counts as what it has come from.
 */
function dropDuplicate(cx: Context, child: ChildSa, twin: ChildSa): void {
  const isLower = Buffer.compare(child.origin.lowestNonce, twin.origin.lowestNonce) < 0;
  const [loser, winner] = isLower ? [child, twin] : [twin, child];
  if (!loser.origin.madeByUs) {
    cx.policies.use(winner);
    return;
  }
  loser.isRedundant = true;
  retire(cx, loser, winner);
  announceHeir(cx, loser, winner);
  cx.policies.use(loser);
  sendWhenConfirmed(cx, winner);
  deleteWhenConfirmed(cx, loser, 'both sides made it');
}

/** The peer wants another child. */
export function respondChildCreate(cx: Context, sa: IkeSa, request: Received): Answer {
  return respondWithChild(cx, sa, request, sa.connection.children, (child) => install(cx, sa, child));
}
