/**
 * What the creation and the rekeying of a child SA have in common (RFC 7296 §1.3.1, §1.3.3):
 *
 *   HDR, SK {…, SA, Ni, [KEi,] TSi, TSr} -->
 *             <-- HDR, SK {…, SA, Nr, [KEr,] TSi, TSr}
 *              or HDR, SK {N(INVALID_KE_PAYLOAD)}: once more with another KEi
 */
import type { ChildAgreement, ChildSa } from '../../child/child-sa.ts';
import { installChild } from '../../child/install.ts';
import { deriveChildKeys } from '../../child/keymat.ts';
import { acceptChild, answerChild, type ChildOffer, offerChild } from '../../child/negotiation.ts';
import type { ChildConfig } from '../../config/model.ts';
import { wipe } from '../../crypto/secret.ts';
import { additionalMethods, keMethod } from '../../proposals/select.ts';
import { EXCHANGE, NOTIFY, PROTOCOL } from '../../wire/iana.ts';
import { find } from '../../wire/message.ts';
import type { Payload } from '../../wire/payloads/index.ts';
import type { NotifyPayload } from '../../wire/payloads/notify.ts';
import type { Transform } from '../../wire/payloads/sa.ts';
import type { Context } from '../context.ts';
import { enqueue } from '../exchange.ts';
import { Failure, peerFailure } from '../failure.ts';
import { NONCE_LENGTH } from '../keying.ts';
import { errorNotify } from '../rules.ts';
import type { IkeSa, WantedChild } from '../sa.ts';
import { isUsable } from '../states.ts';
import type { Answer, Progress, Received, Task } from '../task.ts';
import { childAdvice } from './child-advice.ts';
import { DeleteUnwanted } from './delete.ts';
import { expectFollowup } from './followup-ke.ts';
import { InitiatorKeys } from './initiator-keys.ts';

const WITH_KE = { withoutKe: false };

/** RFC 7296 §2.8.1: "lowest" compares octet by octet, and the end of a nonce is lower than anything. */
export const lowerNonce = (a: Uint8Array, b: Uint8Array): Uint8Array => (Buffer.compare(a, b) <= 0 ? a : b);

/** @returns ESP or AH, whichever the answer is about */
export const protocolOf = (payloads: readonly Payload[]): number =>
  find(payloads, 'SA')?.proposals[0]?.protocol === PROTOCOL.AH ? PROTOCOL.AH : PROTOCOL.ESP;

/** The initiator's half. */
export abstract class ChildExchange implements Task {
  abstract readonly name: string;
  readonly subject: string;
  exchange: number = EXCHANGE.CREATE_CHILD_SA;
  readonly exclusive = false;
  protected asked: ChildOffer | undefined;
  protected readonly wanted: WantedChild;
  private readonly config: ChildConfig;
  private readonly keys = new InitiatorKeys();
  private method: number;
  private nonceI: Uint8Array = new Uint8Array();
  private nonceR: Uint8Array = new Uint8Array();
  private agreed: { readonly agreement: ChildAgreement; readonly transforms: readonly Transform[] } | undefined;

  /** @param method of the key exchange before, likely to suit again; 0 for none */
  constructor(wanted: WantedChild, method = 0) {
    const { config } = wanted;
    this.wanted = wanted;
    this.config = config;
    this.subject = config.name;
    this.method = method || keMethod(config.proposals[0]?.transforms ?? []);
  }

  /** @returns whether there is still something to do */
  protected abstract isWanted(sa: IkeSa): boolean;
  /** There is nothing to do, or no more. */
  protected abstract notNeeded(cx: Context, sa: IkeSa): void;
  /** The answer is here: @returns why it comes too late, if it does */
  protected tooLate(sa: IkeSa): string | undefined {
    return sa.state === 'DELETING' ? 'the IKE SA is being deleted' : undefined;
  }

  /** Notifications that say what it is for. */
  protected abstract prelude(): Payload[];
  /** The child is there, not yet sending. */
  protected abstract succeeded(cx: Context, sa: IkeSa, child: ChildSa): void;
  /** @param notify the peer's, if it was the peer who refused; the SPI is released already */
  protected abstract refused(cx: Context, sa: IkeSa, failure: Failure, notify?: number): void;

