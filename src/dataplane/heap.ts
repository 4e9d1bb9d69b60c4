/**
 * The allocator of the heap region: KEY blocks, selector lists, replay windows, classifier tables.
 *
 * Only the engine's thread allocates. Blocks are whole lines of 64 bytes. Free neighbours are joined
 * at once, and free lists are kept by size class, so that both operations take constant time however
 * many SAs come and go. Free memory is zero: what is given back may have been a key, and what is
 * handed out needs no clearing.
 */
import { EspalierError } from '../errors.ts';
import type { KernelMemory } from './backends/backend.ts';

const LINE = 64;
/** Size classes: four a doubling. */
const STEPS = 4;
/** A class is searched this far for a block that is large enough before the next one is taken. */
const SEARCH = 8;

/** @returns the class of a block of so many lines: every block of a higher class is larger */
function classOf(lines: number): number {
  const doubling = 31 - Math.clz32(lines);
  return doubling * STEPS + (Math.floor((lines * STEPS) / 2 ** doubling) - STEPS);
}

export class Heap {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  /** Bytes from here on have never been handed out, and so cost nothing. */
  #frontier: number;
  #used = 0;
  /** Bytes of each block in use, by address. */
  readonly #blocks = new Map<number, number>();
  /** Bytes of each free block, by address; and its address, by its end. */
  readonly #free = new Map<number, number>();
  readonly #freeByEnd = new Map<number, number>();
  readonly #classes: Set<number>[] = [];

  /**
   * @param base address of the region, 64-byte aligned
   * @param size its bytes; all of them zero
   */
  constructor(memory: KernelMemory, base: number, size: number) {
    this.#bytes = memory.bytes;
    this.#frontier = base;
    this.#end = base + size;
  }

  /** Bytes handed out. */
  get used(): number {
    return this.#used;
  }

  /**
   * @returns the address of `size` zero bytes, 64-byte aligned
   * @throws EspalierError `ERR_HEAP_FULL`
   */
  allocate(size: number): number {
    const wanted = Math.max(1, Math.ceil(size / LINE)) * LINE;
    const address = this.#takeFree(wanted) ?? this.#advance(wanted);
    this.#blocks.set(address, wanted);
    this.#used += wanted;
    return address;
  }

  /** Wipes a block and takes it back; address 0 is none. */
  free(address: number): void {
    if (address === 0) return;
    const size = this.#blocks.get(address);
    if (size === undefined) throw new EspalierError('ERR_HEAP', `no block begins at ${address}`);
    this.#blocks.delete(address);
    this.#used -= size;
    this.#bytes.fill(0, address, address + size);
    let start = address;
    let end = address + size;
    const before = this.#freeByEnd.get(start);
    if (before !== undefined) {
      this.#unlist(before);
      start = before;
    }
    if (this.#free.has(end)) end += this.#unlist(end);
    if (end === this.#frontier) this.#frontier = start;
    else this.#list(start, end - start);
  }

  #takeFree(wanted: number): number | undefined {
    for (let index = classOf(wanted / LINE); index < this.#classes.length; index++) {
      let searched = 0;
      for (const address of this.#classes[index] ?? []) {
        const size = this.#free.get(address)!;
        if (size >= wanted) {
          this.#unlist(address);
          if (size > wanted) this.#list(address + wanted, size - wanted);
          return address;
        }
        if (++searched === SEARCH) break;
      }
    }
    return undefined;
  }

  #advance(wanted: number): number {
    const address = this.#frontier;
    if (address + wanted > this.#end) {
      throw new EspalierError('ERR_HEAP_FULL', `no room for ${wanted} bytes: raise the limits of SAs or policies`);
    }
    this.#frontier = address + wanted;
    return address;
  }

  #list(address: number, size: number): void {
    this.#free.set(address, size);
    this.#freeByEnd.set(address + size, address);
    const index = classOf(size / LINE);
    this.#classes[index] ??= new Set();
    this.#classes[index].add(address);
  }

  #unlist(address: number): number {
    const size = this.#free.get(address)!;
    this.#free.delete(address);
    this.#freeByEnd.delete(address + size);
    this.#classes[classOf(size / LINE)]!.delete(address);
    return size;
  }
}
