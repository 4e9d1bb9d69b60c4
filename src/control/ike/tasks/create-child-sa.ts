/**
 * CREATE_CHILD_SA, by its responder: what is inside says which of its three uses it is (RFC 7296 §1.3),
 * and what we are doing ourselves whether it is possible now (§2.25).
 *
 *   HDR, SK {SA(IKE), Ni, KEi} -->                           a new IKE SA: `ike-rekey.ts`
 *   HDR, SK {N(REKEY_SA), SA, Ni, [KEi,] TSi, TSr} -->       a new child for an old one: `child-rekey.ts`
 *   HDR, SK {SA, Ni, [KEi,] TSi, TSr} -->                    another child: `child-create.ts`
 *             <-- HDR, SK {N(TEMPORARY_FAILURE) | N(NO_ADDITIONAL_SAS)}: none of them now
 */
import { EXCHANGE, NOTIFY, PROTOCOL } from '../../wire/iana.ts';
import { find, findNotify } from '../../wire/message.ts';
import type { Context } from '../context.ts';
import { Failure } from '../failure.ts';
import type { IkeSa } from '../sa.ts';
import { isUsable } from '../states.ts';
import type { Answer, Received } from '../task.ts';
import { respondChildCreate } from './child-create.ts';
import { respondChildRekey } from './child-rekey.ts';
import { respondIkeRekey } from './ike-rekey.ts';

/** Child SAs of one IKE SA, those on their way out included. */
const MAX_CHILDREN = 256;

const temporary = (reason: string): Failure => new Failure('ERR_TEMPORARY', reason, NOTIFY.TEMPORARY_FAILURE);

export function respondCreateChildSa(cx: Context, sa: IkeSa, request: Received): Answer {
  const protocol = find(request.payloads, 'SA')!.proposals[0]!.protocol;
  if (protocol === PROTOCOL.IKE) {
    // RFC 7296 §2.25.2: not while we are creating, rekeying or closing a child, or closing the IKE SA.
    if (sa.state === 'DELETING' || sa.replacedBy !== undefined) throw temporary('this IKE SA is on its way out');
    if (isBusyWithChild(sa)) {
      sa.refusedRekeyAt = cx.now;
      throw temporary('a child SA is being created, rekeyed or deleted');
    }
    return respondIkeRekey(cx, sa, request);
  }
  if (!isUsable(sa.state) || sa.state === 'REKEYING') throw temporary('this IKE SA is being rekeyed or deleted');
  if (sa.children.size >= MAX_CHILDREN) {
    throw new Failure(
      'ERR_NO_ADDITIONAL_SAS',
      `this IKE SA has ${sa.children.size} children`,
      NOTIFY.NO_ADDITIONAL_SAS,
    );
  }
  if (findNotify(request.payloads, NOTIFY.REKEY_SA) !== undefined) return respondChildRekey(cx, sa, request);
  return respondChildCreate(cx, sa, request);
}

const CHILD_EXCHANGES: readonly number[] = [EXCHANGE.CREATE_CHILD_SA, EXCHANGE.IKE_FOLLOWUP_KE];

function isBusyWithChild(sa: IkeSa): boolean {
  const isChildTask = [...sa.window.outstanding.values()].some(
    ({ task }) => task.subject !== undefined || (!task.exclusive && CHILD_EXCHANGES.includes(task.exchange)),
  );
  return isChildTask || sa.followups.size > 0;
}