  build(cx: Context, sa: IkeSa): Payload[] | undefined {
    if (this.exchange === EXCHANGE.IKE_FOLLOWUP_KE) return this.keys.followup(cx);
    if (!isUsable(sa.state) || !this.isWanted(sa)) {
      // With another group, asked a second time.
      if (this.asked !== undefined) this.release(cx, sa);
      this.notNeeded(cx, sa);
      return undefined;
    }
    sa.creating.add(this.config.name);
    if (this.asked !== undefined) cx.environment.releaseSpi(this.asked.spiIn);
    const { offer, payloads } = offerChild(cx, sa, this.wanted, WITH_KE);
    this.asked = offer;
    this.nonceI = Uint8Array.from(cx.crypto.random(NONCE_LENGTH));
    const ke = this.keys.start(cx, this.method);
    return [...this.prelude(), ...payloads, { kind: 'NONCE', data: this.nonceI }, ...ke];
  }

  process(cx: Context, sa: IkeSa, { payloads }: Received): Progress {
    const error = errorNotify(payloads);
    if (error !== undefined) return this.processError(cx, sa, error);
    try {
      this.accept(sa, payloads);
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      this.reject(cx, sa, payloads, failure);
      return 'done';
    }
    if (this.keys.hasMore) {
      this.exchange = EXCHANGE.IKE_FOLLOWUP_KE;
      return 'again';
    }
    this.finish(cx, sa);
    return 'done';
  }

  abandon(cx: Context, sa: IkeSa): void {
    this.release(cx, sa);
  }

  private accept(sa: IkeSa, payloads: readonly Payload[]): void {
    const reason = this.tooLate(sa);
    if (reason !== undefined) throw new Failure('ERR_CANCELLED', reason);
    if (this.exchange === EXCHANGE.IKE_FOLLOWUP_KE) {
      this.keys.acceptFollowup(payloads);
    } else {
      this.agreed = acceptChild(sa, this.asked!, payloads, WITH_KE);
      this.nonceR = find(payloads, 'NONCE')!.data;
      this.keys.accept(payloads, this.agreed.agreement.ke);
      this.keys.plan(additionalMethods(this.agreed.transforms), payloads);
    }
    if (sa.deletedEarly.delete(this.agreed!.agreement.spiOut)) {
      throw new Failure('ERR_DELETED', 'the peer deleted the child before we heard of it');
    }
  }

  private finish(cx: Context, sa: IkeSa): void {
    const { agreement } = this.agreed!;
    const { nonceI, nonceR } = this;
    const { secret, additional } = this.keys;
    const inputs = { nonceI, nonceR, ...(secret && { secret }), additional };
    const keys = deriveChildKeys(sa.algorithms!.prf, sa.keys!.d, agreement.suite, inputs);
    this.asked = undefined;
    this.release(cx, sa);
    const child = installChild(cx, sa, { config: this.config, agreement, keys, initiator: true, send: false });
    child.lowestNonce = lowerNonce(nonceI, nonceR);
    child.origin = { madeByUs: child.madeByUs, lowestNonce: child.lowestNonce };
    this.succeeded(cx, sa, child);
  }

  private processError(cx: Context, sa: IkeSa, error: NotifyPayload): Progress {
    if (error.notify === NOTIFY.INVALID_KE_PAYLOAD && this.exchange === EXCHANGE.CREATE_CHILD_SA) {
      try {
        this.method = this.keys.otherMethod(error, this.asked!.proposals);
        return 'again';
      } catch (failure) {
        if (!(failure instanceof Failure)) throw failure;
        this.release(cx, sa);
        this.refused(cx, sa, failure);
        return 'done';
      }
    }
    const failure = peerFailure(error, childAdvice(this.asked!, error.notify));
    this.release(cx, sa);
    this.refused(cx, sa, failure, error.notify);
    return 'done';
  }

  /** The peer has installed what we do not take, so it is deleted there. */
  private reject(cx: Context, sa: IkeSa, payloads: readonly Payload[], failure: Failure): void {
    const { spiIn } = this.asked!;
    const protocol = protocolOf(payloads);
    this.asked = undefined;
    this.release(cx, sa);
    enqueue(cx, sa, new DeleteUnwanted(this.subject, protocol, spiIn));
    this.refused(cx, sa, failure);
  }

