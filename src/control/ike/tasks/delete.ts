/**
 * Deletion of an IKE SA or of child SAs (RFC 7296 §1.4.1, §2.25), begun by either side:
 *
 *   HDR, SK {D(IKE)} -->
 *                    <-- HDR, SK {}
 *
 *   HDR, SK {D(ESP | AH)+} -->
 *                          <-- HDR, SK {[D(ESP | AH)+]}
 *
 * A D payload names the inbound SPIs of its sender. The answer names ours of the same children, but
 * not of those that we are deleting ourselves.
 */

import { type ChildSa, spiText } from '../../child/child-sa.ts';
import { announceHeir, removeChild } from '../../child/install.ts';
import { EXCHANGE, PROTOCOL } from '../../wire/iana.ts';
import { findAll } from '../../wire/message.ts';
import type { DeletePayload } from '../../wire/payloads/delete.ts';
import type { Payload } from '../../wire/payloads/index.ts';
import type { Context } from '../context.ts';
import type { Cause } from '../failure.ts';
import { because, destroy } from '../lifecycle.ts';
import { type IkeSa, newest } from '../sa.ts';
import { isInstalled } from '../states.ts';
import { inherit } from '../succession.ts';
import type { Answer, Progress, Task } from '../task.ts';

/** More early deletions than requests of ours no honest peer makes. */
const MAX_DELETED_EARLY = 32;

const deletePayload = (protocol: number, spis: readonly number[]): DeletePayload => ({ kind: 'D', protocol, spis });

/** Deletes the IKE SA; its children go with it. */
export class DeleteIke implements Task {
  readonly name = 'deletion of the IKE SA';
  readonly exchange = EXCHANGE.INFORMATIONAL;
  readonly exclusive = true;
  private readonly cause: Cause;
  private readonly reason: string;

  constructor(cause: Cause, reason: string) {
    this.cause = cause;
    this.reason = reason;
  }

  build(): Payload[] {
    return [deletePayload(PROTOCOL.IKE, [])];
  }

  process(cx: Context, sa: IkeSa): Progress {
    destroy(cx, sa, this.cause, because('ERR_DELETED', this.reason));
    return 'done';
  }
}

/**
 * Deletes one child SA. Whoever wants a child gone means those that have taken over from it, too; a
 * lifetime is a child's own.
 */
export class DeleteChild implements Task {
  readonly name: string;
  readonly subject: string;
  readonly exchange = EXCHANGE.INFORMATIONAL;
  readonly exclusive = false;
  readonly child: ChildSa;
  private readonly cause: Cause;
  private readonly reason: string;
  private targets: readonly ChildSa[] = [];

  constructor(child: ChildSa, cause: Cause, reason: string) {
    this.name = `deletion of child ${child.text}`;
    this.subject = child.config.name;
    this.child = child;
    this.cause = cause;
    this.reason = reason;
  }

  build(_cx: Context, _sa: IkeSa): Payload[] | undefined {
    const chain = [this.child];
    if (this.cause !== 'replaced' && this.cause !== 'expired')
      for (let next = this.child.replacedBy; next !== undefined; next = next.replacedBy) chain.push(next);
    this.targets = chain.filter(({ state }) => isInstalled(state));
    if (this.targets.length === 0) return undefined;
    for (const child of this.targets) child.state = 'DELETING';
    const spis = this.targets.map(({ agreement }) => agreement.spiIn);
    return [deletePayload(this.child.protocol, spis)];
  }

  process(cx: Context): Progress {
    for (const child of this.targets) {
      // Its time was up while it was being rekeyed: what the peer sent before it heard of that is still welcome.
      const isSuperseded = this.cause === 'expired' && child.replacedBy !== undefined;
      removeChild(cx, child, isSuperseded ? 'replaced' : this.cause, this.reason);
    }
    return 'done';
  }
}

/** @returns whether we delete a child, be it that the request still waits for the window */
export const isBeingDeleted = (child: ChildSa): boolean =>
  !isInstalled(child.state) || child.owner.queue.some((task) => task instanceof DeleteChild && task.child === child);

