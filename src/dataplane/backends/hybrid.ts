/**
 * Per batch whichever is faster: `wasm` for many small packets, `openssl` for large ones. Which it
 * is depends on suite, direction, packet lengths, packets in the batch, machine, Node.js version, and
 * on how far V8 has compiled the kernel. So it is measured, on the packets themselves:
 *
 *     batch ─► CELL of its suite, direction, packets, mean length
 *                |  wasm:    ns a packet, of the batches that were timed
 *                |  openssl: likewise
 *                └─► the faster one; now and then the other one, to see whether it still is slower
 */
import * as L from '../../../assembly/layout.ts';
import type { CipherSuite } from '../../algorithms.ts';
import type { CryptoBackend, Direction, KernelMemory } from './backend.ts';
import { ALL_SUITES } from './suites.ts';

const SEAL = 0;
const OPEN = 1;
const WASM = 0;
const OPENSSL = 1;

// A CELL's index is suite, direction, class of batch size, class of length, joined as bits: n + 1 + 3 + 3.
const SUITE_CELLS = 128;
const CELLS = SUITE_CELLS * ALL_SUITES.length;
/** Batches of 1, 2–3, 4–7, … packets; 128 and more are alike. */
const COUNT_CLASSES = 8;
/** Mean lengths below 96, 192, 384, 640, 1024, 1280, 2048 bytes, and from there on; by steps of 32. */
const LENGTH_LIMITS = [96, 192, 384, 640, 1024, 1280, 2048];
const LENGTH_CLASS = Uint8Array.from(
  { length: 65 },
  (_, step) => LENGTH_LIMITS.filter((limit) => step * 32 >= limit).length,
);
/** Packets of a batch, evenly spread, whose lengths are looked at. */
const SAMPLES = 8;

/** Batches of a cell that both take in turn, all timed, before one is preferred. */
const TRIAL = 8;
/**
 * Afterwards one batch in so many is timed: of short ones fewer, as looking at the clock takes as
 * long as a packet does.
 */
const TIME_EVERY = 128;
const TIME_SHORT_EVERY = 1024;
const SHORT_NS = 2000;
/**
 * After so many timed batches the slower one has another try: four batches, so that the last find
 * code and data in the caches. One that takes more than twice as long is asked more and more rarely:
 * it may only not have been compiled yet.
 */
const REVISIT_EVERY = 8;
const REVISIT_SLOW_EVERY = 128;
const REVISIT_BATCHES = 4;
/** A batch of so many milliseconds stands for three: it is hardly disturbed, and costs more to try. */
const LONG_MS = 0.5;

/** What was measured, by cell, and what follows from it. */
class Cells {
  /** Batches to go by before the next one is timed: positive if wasm takes them, negative if openssl does. */
  readonly left = new Int32Array(CELLS);
  /** Batches timed. */
  readonly #timed = new Uint32Array(CELLS);
  /** Nanoseconds a packet, by cell and backend; 0 before the first. */
  readonly #times = new Float64Array(CELLS * 2);

  /** @returns who takes the next batch, which is timed */
  next(cell: number, count: number): number {
    const timed = this.#timed[cell]!++;
    if (timed < TRIAL) return timed % 2;
    const faster = this.#times[cell * 2]! <= this.#times[cell * 2 + 1]! ? WASM : OPENSSL;
    const slower = 1 - faster;
    const time = this.#times[cell * 2 + faster]!;
    const slow = this.#times[cell * 2 + slower]! > 2 * time;
    // The next power of two above `timed`, while that is small.
    const every = slow ? Math.min(2 << (31 - Math.clz32(timed)), REVISIT_SLOW_EVERY) : REVISIT_EVERY;
    if (timed % every >= every - REVISIT_BATCHES) return slower;
    const left = time * count < SHORT_NS ? TIME_SHORT_EVERY : TIME_EVERY;
    this.left[cell] = faster === WASM ? left : -left;
    return faster;
  }

