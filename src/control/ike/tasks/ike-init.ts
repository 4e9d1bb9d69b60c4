/**
 * IKE_SA_INIT (RFC 7296 §1.2, §2.6, §2.7, §2.23), by its initiator:
 *
 *   HDR, [N(COOKIE),] SAi1, KEi, Ni, N(NAT_DETECTION_*)+ -->
 *                  <-- HDR, SAr1, KEr, Nr, N(NAT_DETECTION_*)+, [CERTREQ]
 *                   or HDR, N(COOKIE) | N(INVALID_KE_PAYLOAD): once more
 *                   or HDR, N(error): believed only if nothing better comes, as is all that leads nowhere
 *
 * The responder's half is `ike-init-respond.ts`: it works without an SA.
 */
import { EspalierError } from '../../../errors.ts';
import { additionalMethods, checkAnswer, keMethod, offer } from '../../proposals/select.ts';
import { equalBytes } from '../../wire/bytes.ts';
import { EXCHANGE, NOTIFY, notifyName, TRANSFORM } from '../../wire/iana.ts';
import { find, findAll, findNotify, type ParsedMessage } from '../../wire/message.ts';
import type { Payload } from '../../wire/payloads/index.ts';
import { type NotifyPayload, notification } from '../../wire/payloads/notify.ts';
import type { Transform } from '../../wire/payloads/sa.ts';
import { wantsIntermediate } from '../choose.ts';
import type { Context } from '../context.ts';
import { enqueue } from '../exchange.ts';
import { Failure, peerFailure } from '../failure.ts';
import { featureNotifies, noteFeatures } from '../features.ts';
import type { SealedMessage } from '../fragment.ts';
import { keyInitial, NONCE_LENGTH } from '../keying.ts';
import { destroy } from '../lifecycle.ts';
import { findNat, natDetection } from '../nat.ts';
import { errorNotify } from '../rules.ts';
import type { IkeSa } from '../sa.ts';
import type { Progress, Received, Task } from '../task.ts';
import { IkeAuth } from './ike-auth.ts';
import { IkeIntermediate } from './ike-intermediate.ts';

/** Cookies and groups asked for one after the other before we give up. */
const MAX_RETRIES = 6;
/** A forged error must not beat the genuine answer: errors are believed after this many milliseconds. */
const ERROR_HOLD = 1_000;
/** NAT-T: 500 becomes 4500 (RFC 7296 §2.23). */
const IKE_PORT = 500;
const NAT_T_PORT = 4500;

/** What a usable answer has settled. */
interface Agreed {
  readonly transforms: readonly Transform[];
  readonly secret: Uint8Array;
}

export class IkeInit implements Task {
  readonly name = 'IKE_SA_INIT';
  readonly exchange = EXCHANGE.IKE_SA_INIT;
  readonly exclusive = true;
  private cookie: Uint8Array | undefined;
  private method = 0;
  private retries = 0;
  /** What the answer that `heeds` has taken leads to. */
  private step: (() => Progress) | undefined;

  build(cx: Context, sa: IkeSa): Payload[] {
    const { connection } = sa;
    sa.state = 'CONNECTING';
    const proposals = offer(connection.proposals, new Uint8Array());
    if (sa.handshake === undefined) this.begin(cx, sa, proposals);
    const handshake = sa.handshake!;
    const payloads: Payload[] = [
      { kind: 'SA', proposals },
      { kind: 'KE', method: this.method, data: handshake.ke!.publicValue },
      { kind: 'NONCE', data: handshake.nonceI },
      ...natDetection(cx.crypto, sa, sa.local, sa.remote, connection.encap),
      ...featureNotifies(sa),
    ];
    if (this.cookie !== undefined) payloads.push(notification(NOTIFY.COOKIE, this.cookie));
    if (wantsIntermediate(connection)) payloads.push(notification(NOTIFY.INTERMEDIATE_EXCHANGE_SUPPORTED));
    if (connection.ppk !== undefined) payloads.push(notification(NOTIFY.USE_PPK));
    return payloads;
  }

