/**
 * What an IKE SA's messages look like from outside (RFC 7296 §2.1–§2.3): request IDs grow by one, a
 * message sent again is the same to the byte, and an answer is sent again to the same request only.
 */
import { Violation } from './violation.ts';

const IKE_SA_INIT = 34;
const RESPONSE = 0x20;

interface Sent {
  readonly step: number;
  readonly datagrams: Set<number>;
}

interface Exchanges {
  lastRequest: number;
  readonly requests: Map<number, Sent>;
  readonly answers: Map<number, Sent>;
  readonly received: Map<number, Set<number>>;
}

/** @returns a 32-bit hash of a datagram: a collision can hide a violation once in four thousand million */
function hash(data: Uint8Array): number {
  let value = data.length;
  const whole = data.length & ~3;
  // Four bytes at a time; the rotation is for the high bits, which multiplying carries nowhere.
  for (let at = 0; at < whole; at += 4)
    value = Math.imul(((value << 7) | (value >>> 25)) ^ wordAt(data, at), 0x9e3779b1);
  for (let at = whole; at < data.length; at++)
    value = Math.imul(((value << 7) | (value >>> 25)) ^ data[at]!, 0x9e3779b1);
  return value >>> 0;
}

/** All exchanges of one incarnation of a gateway. */
export class MessageWatch {
  private readonly sas = new Map<number, Exchanges>();
  private step = 0;
  private trigger: { readonly id: number; readonly hash: number; readonly key: number } | undefined;

  /** @param data the datagram that the step is about */
  begin(data: Uint8Array | undefined): void {
    this.step++;
    this.trigger = undefined;
    if (data === undefined || data[18] === IKE_SA_INIT || (data[19]! & RESPONSE) !== 0) return;
    this.trigger = { id: idOf(data), hash: hash(data), key: keyOf(data) };
  }

  end(): void {
    if (this.trigger === undefined) return;
    const { key, id, hash: seen } = this.trigger;
    const exchanges = this.of(key);
    const received = exchanges.received.get(id) ?? new Set<number>();
    received.add(seen);
    exchanges.received.set(id, received);
  }

  sent(data: Uint8Array): void {
    if (data.length < 28 || data[18] === IKE_SA_INIT) return;
    // An answer to what belongs to no SA proves nothing and is never protected.
    if (data[16] !== 46 && data[16] !== 53) return;
    const exchanges = this.of(keyOf(data));
    const id = idOf(data);
    if ((data[19]! & RESPONSE) === 0) this.request(exchanges, id, hash(data));
    else this.answer(exchanges, id, hash(data));
  }

  private of(key: number): Exchanges {
    const known = this.sas.get(key);
    if (known !== undefined) return known;
    const fresh: Exchanges = { lastRequest: -1, requests: new Map(), answers: new Map(), received: new Map() };
    this.sas.set(key, fresh);
    return fresh;
  }

  private request(exchanges: Exchanges, id: number, datagram: number): void {
    const known = exchanges.requests.get(id);
    if (known === undefined) {
      if (exchanges.lastRequest >= 0 && id !== exchanges.lastRequest + 1)
        throw new Violation('message IDs grow by one', `request ${id} follows request ${exchanges.lastRequest}`);
      exchanges.lastRequest = id;
      exchanges.requests.set(id, { step: this.step, datagrams: new Set([datagram]) });
    } else if (known.step === this.step) {
      known.datagrams.add(datagram);
    } else if (!known.datagrams.has(datagram)) {
      throw new Violation('a message ID is used once', `request ${id} goes out again with other content`);
    }
  }

  private answer(exchanges: Exchanges, id: number, datagram: number): void {
    const known = exchanges.answers.get(id);
    if (known === undefined) {
      exchanges.answers.set(id, { step: this.step, datagrams: new Set([datagram]) });
      return;
    }
    if (known.step === this.step) {
      known.datagrams.add(datagram);
      return;
    }
    if (!known.datagrams.has(datagram))
      throw new Violation('a message ID is used once', `answer ${id} goes out again with other content`);
    const { trigger } = this;
    const isRepeated =
      trigger !== undefined && trigger.id === id && exchanges.received.get(id)?.has(trigger.hash) === true;
    if (!isRepeated)
      throw new Violation('an answer is repeated to a repeated request only', `answer ${id} to something else`);
  }
}

const wordAt = (data: Uint8Array, at: number): number =>
  (data[at]! << 24) | (data[at + 1]! << 16) | (data[at + 2]! << 8) | data[at + 3]!;

const idOf = (data: Uint8Array): number => wordAt(data, 20) >>> 0;

/** @returns 53 of the 128 bits of the SPIs, which are drawn at random */
const keyOf = (data: Uint8Array): number => (wordAt(data, 4) >>> 0) * 0x20_0000 + (wordAt(data, 12) & 0x1f_ffff);
