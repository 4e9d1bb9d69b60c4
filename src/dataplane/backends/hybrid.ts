/**
 * Per batch whichever is faster: `wasm` for many small packets, `openssl` for large ones. Which it
 * is depends on suite, direction, packet lengths, packets in the batch, machine, Node.js version, and
 * on how far V8 has compiled the kernel. So it is measured, on the packets themselves:
 *
 *     batch ─► CELL of its suite, direction, packets, mean length
 *                |  wasm:    ns a packet, of the batches that were timed
 *                |  openssl: likewise
 *                └─► the faster one; now and then the other one, to see whether it still is slower
 *
 * Finding the cell takes as long as a twentieth of OpenSSL's shortest batch. So an SA whose batches have
 * all been for the same one for a while gets a LEASE: its next ones go there unseen.
 */
import * as L from '../../../assembly/layout.ts';
import { type CipherSuite, suiteName } from '../../algorithms.ts';
import type { CryptoBackend, Direction, KernelMemory } from './backend.ts';
import type { Lease, Rival } from './openssl/index.ts';
import { ALL_SUITES } from './suites.ts';

const WASM = 0;
const OPENSSL = 1;
/** To be timed. */
const UNKNOWN = 2;

// A CELL's index is suite, direction, class of batch size, class of length, joined as bits: n + 1 + 3 + 3.
const SUITE_CELLS = 128;
const DIRECTION_CELLS = 64;
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

/**
 * Batches of a cell that are timed before one is preferred: half of them by wasm, half by openssl, each in a row, so
 * that it finds code and data in the caches.
 */
const TRIAL = 8;
/**
 * Afterwards one batch in so many is timed: of short ones fewer, as looking at the clock takes as
 * long as a packet does.
 */
const TIME_EVERY = 128;
const TIME_SHORT_EVERY = 1024;
const SHORT_NS = 2000;
/**
 * The slower one has another try when that is a 250th of the time that was spent since. A try is four
 * batches, so that the last find code and data in the caches, but a single one if it is far behind: it may
 * only not have been compiled yet.
 */
const TRY_SHARE = 0.004;
const TRY_BATCHES = 4;
/** A batch of so many milliseconds stands for three: it is hardly disturbed, and costs more to try. */
const LONG_MS = 0.5;

/** The longest lease, in packets. */
const LEASE = 64;
/** A lease has 1/16 of a packet for each batch in a row that was for the same one. */
const LEASE_SHIFT = 4;

/** What was measured, by cell, and what follows from it. */
class Cells {
  /** Batches to go by before the next one is timed: positive if wasm takes them, negative if openssl does. */
  readonly left = new Int32Array(CELLS);
  /** Batches timed. */
  readonly #timed = new Uint32Array(CELLS);
  /** Nanoseconds a packet, by cell and backend; 0 before the first. */
  readonly #times = new Float64Array(CELLS * 2);
  /** Nanoseconds of work since the slower one's last try. */
  readonly #spent = new Float64Array(CELLS);
  /** Batches that are left of a try. */
  readonly #tries = new Uint8Array(CELLS);

  /** @returns who takes the next batch, which is timed */
  next(cell: number, count: number): number {
    const timed = this.#timed[cell]!++;
    if (timed < TRIAL) return timed < TRIAL / 2 ? WASM : OPENSSL;
    const wasm = this.#times[cell * 2]! * count;
    const openssl = this.#times[cell * 2 + 1]! * count;
    const faster = wasm <= openssl ? WASM : OPENSSL;
    const slower = 1 - faster;
    if (this.#tries[cell]! > 0) {
      this.#tries[cell]!--;
      return slower;
    }
    const time = Math.min(wasm, openssl);
    const loss = Math.abs(wasm - openssl);
    const batches = loss > time ? 1 : TRY_BATCHES;
    if (loss * batches < this.#spent[cell]! * TRY_SHARE) {
      this.#spent[cell] = 0;
      this.#tries[cell] = batches - 1;
      return slower;
    }
    const left = time < SHORT_NS ? TIME_SHORT_EVERY : TIME_EVERY;
    this.#spent[cell]! += left * time;
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

interface HybridLease extends Lease {
  /** For whom the batch looked at last was, and how many in a row were for the same. */
  last: number;
  streak: number;
  /** Where the cells of suite and direction begin. */
  readonly cells: number;
}

export class Hybrid implements Rival {
  readonly name = 'hybrid';
  /** Signed, as V8 computes with small integers faster than with doubles. */
  readonly #words: Int32Array;
  readonly other: CryptoBackend;
  readonly #cells = new Cells();
  readonly #left = this.#cells.left;
  /** Where a suite's cells begin. */
  readonly #suites = new Map(ALL_SUITES.map((suite, index) => [suiteName(suite), index * SUITE_CELLS]));

  constructor({ memory }: KernelMemory, wasm: CryptoBackend) {
    this.#words = new Int32Array(memory.buffer);
    this.other = wasm;
  }

  lease(suite: CipherSuite, direction: Direction): HybridLease {
    // Should something unknown come along, it shares the first suite's cells.
    const cells = this.#suites.get(suiteName(suite)) ?? 0;
    return { left: 0, away: 0, last: UNKNOWN, streak: 0, cells: cells + (direction === 'seal' ? 0 : DIRECTION_CELLS) };
  }

  seal(descriptors: number, count: number, lease: HybridLease, openssl: CryptoBackend): boolean {
    const taker = this.#choose(descriptors, count, lease);
    if (taker === UNKNOWN) this.#timed('seal', descriptors, count, lease, openssl);
    else if (taker === WASM) this.other.seal(descriptors, count);
    return taker !== OPENSSL;
  }

  open(descriptors: number, count: number, lease: HybridLease, openssl: CryptoBackend): boolean {
    const taker = this.#choose(descriptors, count, lease);
    if (taker === UNKNOWN) this.#timed('open', descriptors, count, lease, openssl);
    else if (taker === WASM) this.other.open(descriptors, count);
    return taker !== OPENSSL;
  }

  /** Goes by what was measured; the longer it has been one and the same, the longer is the lease. */
  #choose(descriptors: number, count: number, lease: HybridLease): number {
    const cell = lease.cells | this.#class(descriptors, count);
    const left = this.#left[cell]!;
    if (left === 0) return UNKNOWN;
    const taker = left > 0 ? WASM : OPENSSL;
    if (taker !== lease.last) lease.streak = 0;
    lease.last = taker;
    const granted = Math.min(lease.streak++ >>> LEASE_SHIFT, LEASE);
    const gone = Math.ceil(granted / count) + 1;
    if (taker === WASM) {
      lease.away = granted;
      lease.left = 0;
      this.#left[cell] = Math.max(left - gone, 0);
    } else {
      lease.left = granted;
      this.#left[cell] = Math.min(left + gone, 0);
    }
    return taker;
  }

  #timed(direction: Direction, descriptors: number, count: number, lease: HybridLease, openssl: CryptoBackend): void {
    const cell = lease.cells | this.#class(descriptors, count);
    const choice = this.#cells.next(cell, count);
    // For this batch, if openssl is to do it.
    lease.left = count;
    const start = performance.now();
    (choice === WASM ? this.other : openssl)[direction](descriptors, count);
    this.#cells.note(cell, choice, performance.now() - start, count);
    lease.left = 0;
  }

  /** By the lengths of a few packets; a batch is mostly of one suite, its first packet's. */
  #class(descriptors: number, count: number): number {
    const words = this.#words;
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
    return (size << 3) | LENGTH_CLASS[Math.min(mean >>> 5, 64)]!;
  }
}
