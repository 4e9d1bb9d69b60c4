/**
 * Looking for an answer instead of sleeping until it is there.
 *
 * Behind a packet that went out alone its answer often comes within the time that two wake-ups take: the
 * other gateway's, and this thread's own. To be woken costs this thread its caches and a processor that was
 * halted, and the one that wakes it an interrupt to another processor. So it looks for a moment, at most
 * once in a millisecond, on a processor that nobody else wants: it offers it to them all the time. Where
 * that was taken, or looking has been in vain, it sleeps at once, and tries again ever later.
 */
import { performance } from 'node:perf_hooks';
import type { Poller } from './poller.ts';
import { schedYield } from './syscalls.ts';

/** Milliseconds of a look. */
const LOOK = 0.15;
/** Milliseconds after which a processor that was offered has been taken: an interrupt does not last so long. */
const TAKEN = 0.05;
/** So often it sleeps at once when a look was no good: twice as often each time, and half as often after each good one. */
const SLEEPS_LEAST = 4;
const SLEEPS_MOST = 4096;

export class Lookout {
  readonly #poller: Poller;
  /** Times to sleep before the next look. */
  #sleeps = 0;
  #interval = SLEEPS_LEAST;

  constructor(poller: Poller) {
    this.#poller = poller;
  }

  /** @returns whether something came, and was dealt with */
  look(): boolean {
    if (this.#sleeps > 0) {
      this.#sleeps--;
      return false;
    }
    let now = performance.now();
    const end = now + LOOK;
    while (now < end) {
      schedYield();
      const before = now;
      now = performance.now();
      if (now - before > TAKEN) break;
      if (this.#poller.wait(0)) {
        this.#interval = Math.max(SLEEPS_LEAST, this.#interval >>> 1);
        return true;
      }
    }
    this.#sleeps = this.#interval;
    this.#interval = Math.min(SLEEPS_MOST, this.#interval * 2);
    return false;
  }
}
