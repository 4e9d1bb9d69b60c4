/**
 * Per batch whichever is faster: `wasm` for many small packets, `openssl` for large ones. Which it
 * is depends on suite, direction, packet lengths, packets in the batch, machine and Node.js version,
 * so it is measured: the common suites at start, another one when its first packet comes.
 *
 *     ns a packet                        a batch's cost is the sum over its packets of
 *       |        wasm, alone            GAIN[suite][direction][packets][length],
 *       |       /      wasm, of 32      the time that openssl takes longer than wasm
 *       |      /    _/
 *       |     /  _/   ____---- openssl
 *       |____/_/-----
 *       |_/ /
 *       +--------------------- length
 */
import * as L from '../../../assembly/layout.ts';
import { type CipherSuite, ENCR, INTEG } from '../../algorithms.ts';
import type { CryptoBackend, KernelMemory } from './backend.ts';
import { isGmac, suiteOf } from './suites.ts';
import { type Direction, layOutBatches, timeBatches } from './timing.ts';
import type { Workbench } from './workbench.ts';

/** Measured before the first packet. */
const COMMON_SUITES: readonly CipherSuite[] = [
  { encr: ENCR.AES_GCM_16, keyBits: 128, integ: INTEG.NONE },
  { encr: ENCR.AES_GCM_16, keyBits: 256, integ: INTEG.NONE },
  { encr: ENCR.CHACHA20_POLY1305, keyBits: 256, integ: INTEG.NONE },
];

/** Packets of a batch; one in between counts as the next lower. */
const COUNTS = [1, 4, 8, 16, 32] as const;
/** Payload lengths in bytes; in between a straight line. */
const LENGTHS = [64, 256, 640, 1408] as const;
/** Lengths are looked up in steps of 64 bytes; longer than the last step is like it. */
const STEP_BITS = 6;
const STEPS = 25;

/** Milliseconds of one measurement, how often it is made, and of warming up. */
const MEASURE_MS = 0.05;
const MEASUREMENTS = 3;
const WARM_UP_MS = 2.5;
const WARM_UP_LIMIT_MS = 30;
/** Bytes of packets that a measurement goes round in. */
const SET_BYTES = 16_384;

const SEAL = 0;
const OPEN = 1;
const DIRECTIONS: readonly Direction[] = ['seal', 'open'];

/** Nanoseconds that openssl takes longer than wasm, by direction, index of COUNTS and length step. */
type SuiteGains = readonly (readonly Float64Array[])[];

/** A pair of backends over a memory of their own, to be measured. */
export interface Rivals {
  readonly bench: Workbench;
  readonly wasm: CryptoBackend;
  readonly openssl: CryptoBackend;
}

export class HybridBackend implements CryptoBackend {
  readonly name = 'hybrid';
  readonly #kernel: KernelMemory;
  readonly #words: Uint32Array;
  readonly #wasm: CryptoBackend;
  readonly #openssl: CryptoBackend;
  readonly #rivals: Rivals;
  /** By suiteId. */
  readonly #measured = new Map<number, SuiteGains>();
  /** The KEY asked for last, mostly the one asked for next, and its suite's gains. */
  #lastKey = 0;
  #last: SuiteGains = [];

  constructor(kernel: KernelMemory, wasm: CryptoBackend, openssl: CryptoBackend, rivals: Rivals) {
    this.#kernel = kernel;
    this.#words = kernel.words;
    this.#wasm = wasm;
    this.#openssl = openssl;
    this.#rivals = rivals;
    for (const suite of COMMON_SUITES) this.#enter(suite);
  }

  supports(suite: CipherSuite): boolean {
    return this.#wasm.supports(suite) || this.#openssl.supports(suite);
  }

