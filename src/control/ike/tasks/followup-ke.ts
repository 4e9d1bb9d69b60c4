/**
 * IKE_FOLLOWUP_KE (RFC 9370 §2.2.4), by its responder: the additional key exchanges behind a
 * CREATE_CHILD_SA, one after the other; the link says which CREATE_CHILD_SA.
 *
 *   HDR, SK {KEi(n), N(ADDITIONAL_KEY_EXCHANGE)(link)} -->
 *                    <-- HDR, SK {KEr(n), [N(ADDITIONAL_KEY_EXCHANGE)(next link)]}
 *
 * The initiator's half is in `initiator-keys.ts`.
 */
import { wipe } from '../../crypto/secret.ts';
import { toHex } from '../../wire/bytes.ts';
import { NOTIFY } from '../../wire/iana.ts';
import { find, findNotify } from '../../wire/message.ts';
import type { Payload } from '../../wire/payloads/index.ts';
import type { KePayload } from '../../wire/payloads/ke.ts';
import { type NotifyPayload, notification } from '../../wire/payloads/notify.ts';
import type { Context } from '../context.ts';
import { pump } from '../exchange.ts';
import { Failure } from '../failure.ts';
import type { Followup, IkeSa } from '../sa.ts';
import type { Answer, Received } from '../task.ts';

const LINK_LENGTH = 8;
/** One exchange at a time is usual; more than these at once nobody needs. */
const MAX_FOLLOWUPS = 4;
/** The state is dropped when the peer does not go on. */
const LIFETIME = 60_000;

/** Waits for further key exchanges. @returns the link that the answer to CREATE_CHILD_SA must carry */
export function expectFollowup(cx: Context, sa: IkeSa, followup: Followup): NotifyPayload {
  if (sa.followups.size >= MAX_FOLLOWUPS) {
    followup.abandon();
    throw new Failure('ERR_FOLLOWUPS', 'too many key exchanges at a time', NOTIFY.TEMPORARY_FAILURE);
  }
  const data = cx.crypto.random(LINK_LENGTH);
  const link = toHex(data);
  sa.followups.set(link, followup);
  cx.setTimer(sa, `followup ${link}`, cx.now + LIFETIME, () => {
    sa.followups.delete(link);
    followup.abandon();
    pump(cx, sa);
  });
  return notification(NOTIFY.ADDITIONAL_KEY_EXCHANGE, data);
}

/** @returns the secret; adds our KE payload to the answer */
function respondKe(cx: Context, { method, data }: KePayload, agreed: number, answer: Payload[]): Uint8Array {
  if (method !== agreed) {
    const message = `the peer sent key exchange ${method}, agreed was ${agreed}`;
    throw new Failure('ERR_BAD_GROUP', message, NOTIFY.INVALID_SYNTAX);
  }
  const { publicValue, secret } = cx.crypto.keyExchange(method)!.respond(data);
  answer.push({ kind: 'KE', method, data: publicValue });
  return secret;
}

export function respondFollowup(cx: Context, sa: IkeSa, { payloads }: Received): Answer {
  const link = toHex(findNotify(payloads, NOTIFY.ADDITIONAL_KEY_EXCHANGE)?.data ?? new Uint8Array());
  const followup = sa.followups.get(link);
  if (followup === undefined) {
    throw new Failure(
      'ERR_STATE_NOT_FOUND',
      'the peer goes on with a key exchange we do not know',
      NOTIFY.STATE_NOT_FOUND,
    );
  }
  sa.followups.delete(link);
  cx.clearTimer(sa, `followup ${link}`);
  const [method, ...others] = followup.methods;
  const ke = find(payloads, 'KE')!;
  const answer: Payload[] = [];
  let secrets: readonly Uint8Array[];
  try {
    secrets = [...followup.secrets, respondKe(cx, ke, method!, answer)];
  } catch (error) {
    followup.abandon();
    wipe(...followup.secrets);
    throw error;
  }
  if (others.length > 0) {
    answer.push(expectFollowup(cx, sa, { ...followup, methods: others, secrets }));
    return { payloads: answer };
  }
  try {
    return { payloads: answer, after: followup.finish(secrets) };
  } finally {
    wipe(...secrets);
  }
}
