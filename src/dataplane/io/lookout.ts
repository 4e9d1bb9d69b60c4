/**
 * Looking for an answer instead of sleeping until it is there.
 *
 * Behind a packet that went out alone its answer often comes within the time that two wake-ups take: the
 * other gateway's, and this thread's own. To be woken costs this thread caches and a processor that was
 * halted, and the one that wakes it an interrupt to another processor. So it looks for a moment, as long
 * as that has been worth it: after some looks in vain it sleeps at once, and tries one more time now and
 * then. There is one look in a millisecond at most, so that it takes 15 % of a processor at the worst.
 */
import type { Poller } from './poller.ts';

/** Milliseconds. */
const LOOK = 0.15;
/** Looks in vain, one after the other, that make it sleep at once … */
const PATIENCE = 4;
/** … and how often it does so before it looks again. */
const SLEEPS = 64;

export class Lookout {
  readonly #poller: Poller;
  #vain = 0;
  #sleeps = 0;

  constructor(poller: Poller) {
    this.#poller = poller;
  }

  /** @returns whether something came, and was dealt with */
  look(): boolean {
    if (this.#vain >= PATIENCE && ++this.#sleeps < SLEEPS) return false;
    this.#sleeps = 0;
    const end = performance.now() + LOOK;
    do {
      if (this.#poller.wait(0)) {
        this.#vain = 0;
        return true;
      }
    } while (performance.now() < end);
    this.#vain++;
    return false;
  }
}
