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

const SEAL = 0;
const OPEN = 1;
const WASM = 0;
const OPENSSL = 1;

// A CELL's index is direction, class of batch size, class of length, joined as bits: 1 + 3 + 3.
const CELLS = 128;
/** Batches of 1, 2–3, 4–7, … packets; 128 and more are alike. */
const COUNT_CLASSES = 8;
/** Mean lengths below 96, 192, 384, 640, 1024, 1280, 2048 bytes, and from there on; by steps of 32. */
const LENGTH_LIMITS = [96, 192, 384, 640, 1024, 1280, 2048];
const LENGTH_CLASS = Uint8Array.from(
  { length: 65 },
  (_, step) => LENGTH_LIMITS.filter((limit) => step * 32 >= limit).length,
);

/** Batches of a cell that both take in turn, all timed, before one is preferred. */
const TRIAL = 8;
/** Afterwards one batch in so many is timed. */
const TIME_EVERY = 128;
/**
 * After so many timed batches the slower one has another try: four batches, so that the last find
 * code and data in the caches. One that takes more than twice as long is asked more rarely.
 */
const REVISIT_EVERY = 8;
const REVISIT_SLOW_EVERY = 128;
const REVISIT_BATCHES = 4;
/** A batch of so many milliseconds stands for three: it is hardly disturbed, and costs more to try. */
const LONG_MS = 0.5;

/** What is known of one suite. */
class Cells {
  /** Batches to go by before the next one is timed. */
  readonly left = new Int32Array(CELLS);
  /** Who takes them. */
  readonly choice = new Uint8Array(CELLS);
  /** Batches timed. */
  readonly timed = new Uint32Array(CELLS);
  /** Nanoseconds a packet, by cell and backend; 0 before the first. */
  readonly times = new Float64Array(CELLS * 2);

  /** @returns who takes the next batch, which is timed */
  next(cell: number): number {
    const timed = this.timed[cell]!++;
    if (timed < TRIAL) return timed % 2;
    const faster = this.times[cell * 2]! <= this.times[cell * 2 + 1]! ? WASM : OPENSSL;
    const slower = 1 - faster;
    const slow = this.times[cell * 2 + slower]! > 2 * this.times[cell * 2 + faster]!;
    const every = slow ? REVISIT_SLOW_EVERY : REVISIT_EVERY;
    const revisit = timed % every >= every - REVISIT_BATCHES;
    this.choice[cell] = faster;
    this.left[cell] = revisit ? 0 : TIME_EVERY;
    return revisit ? slower : faster;
  }

  /** A shorter time counts at once, a longer one little: what interrupts a batch only makes it longer. */
  note(cell: number, backend: number, time: number): void {
    const at = cell * 2 + backend;
    const known = this.times[at]!;
    if (known === 0) this.times[at] = time;
    else if (this.timed[cell]! <= TRIAL) this.times[at] = Math.min(known, time);
    else if (time < known) this.times[at] = (known + time) / 2;
    else this.times[at] = known + (Math.min(time, known * 1.5) - known) / 32;
  }
}

export class HybridBackend implements CryptoBackend {
  readonly name = 'hybrid';
  /** Signed, as V8 computes with small integers faster than with doubles. */
  readonly #words: Int32Array;
  readonly #wasm: CryptoBackend;
  readonly #openssl: CryptoBackend;
  readonly #suites = new Map<number, Cells>();
  /** The KEY asked for last, mostly the one asked for next. */
  #lastKey = 0;
  #lastSerial = 0;
  #last = new Cells();

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
    const cells = this.#cells(descriptors);
    const cell = this.#cell(SEAL, descriptors, count);
    // A call site for each, so that each knows what it calls and V8 inlines it.
    if (--cells.left[cell]! < 0) this.#timed('seal', cells, cell, descriptors, count);
    else if (cells.choice[cell] === WASM) this.#wasm.seal(descriptors, count);
    else this.#openssl.seal(descriptors, count);
  }

  open(descriptors: number, count: number): void {
    if (count === 0) return;
    const cells = this.#cells(descriptors);
    const cell = this.#cell(OPEN, descriptors, count);
    if (--cells.left[cell]! < 0) this.#timed('open', cells, cell, descriptors, count);
    else if (cells.choice[cell] === WASM) this.#wasm.open(descriptors, count);
    else this.#openssl.open(descriptors, count);
  }

  #timed(direction: Direction, cells: Cells, cell: number, descriptors: number, count: number): void {
    cells.left[cell] = 0;
    const choice = cells.next(cell);
    const start = performance.now();
    (choice === WASM ? this.#wasm : this.#openssl)[direction](descriptors, count);
    const time = performance.now() - start;
    cells.note(cell, choice, (time * 1e6) / count);
    if (time > LONG_MS) cells.timed[cell]! += 2;
  }

  forget(key: number): void {
    this.#wasm.forget(key);
    this.#openssl.forget(key);
  }

  close(): void {
    this.#wasm.close();
    this.#openssl.close();
  }

  /** By the first packet's suite: a batch is mostly of one. */
  #cells(descriptors: number): Cells {
    const words = this.#words;
    const key = words[(descriptors + L.PACKET_KEY) >>> 2]!;
    const serial = words[(key + L.KEY_SERIAL) >>> 2]!;
    if (key === this.#lastKey && serial === this.#lastSerial) return this.#last;
    const id =
      (words[(key + L.KEY_ENCR) >>> 2]! << 16) |
      (words[(key + L.KEY_KEY_LENGTH) >>> 2]! << 8) |
      words[(key + L.KEY_INTEG) >>> 2]!;
    let cells = this.#suites.get(id);
    if (cells === undefined) {
      cells = new Cells();
      this.#suites.set(id, cells);
    }
    this.#lastKey = key;
    this.#lastSerial = serial;
    this.#last = cells;
    return cells;
  }

  #cell(direction: number, descriptors: number, count: number): number {
    const words = this.#words;
    let mean = words[(descriptors + L.PACKET_LENGTH) >>> 2]!;
    if (count > 1) {
      const end = (descriptors + count * L.PACKET_SIZE) >>> 2;
      let bytes = 0;
      for (let at = (descriptors + L.PACKET_LENGTH) >>> 2; at < end; at += L.PACKET_SIZE / 4) bytes += words[at]!;
      mean = bytes / count;
    }
    const size = Math.min(31 - Math.clz32(count), COUNT_CLASSES - 1);
    return (direction << 6) | (size << 3) | LENGTH_CLASS[Math.min(mean >>> 5, 64)]!;
  }
}