/** Deletes at the peer what we did not take: an answer that was not what we had asked for. */
export class DeleteUnwanted implements Task {
  readonly name = 'deletion of a child that was not installed';
  readonly exchange = EXCHANGE.INFORMATIONAL;
  readonly exclusive = false;
  /** It is about a child, so it goes over to a rekeyed IKE SA. */
  readonly subject: string;
  private readonly protocol: number;
  private readonly spi: number;

  /** @param spi our inbound SPI, which stays reserved until the peer has let go */
  constructor(subject: string, protocol: number, spi: number) {
    this.subject = subject;
    this.protocol = protocol;
    this.spi = spi;
  }

  build(): Payload[] {
    return [deletePayload(this.protocol, [this.spi])];
  }

  process(cx: Context): Progress {
    this.abandon(cx);
    return 'done';
  }

  abandon(cx: Context): void {
    cx.environment.releaseSpi(this.spi);
  }
}

/** @returns whether an answer is awaited that may bring a child */
export const awaitsChild = (sa: IkeSa): boolean =>
  [...sa.window.outstanding.values()].some(
    ({ task }) => task.subject !== undefined && task.exchange !== EXCHANGE.INFORMATIONAL,
  );

/** @returns the child whose outbound SPI is the one that the peer's Delete names */
export function findByPeerSpi(sa: IkeSa, protocol: number, spi: number): ChildSa | undefined {
  return [...sa.children.values()].find(
    (child) => child.protocol === protocol && child.agreement.spiOut === spi && child.state !== 'DELETED',
  );
}

/** @returns whether a request deletes the IKE SA itself */
export const deletesIke = (payloads: readonly Payload[]): boolean =>
  findAll(payloads, 'D').some(({ protocol }) => protocol === PROTOCOL.IKE);

/** The peer deletes the IKE SA: answered with nothing inside, whatever we were doing (RFC 7296 §2.25.2). */
export function respondDeleteIke(cx: Context, sa: IkeSa): Answer {
  // Our own rekeying is forgotten; what the peer's made takes over (RFC 7296 §2.25.2).
  const rival = sa.rivalSuccessor;
  if (rival !== undefined && rival.state === 'PASSIVE') inherit(cx, sa, rival);
  const cause = sa.replacedBy === undefined && sa.state !== 'PASSIVE' ? 'peer' : 'replaced';
  return { payloads: [], after: () => destroy(cx, sa, cause, because('ERR_DELETED', 'the peer deleted it')) };
}

/**
 * The peer deletes what its rekeying made while ours is under way: it has seen ours, which won, and we
 * go on with the old child until we see it too (RFC 7296 §2.8.1).
 */
function giveWay(cx: Context, child: ChildSa): void {
  const old = [...child.owner.children.values()].find(
    ({ replacedBy, state }) => replacedBy === child && state === 'REKEYING',
  );
  if (old === undefined || child.replacedBy !== undefined) return;
  old.replacedBy = undefined;
  child.replacedBy = old;
  announceHeir(cx, child, old);
}

/** The peer deletes children. */
export function respondDeleteChildren(cx: Context, sa: IkeSa, payloads: readonly Payload[]): Answer {
  const spis = new Map<number, number[]>();
  for (const { protocol, spis: named } of findAll(payloads, 'D')) {
    for (const spi of named) {
      const child = findByPeerSpi(newest(sa), protocol, spi);
      if (child === undefined) {
        cx.log('debug', `the peer deletes ${spiText(spi)}, which is no child here`, sa.connection.name);
        // The answer that would tell us of it may still be on its way.
        if (awaitsChild(sa) && sa.deletedEarly.size < MAX_DELETED_EARLY) sa.deletedEarly.add(spi);
        continue;
      }
      // RFC 7296 §1.4.1: deletions that cross each other are not answered with each other.
      const crossing = child.state === 'DELETING';
      giveWay(cx, child);
      removeChild(cx, child, child.replacedBy === undefined ? 'peer' : 'replaced', 'the peer deleted it');
      if (!crossing) spis.set(protocol, [...(spis.get(protocol) ?? []), child.agreement.spiIn]);
    }
  }
  return { payloads: [...spis].map(([protocol, ours]) => deletePayload(protocol, ours)) };
}