  sent(sa: IkeSa, { datagrams }: SealedMessage): void {
    sa.handshake!.initRequest = datagrams[0]!;
  }

  /** Nothing proves who sent an answer. One that leads nowhere ends the attempt only if nothing better comes (RFC 7296 §2.21.1). */
  heeds(cx: Context, sa: IkeSa, response: Received): boolean {
    try {
      this.step = this.weigh(cx, sa, response);
    } catch (error) {
      if (!(error instanceof EspalierError)) throw error;
      holdError(cx, sa, error);
      return false;
    }
    if (this.step !== undefined) cx.clearTimer(sa, 'init-error');
    return this.step !== undefined;
  }

  process(): Progress {
    return this.step!();
  }

  /**
   * @returns what comes of an answer; undefined if it has come before
   * @throws EspalierError if it leads nowhere
   */
  private weigh(cx: Context, sa: IkeSa, { message, payloads }: Received): (() => Progress) | undefined {
    const error = errorNotify(payloads);
    if (error?.notify === NOTIFY.INVALID_KE_PAYLOAD) return this.useGroup(cx, sa, error);
    if (error !== undefined) throw refusal(sa, error);
    const cookie = findNotify(payloads, NOTIFY.COOKIE);
    if (cookie !== undefined && find(payloads, 'SA') === undefined) return this.useCookie(sa, cookie);
    return this.accept(cx, sa, message);
  }

  private begin(cx: Context, sa: IkeSa, offered: ReturnType<typeof offer>): void {
    sa.handshake = {
      begunAt: cx.now,
      nonceI: cx.crypto.random(NONCE_LENGTH),
      nonceR: new Uint8Array(),
      initRequest: new Uint8Array(),
      initResponse: new Uint8Array(),
      offered,
      ke: undefined,
      additional: [],
      intAuthI: undefined,
      intAuthR: undefined,
      authMessageId: 1,
      certRequests: [],
    };
    this.startKe(cx, sa, keMethod(offered[0]!.transforms));
  }

  private startKe(cx: Context, sa: IkeSa, method: number): void {
    const exchange = cx.crypto.keyExchange(method);
    if (exchange === undefined) throw new Failure('ERR_UNSUPPORTED', `no key exchange has the number ${method}`);
    sa.handshake!.ke?.destroy();
    sa.handshake!.ke = exchange.generate();
    this.method = method;
  }

  private retry(sa: IkeSa, prepare: () => void): () => Progress {
    if (this.retries === MAX_RETRIES) {
      throw new Failure('ERR_TOO_MANY_RETRIES', `the peer asked for another IKE_SA_INIT ${MAX_RETRIES} times`);
    }
    return () => {
      this.retries++;
      prepare();
      sa.window.restart();
      return 'again';
    };
  }

  private useCookie(sa: IkeSa, { data }: NotifyPayload): (() => Progress) | undefined {
    if (data.length === 0 || data.length > 64)
      throw new Failure('ERR_BAD_COOKIE', `a cookie has 1 to 64 bytes, not ${data.length}`);
    if (this.cookie !== undefined && equalBytes(data, this.cookie)) return undefined;
    return this.retry(sa, () => {
      this.cookie = data.slice();
    });
  }

  /** The answer to a request that arrived twice asks twice; and a forged one may have had us leave the right group. */
  private useGroup(cx: Context, sa: IkeSa, { data }: NotifyPayload): (() => Progress) | undefined {
    const method = data.length === 2 ? (data[0]! << 8) | data[1]! : 0;
    if (method === this.method) return undefined;
    const offered = sa.handshake!.offered.some(({ transforms }) =>
      transforms.some(({ type, id }) => type === TRANSFORM.KE && id === method),
    );
    if (!offered) {
      throw new Failure('ERR_BAD_GROUP', `the peer asks for key exchange method ${method}, which was not offered`);
    }
    return this.retry(sa, () => {
      cx.log('debug', `the peer wants key exchange method ${method}`, sa.connection.name);
      this.startKe(cx, sa, method);
    });
  }

