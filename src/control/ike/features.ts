/** What each side of an IKE SA says it can do, and how the other remembers it. */
import { parseSignatureHashes, signatureHashes } from '../auth/hashes.ts';
import { Writer } from '../wire/bytes.ts';
import { NOTIFY } from '../wire/iana.ts';
import { findNotify } from '../wire/message.ts';
import type { Payload } from '../wire/payloads/index.ts';
import { type NotifyPayload, notification } from '../wire/payloads/notify.ts';
import type { IkeSa } from './sa.ts';

/** More requests at a time than that gain nothing. */
const MAX_WINDOW = 8;

/** @returns what both sides of IKE_SA_INIT say they can do */
export function featureNotifies(sa: Pick<IkeSa, 'connection'>): NotifyPayload[] {
  const { connection } = sa;
  const out: NotifyPayload[] = [];
  if (connection.fragmentation !== 'no') out.push(notification(NOTIFY.IKEV2_FRAGMENTATION_SUPPORTED));
  out.push(signatureHashes());
  return out;
}

/**
 * @returns SET_WINDOW_SIZE where we take more than one request at a time (RFC 7296 §2.3): in IKE_AUTH, and
 *   again in our first message over a rekeyed IKE SA, for there windows begin with 1 (§2.18)
 */
export function windowSize({ window }: IkeSa): NotifyPayload[] {
  const size = window.receiveSize;
  if (size === 1 || window.announced) return [];
  window.announced = true;
  const out = new Writer(4);
  out.u32(size);
  return [notification(NOTIFY.SET_WINDOW_SIZE, out.bytes)];
}

/** Takes the peer's SET_WINDOW_SIZE, as far as we make use of it; a window never shrinks. */
export function noteWindowSize(sa: IkeSa, payloads: readonly Payload[]): void {
  const size = findNotify(payloads, NOTIFY.SET_WINDOW_SIZE)?.data;
  if (size?.length !== 4) return;
  const requests = new DataView(size.buffer, size.byteOffset, 4).getUint32(0);
  sa.window.sendSize = Math.max(sa.window.sendSize, Math.min(requests, MAX_WINDOW));
}

/** Remembers what the peer said it can do. */
export function noteFeatures(sa: IkeSa, payloads: readonly Payload[]): void {
  const has = (notify: number) => findNotify(payloads, notify) !== undefined;
  const { peer, connection } = sa;
  peer.fragmentation = connection.fragmentation !== 'no' && has(NOTIFY.IKEV2_FRAGMENTATION_SUPPORTED);
  peer.childless = has(NOTIFY.CHILDLESS_IKEV2_SUPPORTED);
  peer.intermediate = has(NOTIFY.INTERMEDIATE_EXCHANGE_SUPPORTED);
  peer.ppk = has(NOTIFY.USE_PPK);
  const hashes = findNotify(payloads, NOTIFY.SIGNATURE_HASH_ALGORITHMS);
  if (hashes !== undefined) peer.hashes = parseSignatureHashes(hashes);
}
