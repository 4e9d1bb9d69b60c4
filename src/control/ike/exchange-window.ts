/**
 * Message IDs and windows of one IKE SA (RFC 7296 §2.1–§2.3): which of the peer's requests is new,
 * which a repetition, and which of ours wait for an answer. IDs only ever grow.
 */
import { plainBytes } from '../wire/bytes.ts';
import { SmallMap } from './small-map.ts';
import type { Task } from './task.ts';
import type { Timer } from './timers.ts';

/** A request of ours without a response so far. */
export interface Outstanding {
  readonly messageId: number;
  readonly exchange: number;
  readonly task: Task;
  readonly datagrams: readonly Uint8Array[];
  tries: number;
  timer: Timer | undefined;
}

/** A request that was answered, and the answer: kept as long as the peer may repeat it. */
interface Answered {
  /** SHA-256 of the datagram, of a fragmented request that of its first fragment. */
  readonly digest: string;
  /** A character for each byte: every SA keeps some for good, and as a Uint8Array each would take 500 bytes more. */
  readonly datagrams: readonly string[];
}

export type RequestKind = 'new' | 'answered' | 'stale';

/** RFC 7296 §2.3: Message IDs are 32 bits and do not wrap; the SA is rekeyed long before. */
const LAST_MESSAGE_ID = 0xffff_ffff;

export class ExchangeWindow {
  /** How many requests the peer may have outstanding; we say so with SET_WINDOW_SIZE. */
  readonly receiveSize: number;
  announced = false;
  /** How many we may; 1 until the peer says otherwise (RFC 7296 §2.3). */
  sendSize = 1;
  readonly outstanding = new SmallMap<number, Outstanding>();
  private nextId = 0;
  /** Lowest ID of the peer's that was not answered. */
  private expected = 0;
  private readonly answers = new SmallMap<number, Answered>();

  constructor(receiveSize: number) {
    this.receiveSize = receiveSize;
  }

  /** ID that the next request of ours will have. */
  get next(): number {
    return this.nextId;
  }

  /** Does the window let another request out? The IDs in use must lie within `sendSize` of the oldest. */
  get open(): boolean {
    if (this.nextId > LAST_MESSAGE_ID) return false;
    const oldest = Math.min(...this.outstanding.keys());
    return this.outstanding.size === 0 || this.nextId - oldest < this.sendSize;
  }

  /** @returns the record of a request that now goes out */
  send(exchange: number, task: Task, datagrams: readonly Uint8Array[]): Outstanding {
    const record: Outstanding = { messageId: this.nextId, exchange, task, datagrams, tries: 0, timer: undefined };
    this.outstanding.set(this.nextId, record);
    this.nextId++;
    return record;
  }

  /** IKE_SA_INIT is tried again with ID 0, in answer to a cookie or another group (RFC 7296 §2.1). */
  restart(): void {
    this.outstanding.clear();
    this.nextId = 0;
  }

  /** @returns the request that this response answers, which is outstanding no more */
  take(messageId: number): Outstanding | undefined {
    const record = this.outstanding.get(messageId);
    this.outstanding.delete(messageId);
    return record;
  }

  /** ID of the peer's first request that was not answered. */
  get firstUnanswered(): number {
    return this.expected;
  }

  classify(messageId: number): RequestKind {
    if (this.answers.has(messageId)) return 'answered';
    const isNew = messageId >= this.expected && messageId < this.expected + this.receiveSize;
    return isNew ? 'new' : 'stale';
  }

  /** @returns the datagrams of the answer if exactly this request was answered before */
  repeat(messageId: number, digest: string): readonly Uint8Array[] | undefined {
    const answer = this.answers.get(messageId);
    if (answer?.digest !== digest) return undefined;
    return answer.datagrams.map((text) => plainBytes(Buffer.from(text, 'latin1')));
  }

  answered(messageId: number, digest: string, datagrams: readonly Uint8Array[]): void {
    this.answers.set(messageId, { digest, datagrams: datagrams.map((data) => Buffer.from(data).toString('latin1')) });
    while (this.answers.has(this.expected)) this.expected++;
    // The peer's oldest outstanding request is at most a window behind the newest one answered.
    for (const id of this.answers.keys()) if (id < this.expected - this.receiveSize) this.answers.delete(id);
  }
}
