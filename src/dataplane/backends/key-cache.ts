/**
 * What a backend keeps per KEY block: found by address, void when the block's SERIAL has changed
 * because the block was given to another SA meanwhile.
 */
import * as L from '../../../assembly/layout.ts';
import type { KernelMemory } from './backend.ts';

interface Entry<T> {
  readonly serial: number;
  readonly value: T;
}

export class KeyCache<T> {
  readonly #kernel: KernelMemory;
  readonly #create: (key: number) => T;
  readonly #dispose: (value: T) => void;
  readonly #entries = new Map<number, Entry<T>>();
  /** The entry asked for last: mostly the one asked for next. */
  #lastKey = 0;
  #last: Entry<T> | undefined;

  /**
   * @param create makes the value for the KEY block at an address
   * @param dispose wipes it
   */
  constructor(kernel: KernelMemory, create: (key: number) => T, dispose: (value: T) => void) {
    this.#kernel = kernel;
    this.#create = create;
    this.#dispose = dispose;
  }

  get(key: number): T {
    const serial = this.#kernel.words[(key + L.KEY_SERIAL) >>> 2]!;
    if (key === this.#lastKey && this.#last?.serial === serial) return this.#last.value;
    let entry = this.#entries.get(key);
    if (entry?.serial !== serial) {
      this.forget(key);
      entry = { serial, value: this.#create(key) };
      this.#entries.set(key, entry);
    }
    this.#lastKey = key;
    this.#last = entry;
    return entry.value;
  }

  forget(key: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#last = undefined;
    this.#dispose(entry.value);
  }

  clear(): void {
    for (const key of [...this.#entries.keys()]) this.forget(key);
  }
}
