/**
 * An operation that we begin: one exchange, or several in a row. The other half of each file in
 * `tasks/` is what answers the same exchange when the peer begins it.
 */
import type { OpenedMessage, ParsedMessage } from '../wire/message.ts';
import type { Payload } from '../wire/payloads/index.ts';
import type { Context } from './context.ts';
import type { SealedMessage } from './fragment.ts';
import type { IkeSa } from './sa.ts';

/** A message of the peer's, opened and checked against the exchange's rules. */
export interface Received {
  /** As it came; of a fragmented one the first fragment. */
  readonly message: ParsedMessage;
  readonly payloads: readonly Payload[];
  /** Absent in IKE_SA_INIT. */
  readonly opened?: OpenedMessage;
}

/** What follows a response: the operation is over, or it sends another request at once. */
export type Progress = 'done' | 'again';

export interface Task {
  /** For logs: `rekey of child "net"`. */
  readonly name: string;
  /** EXCHANGE of the next request. */
  readonly exchange: number;
  /** Waits until nothing else is outstanding, and lets nothing else begin (RFC 7296 §2.25.2). */
  readonly exclusive: boolean;
  /** Name of the child that it is about: what concerns one child is done one after the other. */
  readonly subject?: string;
  /** @returns payloads of the next request; undefined if there is nothing left to do */
  build(cx: Context, sa: IkeSa): readonly Payload[] | undefined;
  /** Called with what was sent: IKE_SA_INIT and IKE_INTERMEDIATE are authenticated later. */
  sent?(sa: IkeSa, sealed: SealedMessage, messageId: number): void;
  /** Of an answer that proves nothing: is it one to go on with, or is a better one waited for? */
  heeds?(cx: Context, sa: IkeSa, response: Received): boolean;
  process(cx: Context, sa: IkeSa, response: Received): Progress;
  /** No response came, or the SA is gone: clean up what `build` reserved. */
  abandon?(cx: Context, sa: IkeSa, reason: string): void;
}

/** What answers a request. */
export interface Answer {
  readonly payloads: readonly Payload[];
  /** Runs when the answer is on its way. */
  readonly after?: () => void;
  /** Called with what was sent (RFC 9242). */
  readonly sent?: (sealed: SealedMessage) => void;
}

export type Responder = (cx: Context, sa: IkeSa, request: Received) => Answer;
