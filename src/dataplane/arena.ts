/** A worker's view of its arena (assembly/layout/arena.ts). */
import {
  ARENA_DROPS,
  ARENA_EVENT_COUNT,
  ARENA_EVENTS,
  ARENA_HEADER_SIZE,
  ARENA_NOW,
  ARENA_SIZE,
  EVENT_SIZE,
} from '../../assembly/layout/arena.ts';
import { monotonic } from '../clock.ts';
import type { KernelMemory } from './backends/backend.ts';

const PAGE = 4096;

export class Arena {
  /** Offset in linear memory. */
  readonly address: number;
  /** Address for system calls. */
  readonly absolute: number;
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
  readonly #floats: Float64Array;
  readonly #now: number;

  constructor({ memory, bytes, words, base }: KernelMemory, address: number) {
    this.address = address;
    this.absolute = base + address;
    this.bytes = bytes;
    this.words = words;
    this.#floats = new Float64Array(memory.buffer);
    this.#now = (address + ARENA_NOW) >>> 3;
  }

  /**
   * Has the system provide all of the arena's memory now, which the first packets would wait for
   * otherwise: a huge page is cleared in a millisecond.
   */
  populate(): void {
    for (let field = ARENA_HEADER_SIZE; field < ARENA_SIZE; field += PAGE) this.set(field, 0);
  }

  /** @param field offset in the arena */
  get(field: number): number {
    return this.words[(this.address + field) >>> 2]!;
  }

  set(field: number, value: number): void {
    this.words[(this.address + field) >>> 2] = value;
  }

  /** Tells the kernel what time it is: between batches, so that no packet waits for the clock to be read. */
  stamp(): void {
    this.#floats[this.#now] = monotonic();
  }

  /** When the kernel was last told what time it is; 0 for never. */
  get stamped(): number {
    return this.#floats[this.#now]!;
  }

  /**
   * @param reason a number of assembly/drops.ts
   * @param packets so many
   */
  drop(reason: number, packets: number): void {
    const low = (this.address + ARENA_DROPS + reason * 8) >>> 2;
    this.words[low]! += packets;
    if (this.words[low]! < packets) this.words[low + 1]!++;
  }

  /** @returns a copy of the EVENTs that have come up, which it removes; undefined for none */
  takeEvents(): Uint8Array | undefined {
    const count = this.get(ARENA_EVENT_COUNT);
    if (count === 0) return undefined;
    this.set(ARENA_EVENT_COUNT, 0);
    const start = this.address + ARENA_EVENTS;
    return Uint8Array.prototype.slice.call(this.bytes, start, start + count * EVENT_SIZE);
  }
}
