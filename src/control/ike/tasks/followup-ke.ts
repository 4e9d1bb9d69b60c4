/** IKE_FOLLOWUP_KE (RFC 9370 §2.2.4). */
import { NOTIFY } from '../../wire/iana.ts';
import type { Context } from '../context.ts';
import { Failure } from '../failure.ts';
import type { IkeSa } from '../sa.ts';
import type { Answer, Received } from '../task.ts';

export function respondFollowup(_cx: Context, _sa: IkeSa, _request: Received): Answer {
  throw new Failure('ERR_STATE_NOT_FOUND', 'no key exchange is under way', NOTIFY.STATE_NOT_FOUND);
}
