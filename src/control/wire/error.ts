import { EspalierError } from '../../errors.ts';
import { NOTIFY, notifyName } from './iana.ts';

/** Why bytes from the network were refused. */
export type WireErrorCode =
  /** Malformed: answered with INVALID_SYNTAX where an answer is allowed (RFC 7296 §2.21). */
  | 'ERR_WIRE_SYNTAX'
  /** A payload we do not know has its critical bit set (RFC 7296 §2.5). */
  | 'ERR_WIRE_CRITICAL'
  /** Not IKEv2 (RFC 7296 §2.5). */
  | 'ERR_WIRE_VERSION'
  /** Integrity check, or padding after a good check, failed: drop without an answer. */
  | 'ERR_WIRE_INTEGRITY'
  /** A public value of the peer's that no honest peer sends (RFC 6989, RFC 7748 §6). */
  | 'ERR_WIRE_KEY_EXCHANGE'
  /** A bound of ours was exceeded: fragments, payloads, size. */
  | 'ERR_WIRE_LIMIT';

/** The only error that parsing or opening bytes from the network throws. */
export class WireError extends EspalierError {
  override readonly name = 'WireError';
  declare readonly code: WireErrorCode;
  /** Notify message type to answer with; undefined where the message is dropped in silence. */
  readonly notify: number | undefined;
  /** Notification data that goes with `notify`. */
  readonly data: Uint8Array;

  constructor(code: WireErrorCode, message: string, notify?: number, data: Uint8Array = new Uint8Array()) {
    super(code, notify === undefined ? message : `${message} (${notifyName(notify)})`);
    this.notify = notify;
    this.data = data;
  }
}

/** @returns the error for malformed content, answered with INVALID_SYNTAX */
export const syntaxError = (message: string): WireError =>
  new WireError('ERR_WIRE_SYNTAX', message, NOTIFY.INVALID_SYNTAX);

/** @returns the error for an exceeded bound of ours; nothing is answered */
export const limitError = (message: string): WireError => new WireError('ERR_WIRE_LIMIT', message);

/** @returns the error for a public value that fails its checks (RFC 6989 §2.5: INVALID_SYNTAX) */
export const keyExchangeError = (message: string): WireError =>
  new WireError('ERR_WIRE_KEY_EXCHANGE', message, NOTIFY.INVALID_SYNTAX);

/** @returns the error for data that is not authentic; nothing is answered */
export const integrityError = (message: string): WireError => new WireError('ERR_WIRE_INTEGRITY', message);
