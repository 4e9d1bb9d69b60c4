/**
 * How much a batch holds. The larger it is, the less each packet bears of what is done once a batch; but
 * packets wait until it is through, those of the other direction too, and it has to fit the processor's
 * cache. So a batch may take about a quarter of a millisecond: with a cipher that is slow it holds less.
 */

/** Milliseconds beyond which batches become half as large, and below which twice as large. */
const LONG = 0.35;
const SHORT = 0.15;
/** A full one in so many is timed. */
const INTERVAL = 8;

export class BatchLimit {
  readonly #least: number;
  readonly #most: number;
  #limit: number;
  #full = 0;

  constructor(most: number) {
    this.#most = most;
    this.#least = most / 4;
    this.#limit = most;
  }

  /** Packets or bytes, as the constructor was told. */
  get limit(): number {
    return this.#limit;
  }

  /** Before a batch. @returns what `end` wants to know */
  begin(): number {
    return this.#full === INTERVAL ? performance.now() : 0;
  }

  /** @param full the batch held what it may */
  end(begun: number, full: boolean): void {
    if (!full) return;
    if (this.#full < INTERVAL) this.#full++;
    if (begun === 0) return;
    this.#full = 0;
    const took = performance.now() - begun;
    if (took > LONG) this.#limit = Math.max(this.#least, this.#limit / 2);
    else if (took < SHORT) this.#limit = Math.min(this.#most, this.#limit * 2);
  }
}
