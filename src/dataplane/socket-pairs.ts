/** Numbers for the pairs of addresses that SAs send between: equal pairs, equal numbers. */

interface Pair {
  readonly key: string;
  readonly number: number;
  users: number;
}

export class SocketPairs {
  readonly #byKey = new Map<string, Pair>();
  readonly #byNumber = new Map<number, Pair>();
  /** 0 is no pair. */
  #next = 1;

  /** @returns the pair's number, which stays its own until it is given back as often as it was taken */
  take(key: string): number {
    let pair = this.#byKey.get(key);
    if (pair === undefined) {
      pair = { key, number: this.#next++, users: 0 };
      this.#byKey.set(key, pair);
      this.#byNumber.set(pair.number, pair);
    }
    pair.users++;
    return pair.number;
  }

  /** Numbers that nobody has are ignored. */
  giveBack(number: number): void {
    const pair = this.#byNumber.get(number);
    if (pair === undefined || --pair.users > 0) return;
    this.#byKey.delete(pair.key);
    this.#byNumber.delete(number);
  }
}
