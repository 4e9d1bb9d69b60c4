/**
 * INFORMATIONAL (RFC 7296 §1.4), by its responder: what is inside says which operation it is.
 *
 *   HDR, SK {[N+,] [D+,] [CP]} -->
 *                              <-- HDR, SK {[N+,] [D+]}
 */
import { NOTIFY, notifyName } from '../../wire/iana.ts';
import { findNotify } from '../../wire/message.ts';
import type { Context } from '../context.ts';
import { because, destroy } from '../lifecycle.ts';
import { errorNotify } from '../rules.ts';
import type { IkeSa } from '../sa.ts';
import type { Answer, Received } from '../task.ts';
import { deletesIke, respondDeleteChildren, respondDeleteIke } from './delete.ts';
import { respondMobike } from './mobike.ts';

export function respondInformational(cx: Context, sa: IkeSa, received: Received): Answer {
  const { payloads } = received;
  if (deletesIke(payloads)) return respondDeleteIke(cx, sa);
  const failed = findNotify(payloads, NOTIFY.AUTHENTICATION_FAILED);
  if (failed !== undefined) {
    const why = because('ERR_PEER_AUTHENTICATION_FAILED', 'the peer does not accept our identity or our proof');
    return { payloads: [], after: () => destroy(cx, sa, 'peer', why) };
  }
  const error = errorNotify(payloads);
  if (error !== undefined) {
    cx.log('warn', `the peer reports ${notifyName(error.notify)}`, sa.connection.name);
  }
  const mobike = respondMobike(cx, sa, received);
  if (mobike !== undefined) return mobike;
  return respondDeleteChildren(cx, sa, payloads);
}
