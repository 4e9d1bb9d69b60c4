/**
 * Post-quantum preshared keys (RFC 8784): both sides mix one into SK_d, SK_pi and SK_pr before AUTH.
 *
 *   HDR, SAi1, KEi, Ni, N(USE_PPK) -->
 *                                  <-- HDR, SAr1, KEr, Nr, N(USE_PPK)
 *   HDR, SK {IDi, …, AUTH, …, N(PPK_IDENTITY), [N(NO_PPK_AUTH)]} -->
 *                                  <-- HDR, SK {IDr, …, AUTH, …, [N(PPK_IDENTITY)]}
 */
import type { ConnectionConfig } from '../config/model.ts';
import { type IkeKeys, mixPpk } from '../crypto/keys.ts';
import { wipe } from '../crypto/secret.ts';
import { concat, equalBytes } from '../wire/bytes.ts';
import { NOTIFY } from '../wire/iana.ts';
import { findNotify } from '../wire/message.ts';
import type { Payload } from '../wire/payloads/index.ts';
import { type NotifyPayload, notification } from '../wire/payloads/notify.ts';
import type { IkeSa } from './sa.ts';

/** RFC 8784 §5.1: PPK_ID of type 2 is a fixed identity that both sides have configured. */
const PPK_ID_FIXED = 2;

/** @returns N(PPK_IDENTITY) with the configured name */
export const ppkIdentity = ({ ppkId }: ConnectionConfig): NotifyPayload =>
  notification(NOTIFY.PPK_IDENTITY, concat(Uint8Array.of(PPK_ID_FIXED), ppkId!.data));

/** @returns whether the message names the connection's PPK */
export function namesPpk({ ppkId, ppk }: ConnectionConfig, payloads: readonly Payload[]): boolean {
  const identity = findNotify(payloads, NOTIFY.PPK_IDENTITY);
  if (identity === undefined || ppkId === undefined || ppk === undefined) return false;
  return identity.data[0] === PPK_ID_FIXED && equalBytes(identity.data.subarray(1), ppkId.data);
}

/** @returns the keys with the connection's PPK mixed in; the ones before stay as they are */
export const withPpk = (sa: IkeSa): IkeKeys => mixPpk(sa.algorithms!.prf, sa.keys!, sa.connection.ppk!);

/** Makes the mixed keys the SA's own. SK_a and SK_e are the same, so its protection goes on unchanged. */
export function adoptPpkKeys(sa: IkeSa, mixed: IkeKeys): void {
  const old = sa.keys!;
  wipe(old.d, old.pi, old.pr);
  sa.keys = mixed;
}
