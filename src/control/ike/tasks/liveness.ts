/**
 * Liveness (RFC 7296 §2.4), begun by either side:
 *
 *   HDR, SK {[N(NAT_DETECTION_*)+]} -->
 *              <-- HDR, SK {[N(NAT_DETECTION_*)+]}
 *
 * Any answer will do; if none comes, the retransmission's end is the peer's.
 */
import { EXCHANGE } from '../../wire/iana.ts';
import type { Payload } from '../../wire/payloads/index.ts';
import type { Context } from '../context.ts';
import type { IkeSa } from '../sa.ts';
import { isUsable } from '../states.ts';
import type { Progress, Received, Task } from '../task.ts';
import { natProbe, noteNatProbe } from './mobike.ts';

export class Liveness implements Task {
  readonly name = 'liveness';
  readonly exchange = EXCHANGE.INFORMATIONAL;
  readonly exclusive = false;

  build(cx: Context, sa: IkeSa): Payload[] | undefined {
    return isUsable(sa.state) ? natProbe(cx, sa) : undefined;
  }

  process(cx: Context, sa: IkeSa, { payloads }: Received): Progress {
    noteNatProbe(cx, sa, payloads);
    return 'done';
  }
}