  private release(cx: Context, sa: IkeSa): void {
    sa.creating.delete(this.config.name);
    sa.unwanted.delete(this.config.name);
    if (this.asked !== undefined) cx.environment.releaseSpi(this.asked.spiIn);
    this.asked = undefined;
    this.keys.destroy();
  }
}

/**
 * The responder's half: agrees, exchanges keys, and installs; the inbound SA is there before the
 * answer goes out.
 * @param made what to do with the child once it is installed; runs before the answer goes out
 * @param stillWanted asked again when additional key exchanges are over
 */
export function respondWithChild(
  cx: Context,
  sa: IkeSa,
  { payloads }: Received,
  configs: readonly ChildConfig[],
  made: (child: ChildSa) => void,
  stillWanted: () => boolean = () => true,
): Answer {
  const ke = find(payloads, 'KE');
  const negotiated = answerChild(cx, sa, configs, payloads, { ...WITH_KE, ...(ke && { preferKe: ke.method }) });
  const { config, agreement, transforms } = negotiated;
  const nonceI = find(payloads, 'NONCE')!.data;
  const nonceR = cx.crypto.random(NONCE_LENGTH);
  const answer: Payload[] = [...negotiated.payloads, { kind: 'NONCE', data: nonceR }];
  let secret: Uint8Array | undefined;
  try {
    secret = respondKe(cx, ke, agreement.ke, answer);
  } catch (error) {
    cx.environment.releaseSpi(agreement.spiIn);
    throw error;
  }
  const install = (additional: readonly Uint8Array[]): void => {
    const inputs = { nonceI, nonceR, ...(secret && { secret }), additional };
    const keys = deriveChildKeys(sa.algorithms!.prf, sa.keys!.d, agreement.suite, inputs);
    wipe(secret);
    const child = installChild(cx, sa, { config, agreement, keys, initiator: false, send: false });
    child.lowestNonce = lowerNonce(nonceI, nonceR);
    child.origin = { madeByUs: child.madeByUs, lowestNonce: child.lowestNonce };
    made(child);
  };
  const methods = additionalMethods(transforms);
  if (methods.length === 0) {
    install([]);
    return { payloads: answer };
  }
  const abandon = (): void => {
    wipe(secret);
    cx.environment.releaseSpi(agreement.spiIn);
  };
  const link = expectFollowup(cx, sa, {
    methods,
    secrets: [],
    rekeysIke: false,
    finish: (secrets) => {
      if (!stillWanted()) {
        abandon();
        throw new Failure('ERR_STATE_NOT_FOUND', 'what was to be rekeyed is gone', NOTIFY.STATE_NOT_FOUND);
      }
      // No child is made any more that would go at once (RFC 7296 §2.25.2): with it would go the policies
      // that a connection changed meanwhile has under the same name.
      if (sa.state === 'DELETING') {
        abandon();
        throw new Failure('ERR_TEMPORARY', 'this IKE SA is on its way out', NOTIFY.TEMPORARY_FAILURE);
      }
      install(secrets);
      return () => undefined;
    },
    abandon,
  });
  return { payloads: [...answer, link] };
}

/**
 * Does the responder's half of a key exchange and adds its KE payload.
 * @returns the secret; undefined if none was agreed
 * @throws Failure INVALID_KE_PAYLOAD if the initiator guessed another method (RFC 7296 §1.3)
 */
export function respondKe(
  cx: Context,
  ke: Extract<Payload, { kind: 'KE' }> | undefined,
  method: number,
  answer: Payload[],
): Uint8Array | undefined {
  if (method === 0) return undefined;
  if (ke?.method !== method) {
    const data = Uint8Array.of(method >> 8, method & 0xff);
    const message = `the peer guessed key exchange method ${ke?.method ?? 0}, we want ${method}`;
    throw new Failure('ERR_INVALID_KE', message, NOTIFY.INVALID_KE_PAYLOAD, data);
  }
  const { publicValue, secret } = cx.crypto.keyExchange(method)!.respond(ke.data);
  answer.push({ kind: 'KE', method, data: publicValue });
  return secret;
}
