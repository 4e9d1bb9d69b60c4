/**
 * Liveness (RFC 7296 §2.4), begun by either side:
 *
 *   HDR, SK {} -->
 *              <-- HDR, SK {}
 *
 * Any answer will do; if none comes, the retransmission's end is the peer's.
 */
import { EXCHANGE } from '../../wire/iana.ts';
import type { Context } from '../context.ts';
import type { IkeSa } from '../sa.ts';
import { isUsable } from '../states.ts';
import type { Progress, Task } from '../task.ts';

export class Liveness implements Task {
  readonly name = 'liveness';
  readonly exchange = EXCHANGE.INFORMATIONAL;
  readonly exclusive = false;

  build(_cx: Context, sa: IkeSa): [] | undefined {
    return isUsable(sa.state) ? [] : undefined;
  }

  process(): Progress {
    return 'done';
  }
}