  private accept(cx: Context, sa: IkeSa, message: ParsedMessage): () => Progress {
    const { header, payloads } = message;
    const chosen = checkAnswer(sa.handshake!.offered, find(payloads, 'SA')!.proposals);
    if ('refusal' in chosen) throw new Failure('ERR_BAD_PROPOSAL', chosen.refusal);
    const { transforms } = chosen;
    const ke = find(payloads, 'KE')!;
    if (ke.method !== this.method || keMethod(transforms) !== this.method) {
      throw new Failure('ERR_BAD_GROUP', `the peer answered with key exchange method ${ke.method}, not ${this.method}`);
    }
    if (header.spiR === 0n) throw new Failure('ERR_BAD_SPI', "the peer's IKE SPI is 0");
    const goesOn = findNotify(payloads, NOTIFY.INTERMEDIATE_EXCHANGE_SUPPORTED) !== undefined;
    if (additionalMethods(transforms).length > 0 && !goesOn) {
      throw new Failure('ERR_BAD_PROPOSAL', 'the peer chose additional key exchanges, but has no IKE_INTERMEDIATE');
    }
    const secret = sa.handshake!.ke!.derive(ke.data);
    return () => {
      this.finish(cx, sa, message, { transforms, secret });
      return 'done';
    };
  }

  private finish(cx: Context, sa: IkeSa, { header, payloads, data }: ParsedMessage, agreed: Agreed): void {
    const handshake = sa.handshake!;
    sa.spiR = header.spiR;
    handshake.initResponse = data.slice();
    handshake.nonceR = find(payloads, 'NONCE')!.data;
    handshake.additional = additionalMethods(agreed.transforms);
    noteFeatures(sa, payloads);
    handshake.certRequests = findAll(payloads, 'CERTREQ');
    handshake.ke!.destroy();
    handshake.ke = undefined;
    keyInitial(cx, sa, agreed.transforms, agreed.secret);
    this.detectNat(cx, sa, payloads);
    enqueue(cx, sa, handshake.additional.length > 0 ? new IkeIntermediate() : new IkeAuth());
  }

  private detectNat(cx: Context, sa: IkeSa, payloads: readonly Payload[]): void {
    const { connection } = sa;
    const nat = findNat(cx.crypto, sa, payloads, sa.local, sa.remote);
    sa.natLocal = nat.supported && (nat.local || connection.encap);
    sa.natRemote = nat.remote;
    // RFC 4555 §3.3: with MOBIKE the change of ports is worth it without a NAT too, as one may appear.
    if (nat.supported && (sa.udpEncapsulation || connection.mobike)) floatPorts(cx, sa);
  }
}

/** Goes on from the ports for NAT traversal (RFC 7296 §2.23). */
function floatPorts(cx: Context, sa: IkeSa): void {
  const { port, portNatT } = cx.config.gateway;
  if (sa.local.port !== port) return;
  sa.local = { ...sa.local, port: portNatT };
  if (sa.remote.port === IKE_PORT) sa.remote = { ...sa.remote, port: NAT_T_PORT };
}

const ADVICE: Readonly<Record<number, string>> = {
  [NOTIFY.NO_PROPOSAL_CHOSEN]:
    'none of our "proposals" suits it, or it has no connection for these addresses; compare both on the two sides',
  [NOTIFY.INVALID_SYNTAX]: 'it could not read our message',
  [NOTIFY.INVALID_MAJOR_VERSION]: 'it speaks another version of IKE',
  [NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD]: 'it did not know a payload of ours',
};

function refusal(sa: IkeSa, error: NotifyPayload): Failure {
  const advice = ADVICE[error.notify] ?? `that is notify ${notifyName(error.notify)}`;
  const offered = sa.connection.proposals.map(({ text }) => text).join(', ');
  return peerFailure(error, error.notify === NOTIFY.NO_PROPOSAL_CHOSEN ? `${advice}; we offered ${offered}` : advice);
}

/** The first of them counts, if nothing better comes. */
function holdError(cx: Context, sa: IkeSa, error: EspalierError): void {
  if (sa.timers.has('init-error')) return;
  cx.setTimer(sa, 'init-error', cx.now + ERROR_HOLD, () => destroy(cx, sa, 'failed', error));
}