  /** A shorter time counts at once, a longer one little: what interrupts a batch only makes it longer. */
  note(cell: number, backend: number, milliseconds: number, count: number): void {
    const time = (milliseconds * 1e6) / count;
    const at = cell * 2 + backend;
    const known = this.#times[at]!;
    if (known === 0) this.#times[at] = time;
    else if (this.#timed[cell]! <= TRIAL) this.#times[at] = Math.min(known, time);
    else if (time < known) this.#times[at] = (known + time) / 2;
    else this.#times[at] = known + (Math.min(time, known * 1.5) - known) / 32;
    if (milliseconds > LONG_MS) this.#timed[cell]! += 2;
  }
}

export class HybridBackend implements CryptoBackend {
  readonly name = 'hybrid';
  /** Signed, as V8 computes with small integers faster than with doubles. */
  readonly #words: Int32Array;
  readonly #wasm: CryptoBackend;
  readonly #openssl: CryptoBackend;
  readonly #cells = new Cells();
  readonly #left = this.#cells.left;
  /** Where a suite's cells begin. */
  readonly #suites = new Map<number, number>();
  /** The KEY asked for last, mostly the one asked for next, and where its suite's cells begin. */
  #lastKey = 0;
  #lastSerial = 0;
  #lastCells = 0;

  constructor({ memory }: KernelMemory, wasm: CryptoBackend, openssl: CryptoBackend) {
    this.#words = new Int32Array(memory.buffer);
    this.#wasm = wasm;
    this.#openssl = openssl;
  }

  supports(suite: CipherSuite): boolean {
    return this.#wasm.supports(suite) && this.#openssl.supports(suite);
  }

  seal(descriptors: number, count: number): void {
    if (count === 0) return;
    const cell = this.#cell(SEAL, descriptors, count);
    const left = this.#left[cell]!;
    // A call site for each, so that each knows what it calls and V8 inlines it.
    if (left > 0) {
      this.#left[cell] = left - 1;
      this.#wasm.seal(descriptors, count);
    } else if (left < 0) {
      this.#left[cell] = left + 1;
      this.#openssl.seal(descriptors, count);
    } else this.#timed('seal', cell, descriptors, count);
  }

  open(descriptors: number, count: number): void {
    if (count === 0) return;
    const cell = this.#cell(OPEN, descriptors, count);
    const left = this.#left[cell]!;
    if (left > 0) {
      this.#left[cell] = left - 1;
      this.#wasm.open(descriptors, count);
    } else if (left < 0) {
      this.#left[cell] = left + 1;
      this.#openssl.open(descriptors, count);
    } else this.#timed('open', cell, descriptors, count);
  }

  #timed(direction: Direction, cell: number, descriptors: number, count: number): void {
    const choice = this.#cells.next(cell, count);
    const start = performance.now();
    (choice === WASM ? this.#wasm : this.#openssl)[direction](descriptors, count);
    this.#cells.note(cell, choice, performance.now() - start, count);
  }

  forget(key: number): void {
    this.#wasm.forget(key);
    this.#openssl.forget(key);
  }

  close(): void {
    this.#wasm.close();
    this.#openssl.close();
  }

  /** By the first packet's suite, as a batch is mostly of one. */
  #cell(direction: number, descriptors: number, count: number): number {
    const words = this.#words;
    const key = words[(descriptors + L.PACKET_KEY) >>> 2]!;
    const serial = words[(key + L.KEY_SERIAL) >>> 2]!;
    if (key !== this.#lastKey || serial !== this.#lastSerial) this.#recall(key, serial);
    let mean = words[(descriptors + L.PACKET_LENGTH) >>> 2]!;
    let size = 0;
    if (count > 1) {
      const step = (Math.ceil(count / SAMPLES) * L.PACKET_SIZE) >>> 2;
      const end = (descriptors + count * L.PACKET_SIZE) >>> 2;
      let bytes = 0;
      let samples = 0;
      for (let at = (descriptors + L.PACKET_LENGTH) >>> 2; at < end; at += step, samples++) bytes += words[at]!;
      mean = bytes / samples;
      size = Math.min(31 - Math.clz32(count), COUNT_CLASSES - 1);
    }
    return this.#lastCells | (direction << 6) | (size << 3) | LENGTH_CLASS[Math.min(mean >>> 5, 64)]!;
  }

  #recall(key: number, serial: number): void {
    const words = this.#words;
    const id =
      (words[(key + L.KEY_ENCR) >>> 2]! << 16) |
      (words[(key + L.KEY_KEY_LENGTH) >>> 2]! << 8) |
      words[(key + L.KEY_INTEG) >>> 2]!;
    let cells = this.#suites.get(id);
    if (cells === undefined) {
      // Should something unknown come along, it shares the last cells.
      cells = Math.min(this.#suites.size, ALL_SUITES.length - 1) * SUITE_CELLS;
      this.#suites.set(id, cells);
    }
    this.#lastKey = key;
    this.#lastSerial = serial;
    this.#lastCells = cells;
  }
}
