/**
 * The initiator's key exchanges of one CREATE_CHILD_SA and the IKE_FOLLOWUP_KE exchanges behind it
 * (RFC 7296 §1.3, RFC 9370 §2.2.4):
 *
 *   HDR, SK {SA, Ni, KEi, …} -->
 *             <-- HDR, SK {SA, Nr, KEr, …, [N(ADDITIONAL_KEY_EXCHANGE)(link)]}
 *   HDR, SK {KEi(1), N(ADDITIONAL_KEY_EXCHANGE)(link)} -->
 *             <-- HDR, SK {KEr(1), [N(ADDITIONAL_KEY_EXCHANGE)(next link)]}
 */
import type { KeyExchangeInitiator } from '../../crypto/provider.ts';
import { wipe } from '../../crypto/secret.ts';
import { NOTIFY, TRANSFORM } from '../../wire/iana.ts';
import { find, findNotify } from '../../wire/message.ts';
import type { Payload } from '../../wire/payloads/index.ts';
import { type NotifyPayload, notification } from '../../wire/payloads/notify.ts';
import type { Proposal } from '../../wire/payloads/sa.ts';
import type { Context } from '../context.ts';
import { Failure } from '../failure.ts';

export class InitiatorKeys {
  /** Of the KE payload; 0 without one. */
  method = 0;
  /** Shared secret of the first key exchange; undefined without one. */
  secret: Uint8Array | undefined;
  /** Shared secrets of the additional ones, in order. */
  readonly additional: Uint8Array[] = [];
  private current: KeyExchangeInitiator | undefined;
  private remaining: number[] = [];
  private link: NotifyPayload | undefined;
  private readonly tried = new Set<number>();

  /** Begins a key exchange. @returns its KE payload; none for method 0 */
  start(cx: Context, method: number): Payload[] {
    this.current?.destroy();
    this.current = undefined;
    this.method = method;
    this.tried.add(method);
    if (method === 0) return [];
    const exchange = cx.crypto.keyExchange(method);
    if (exchange === undefined) throw new Failure('ERR_UNSUPPORTED', `no key exchange has the number ${method}`);
    this.current = exchange.generate();
    return [{ kind: 'KE', method, data: this.current.publicValue }];
  }

  /** Takes the KE payload of an answer. @throws Failure unless it is of the method that was agreed */
  accept(payloads: readonly Payload[], agreed: number): void {
    const ke = find(payloads, 'KE');
    if (agreed === 0 && ke === undefined) return;
    if (agreed !== this.method || ke?.method !== agreed) {
      throw new Failure(
        'ERR_BAD_GROUP',
        `the peer answered with key exchange method ${ke?.method ?? 0}, not ${this.method}`,
      );
    }
    this.secret = this.derive(ke.data);
  }

  /** What is still to be done, from the answer to CREATE_CHILD_SA. @throws Failure without a link to it */
  plan(methods: readonly number[], payloads: readonly Payload[]): void {
    this.remaining = [...methods];
    this.follow(payloads);
  }

  get hasMore(): boolean {
    return this.remaining.length > 0;
  }

  /** @returns payloads of the next IKE_FOLLOWUP_KE */
  followup(cx: Context): Payload[] {
    const payloads = this.start(cx, this.remaining[0]!);
    return [...payloads, notification(NOTIFY.ADDITIONAL_KEY_EXCHANGE, this.link!.data)];
  }

  /** Takes the answer to an IKE_FOLLOWUP_KE. */
  acceptFollowup(payloads: readonly Payload[]): void {
    const ke = find(payloads, 'KE');
    if (ke?.method !== this.remaining[0]) {
      throw new Failure(
        'ERR_BAD_GROUP',
        `the peer answered with key exchange method ${ke?.method ?? 0}, not ${this.method}`,
      );
    }
    this.additional.push(this.derive(ke!.data));
    this.remaining.shift();
    this.follow(payloads);
  }

  /**
   * @param offered what the request held
   * @returns the method that INVALID_KE_PAYLOAD asks for
   * @throws Failure if it was not offered, or tried before
   */
  otherMethod({ data }: NotifyPayload, offered: readonly Proposal[]): number {
    const method = data.length === 2 ? (data[0]! << 8) | data[1]! : 0;
    const known = offered.some(({ transforms }) =>
      transforms.some(({ type, id }) => type === TRANSFORM.KE && id === method),
    );
    if (!known || this.tried.has(method)) {
      throw new Failure(
        'ERR_BAD_GROUP',
        `the peer asks for key exchange method ${method}, which was not offered or just tried`,
      );
    }
    return method;
  }

  destroy(): void {
    this.current?.destroy();
    this.current = undefined;
    wipe(this.secret, ...this.additional);
  }

  private derive(data: Uint8Array): Uint8Array {
    const secret = this.current!.derive(data);
    this.current!.destroy();
    this.current = undefined;
    return secret;
  }

  private follow(payloads: readonly Payload[]): void {
    this.link = findNotify(payloads, NOTIFY.ADDITIONAL_KEY_EXCHANGE);
    if (this.hasMore && this.link === undefined) {
      throw new Failure(
        'ERR_INCOMPLETE_ANSWER',
        'the peer agreed to additional key exchanges, but gave no link to them',
      );
    }
  }
}
