/** Why an operation of ours ended without what it was for. */
import { EspalierError } from '../../errors.ts';
import { notifyName } from '../wire/iana.ts';
import type { NotifyPayload } from '../wire/payloads/notify.ts';

/** Why an SA went away; decides on close_action, dpd_action and retries. */
export type Cause =
  /** The user asked for it. */
  | 'command'
  /** The peer deleted it. */
  | 'peer'
  /** No answer to our requests. */
  | 'dead'
  /** It was never established: refused, or not authentic. Or the peer has lost what it was trusted by. */
  | 'failed'
  /** The address that it was called from is gone before it was established. */
  | 'moved'
  /** Another SA took over. */
  | 'replaced'
  /** Its lifetime is over. */
  | 'expired'
  /** Its connection changed in the configuration. */
  | 'reload'
  | 'stop';

/**
 * An operation that cannot go on: the code and the words are for our side, the notification, if there
 * is one, is all that the peer gets to know.
 */
export class Failure extends EspalierError {
  override readonly name = 'Failure';
  readonly notify: number | undefined;
  readonly data: Uint8Array;

  constructor(code: string, message: string, notify?: number, data: Uint8Array = new Uint8Array()) {
    super(code, message);
    this.notify = notify;
    this.data = data;
  }
}

/** @returns the failure that an error notification of the peer's means: `ERR_PEER_TS_UNACCEPTABLE` */
export function peerFailure(notify: NotifyPayload, advice: string): Failure {
  const name = notifyName(notify.notify);
  return new Failure(`ERR_PEER_${name.replace(/\W+/g, '_').toUpperCase()}`, `the peer answered ${name}: ${advice}`);
}
