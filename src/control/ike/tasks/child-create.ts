/**
 * CREATE_CHILD_SA for another child SA (RFC 7296 §1.3.1):
 *
 *   HDR, SK {[N(USE_TRANSPORT_MODE),] SA, Ni, [KEi,] TSi, TSr} -->
 *             <-- HDR, SK {[N(USE_TRANSPORT_MODE),] SA, Nr, [KEr,] TSi, TSr}
 *              or HDR, SK {N(INVALID_KE_PAYLOAD) | N(NO_PROPOSAL_CHOSEN) | N(TS_UNACCEPTABLE) | …}
 */
import type { ChildSa } from '../../child/child-sa.ts';
import { announceChild } from '../../child/install.ts';
import { NOTIFY } from '../../wire/iana.ts';
import type { Payload } from '../../wire/payloads/index.ts';
import type { Context } from '../context.ts';
import { enqueue } from '../exchange.ts';
import type { Failure } from '../failure.ts';
import { type IkeSa, newest, type WantedChild } from '../sa.ts';
import { isUsable } from '../states.ts';
import { CREATE_AGAIN } from '../succession.ts';
import type { Answer, Received } from '../task.ts';
import { reportChildFailure } from './child-advice.ts';
import { ChildExchange, respondWithChild } from './child-exchange.ts';

/** TEMPORARY_FAILURE: the peer is rekeying or so; it has this long for it (RFC 7296 §2.25). */
const RETRY_PAUSE = 2_000;
const MAX_RETRIES = 10;

export class ChildCreate extends ChildExchange {
  readonly name: string;
  private readonly tries: number;

  constructor(wanted: WantedChild, tries = 0) {
    super(wanted);
    this.name = `creation of child "${wanted.config.name}"`;
    this.tries = tries;
  }

  protected isWanted(): boolean {
    return true;
  }

  protected prelude(): Payload[] {
    return [];
  }

  protected succeeded(cx: Context, _sa: IkeSa, child: ChildSa): void {
    cx.policies.use(child);
    announceChild(cx, child);
  }

  protected refused(cx: Context, sa: IkeSa, failure: Failure, notify?: number): void {
    if (notify === NOTIFY.TEMPORARY_FAILURE && this.tries < MAX_RETRIES) {
      this.retry(cx, sa, this.wanted);
      return;
    }
    // RFC 7296 §2.9: a peer that takes single pairs only is asked for that of the packet alone.
    if (notify === NOTIFY.SINGLE_PAIR_REQUIRED && this.wanted.packet !== undefined && !this.wanted.packetOnly) {
      enqueue(cx, sa, new ChildCreate({ ...this.wanted, packetOnly: true }, this.tries));
      return;
    }
    reportChildFailure(cx, sa, this.wanted.config, failure);
  }

  private retry(cx: Context, sa: IkeSa, wanted: WantedChild): void {
    const purpose = `${CREATE_AGAIN}${wanted.config.name}`;
    cx.log('debug', `${this.name}: the peer is busy, trying again soon`, sa.connection.name);
    sa.creating.add(wanted.config.name);
    cx.setTimer(sa, purpose, cx.now + RETRY_PAUSE + cx.randomBelow(RETRY_PAUSE), () => {
      const successor = newest(sa);
      sa.creating.delete(wanted.config.name);
      if (isUsable(successor.state)) enqueue(cx, successor, new ChildCreate(wanted, this.tries + 1));
    });
  }
}

/** The peer wants another child. */
export function respondChildCreate(cx: Context, sa: IkeSa, request: Received): Answer {
  return respondWithChild(cx, sa, request, sa.connection.children, (child) => {
    cx.policies.use(child);
    announceChild(cx, child);
  });
}
