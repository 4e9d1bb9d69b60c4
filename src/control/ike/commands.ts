/** Commands that are answered when what they asked for has come about, not when it has begun. */
import { EspalierError } from '../../errors.ts';
import type { Context } from './context.ts';
import type { Timer } from './timers.ts';

interface Command {
  readonly request: number;
  readonly isDone: () => boolean;
  readonly deadline: Timer;
}

export class Commands {
  private readonly cx: Context;
  private readonly open: Command[] = [];

  constructor(cx: Context) {
    this.cx = cx;
  }

  /**
   * @param patience milliseconds after which the user is answered whatever has come of it
   * @param late what is wrong then; nothing if what is left to do needs nobody who waits
   */
  await(request: number, isDone: () => boolean, patience: number, late?: string): void {
    const deadline = this.cx.timers.set(this.cx.now + patience, () => {
      this.open.splice(this.open.indexOf(command), 1);
      this.answer(request, late === undefined ? undefined : new EspalierError('ERR_NO_ANSWER', late));
    });
    const command: Command = { request, isDone, deadline };
    this.open.push(command);
  }

  /** Answers those whose wait is over; called at the end of every step. */
  settle(): void {
    for (const command of this.open.filter(({ isDone }) => isDone())) {
      this.open.splice(this.open.indexOf(command), 1);
      this.cx.timers.cancel(command.deadline);
      this.answer(command.request);
    }
  }

  private answer(request: number, error?: EspalierError): void {
    this.cx.push({ type: 'completed', request, ...(error && { error }) });
  }
}
