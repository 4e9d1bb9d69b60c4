/** CREATE_CHILD_SA, by its responder: what is inside says which of its three uses it is (RFC 7296 §1.3). */
import { NOTIFY } from '../../wire/iana.ts';
import type { Context } from '../context.ts';
import { Failure } from '../failure.ts';
import type { IkeSa } from '../sa.ts';
import type { Answer, Received } from '../task.ts';

export function respondCreateChildSa(_cx: Context, _sa: IkeSa, _request: Received): Answer {
  throw new Failure('ERR_NO_ADDITIONAL_SAS', 'no further child SAs', NOTIFY.NO_ADDITIONAL_SAS);
}
