/**
 * A Map and a Set for what nearly always holds nothing, or one or two entries: there are ten of them
 * for each SA, and an empty one of the language takes 200 bytes. Whoever goes through the entries may
 * change them on the way: what was there at the beginning is what comes. The lists are as long as what
 * is in them: `push` would leave room for sixteen more.
 */

/** One empty list for all: each of its own would take 32 bytes. */
export const NONE: readonly never[] = [];

export class SmallMap<K, V> {
  private names: readonly K[] = NONE;
  private held: readonly V[] = NONE;

  get size(): number {
    return this.names.length;
  }

  has(key: K): boolean {
    return this.names.includes(key);
  }

  get(key: K): V | undefined {
    const at = this.names.indexOf(key);
    return at < 0 ? undefined : this.held[at];
  }

  set(key: K, value: V): this {
    const at = this.names.indexOf(key);
    if (at >= 0) {
      this.held = this.held.with(at, value);
    } else {
      this.names = this.names.concat([key]);
      this.held = this.held.concat([value]);
    }
    return this;
  }

  delete(key: K): boolean {
    const at = this.names.indexOf(key);
    if (at < 0) return false;
    this.names = without(this.names, at);
    this.held = without(this.held, at);
    return true;
  }

  /** Takes out one entry that has this value. */
  deleteValue(value: V): void {
    const at = this.held.indexOf(value);
    if (at >= 0) this.delete(this.names[at]!);
  }

  clear(): void {
    this.names = NONE;
    this.held = NONE;
  }

  keys(): ArrayIterator<K> {
    return this.names.values();
  }

  values(): ArrayIterator<V> {
    return this.held.values();
  }

  *[Symbol.iterator](): Generator<[K, V]> {
    const { names, held } = this;
    for (const [at, key] of names.entries()) yield [key, held[at]!];
  }
}

export class SmallSet<K> {
  private held: readonly K[] = NONE;

  get size(): number {
    return this.held.length;
  }

  has(key: K): boolean {
    return this.held.includes(key);
  }

  add(key: K): this {
    if (!this.has(key)) this.held = this.held.concat([key]);
    return this;
  }

  delete(key: K): boolean {
    const at = this.held.indexOf(key);
    if (at < 0) return false;
    this.held = without(this.held, at);
    return true;
  }

  clear(): void {
    this.held = NONE;
  }

  [Symbol.iterator](): ArrayIterator<K> {
    return this.held.values();
  }
}

const without = <T>(list: readonly T[], at: number): readonly T[] => (list.length === 1 ? NONE : list.toSpliced(at, 1));