  seal(descriptors: number, count: number): void {
    // Two call sites, so that each knows what it calls: V8 then inlines it.
    if (this.#prefersWasm(SEAL, descriptors, count)) this.#wasm.seal(descriptors, count);
    else this.#openssl.seal(descriptors, count);
  }

  open(descriptors: number, count: number): void {
    if (this.#prefersWasm(OPEN, descriptors, count)) this.#wasm.open(descriptors, count);
    else this.#openssl.open(descriptors, count);
  }

  forget(key: number): void {
    if (key === this.#lastKey) this.#lastKey = 0;
    this.#wasm.forget(key);
    this.#openssl.forget(key);
  }

  close(): void {
    for (const backend of [this.#wasm, this.#openssl, this.#rivals.wasm, this.#rivals.openssl]) backend.close();
  }

  #prefersWasm(direction: number, descriptors: number, count: number): boolean {
    const words = this.#words;
    const row = countIndex(count);
    const end = descriptors + count * L.PACKET_SIZE;
    let key = 0;
    let gains: Float64Array | undefined;
    let sum = 0;
    for (let packet = descriptors; packet < end; packet += L.PACKET_SIZE) {
      const next = words[(packet + L.PACKET_KEY) >>> 2]!;
      if (next !== key) {
        key = next;
        gains = (key === this.#lastKey ? this.#last : this.#gains(key))[direction]![row]!;
      }
      sum += gains![lengthStep(words[(packet + L.PACKET_LENGTH) >>> 2]!)]!;
    }
    return sum > 0;
  }

  #gains(key: number): SuiteGains {
    const suite = suiteOf(this.#kernel, key);
    this.#last = this.#measured.get(suiteId(suite)) ?? this.#enter(suite);
    this.#lastKey = key;
    return this.#last;
  }

  #enter(suite: CipherSuite): SuiteGains {
    const alike = measuredFor(suite);
    const gains = this.#measured.get(suiteId(alike)) ?? measure(this.#rivals, alike);
    this.#measured.set(suiteId(alike), gains);
    this.#measured.set(suiteId(suite), gains);
    return gains;
  }
}

const suiteId = ({ encr = 0, keyBits, integ }: CipherSuite): number => (encr << 16) | ((keyBits / 8) << 8) | integ;

const KINDS: Readonly<Record<number, number>> = {
  [ENCR.AES_GCM_8]: ENCR.AES_GCM_16,
  [ENCR.AES_GCM_12]: ENCR.AES_GCM_16,
  [ENCR.AES_CCM_8]: ENCR.AES_CCM_16,
  [ENCR.AES_CCM_12]: ENCR.AES_CCM_16,
};

/** What to measure for a suite: neither a shorter ICV nor a key in between nor AH changes who is faster. */
function measuredFor({ encr, keyBits, integ }: CipherSuite): CipherSuite {
  if (isGmac(integ))
    return { encr: ENCR.NULL_AUTH_AES_GMAC, keyBits: integ === INTEG.AES_128_GMAC ? 128 : 256, integ: INTEG.NONE };
  if (encr === undefined) return { encr: ENCR.NULL, keyBits: 0, integ };
  return { encr: KINDS[encr] ?? encr, keyBits: keyBits === 192 ? 256 : keyBits, integ };
}

/** floor(log2(count)) by what was measured: 2 and 3 are like 1, more than 32 like 32. */
const countIndex = (count: number): number => Math.max(0, Math.min(30 - Math.clz32(count | 1), COUNTS.length - 1));

const lengthStep = (length: number): number => Math.min(length >>> STEP_BITS, STEPS - 1);

function measure(rivals: Rivals, suite: CipherSuite): SuiteGains {
  // One that does not know the suite loses whatever else is in the batch.
  if (!rivals.wasm.supports(suite)) return everywhere(Number.NEGATIVE_INFINITY);
  if (!rivals.openssl.supports(suite)) return everywhere(Number.POSITIVE_INFINITY);
  warmUp(rivals, suite);
  return DIRECTIONS.map((direction) => measureDirection(rivals, suite, direction));
}

function everywhere(gain: number): SuiteGains {
  return DIRECTIONS.map(() => COUNTS.map(() => new Float64Array(STEPS).fill(gain)));
}

/** Runs wasm until it gets no faster: V8 compiles it again in the background while it runs. */
function warmUp({ bench, wasm, openssl }: Rivals, suite: CipherSuite): void {
  for (const count of [1, 32]) {
    bench.clear();
    const set = layOutBatches(bench, suite, new Array<number>(count).fill(640), SET_BYTES);
    timeBatches(openssl, 'open', set, WARM_UP_MS);
    let best = Number.POSITIVE_INFINITY;
    for (let steady = 0, spent = 0; steady < 2 && spent < WARM_UP_LIMIT_MS; spent += WARM_UP_MS) {
      const time = timeBatches(wasm, 'open', set, WARM_UP_MS);
      steady = time < best * 0.97 ? 0 : steady + 1;
      best = Math.min(best, time);
    }
  }
}

function measureDirection(rivals: Rivals, suite: CipherSuite, direction: Direction): Float64Array[] {
  return COUNTS.map((count) => {
    const points = LENGTHS.map((length) => measurePoint(rivals, suite, direction, count, length));
    return Float64Array.from({ length: STEPS }, (_, step) => interpolate(points, (step + 0.5) * 2 ** STEP_BITS));
  });
}

/** The best of a few runs, taken in turn, so that other work on the machine hurts neither. */
function measurePoint(rivals: Rivals, suite: CipherSuite, direction: Direction, count: number, length: number): number {
  const { bench, wasm, openssl } = rivals;
  bench.clear();
  const set = layOutBatches(bench, suite, new Array<number>(count).fill(length), SET_BYTES);
  let [fast, native] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let i = 0; i < MEASUREMENTS; i++) {
    fast = Math.min(fast, timeBatches(wasm, direction, set, MEASURE_MS));
    native = Math.min(native, timeBatches(openssl, direction, set, MEASURE_MS));
  }
  return (native - fast) / count;
}

function interpolate(points: readonly number[], length: number): number {
  const found = LENGTHS.findIndex((limit) => limit >= length);
  const above = found <= 0 ? (found === 0 ? 1 : LENGTHS.length - 1) : found;
  const [low, high] = [LENGTHS[above - 1]!, LENGTHS[above]!];
  const share = (length - low) / (high - low);
  return points[above - 1]! * (1 - share) + points[above]! * share;
}
