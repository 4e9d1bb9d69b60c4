/** Statistical timing of the kernel's ciphers, and of code that leaks, to show that it would be noticed. */
import { randomFillSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import * as L from '../../assembly/layout.ts';
import { type CipherSuite, ENCR, INTEG, suiteLengths, suiteName } from '../../src/algorithms.ts';
import { type PacketView, Workbench } from '../../src/dataplane/backends/workbench.ts';
import { Random } from '../crypto/laboratory.ts';
import { compileLeaky, instantiateLeaky } from './leaky/leaky.ts';
import { DIFFERENT, type Experiment, type InputClass, persistentDifference, statistic, welch } from './welch.ts';

const SUITES: readonly CipherSuite[] = [
  { encr: ENCR.AES_GCM_16, keyBits: 128, integ: INTEG.NONE },
  { encr: ENCR.AES_GCM_16, keyBits: 256, integ: INTEG.NONE },
  { encr: ENCR.CHACHA20_POLY1305, keyBits: 256, integ: INTEG.NONE },
  { encr: ENCR.AES_CBC, keyBits: 128, integ: INTEG.HMAC_SHA2_256_128 },
  { encr: ENCR.AES_CTR, keyBits: 128, integ: INTEG.HMAC_SHA2_256_128 },
  { encr: ENCR.AES_CCM_16, keyBits: 128, integ: INTEG.NONE },
  { encr: ENCR.NULL, keyBits: 0, integ: INTEG.HMAC_SHA2_512_256 },
];

const MEASUREMENTS = 6000;
const ATTEMPTS = 5;
const PACKETS = 16;
/** One alone may take less than a tick of the clock. */
const SETUPS = 8;
const BYTES = 112;

/** Inputs drawn before anything is timed. Those of the fixed class are copies, as far apart as the others. */
class Inputs {
  readonly #pools: Readonly<Record<InputClass, Uint8Array>>;
  readonly #length: number;
  #next = 0;

  constructor(length: number) {
    const number = 256;
    const fixed = randomFillSync(new Uint8Array(length));
    const pool = new Uint8Array(number * length);
    for (let i = 0; i < number; i++) pool.set(fixed, i * length);
    this.#pools = { fixed: pool, random: randomFillSync(new Uint8Array(number * length)) };
    this.#length = length;
  }

  draw(inputClass: InputClass): Uint8Array {
    this.#next = (this.#next + this.#length) % this.#pools.fixed.length;
    return this.#pools[inputClass].subarray(this.#next, this.#next + this.#length);
  }
}

describe('the statistic', () => {
  it("is Welch's t", () => {
    // Two samples of means 3 and 5, variances 2.5 and 10, five each.
    expect(statistic([1, 2, 3, 4, 5], [1, 3, 5, 7, 9])).toBeCloseTo(-2 / Math.sqrt(0.5 + 2), 12);
  });
});

describe('the kernel takes the same time', async () => {
  const bench = new Workbench(1 << 20);
  const kernel = await bench.instantiate();
  const able = SUITES.filter(
    ({ encr, keyBits, integ }) => kernel.keyStateLength(encr ?? 0, keyBits / 8, integ) >>> 0 !== 0xffffffff,
  );

  const layOut = (suite: CipherSuite): { readonly key: number; readonly packets: PacketView[] } => {
    bench.clear();
    const random = new Random(3);
    const lengths = suiteLengths(suite);
    const key = bench.key(suite, {
      key: random.bytes(lengths.key),
      salt: random.bytes(lengths.salt),
      integKey: random.bytes(lengths.integKey),
    });
    const spec = { key, iv: random.bytes(lengths.iv), aad: random.bytes(8 + (lengths.integKey > 0 ? lengths.iv : 0)) };
    const packets = bench.packets(Array.from({ length: PACKETS }, () => ({ ...spec, payload: random.bytes(BYTES) })));
    return { key, packets };
  };

  /** One class has the same keys every time. */
  const rekeying = (suite: CipherSuite, key: number) => {
    const lengths = suiteLengths(suite);
    const inputs = new Inputs(lengths.key + lengths.integKey);
    return (inputClass: InputClass) => {
      const drawn = inputs.draw(inputClass);
      bench.kernel.bytes.set(drawn.subarray(0, lengths.key), key + L.KEY_KEY);
      bench.kernel.bytes.set(drawn.subarray(lengths.key), key + L.KEY_INTEG_KEY);
    };
  };

  const filling = (packets: readonly PacketView[]) => {
    const inputs = new Inputs(PACKETS * BYTES);
    return (inputClass: InputClass) => {
      const drawn = inputs.draw(inputClass);
      for (const [i, { payload }] of packets.entries()) payload.set(drawn.subarray(i * BYTES, (i + 1) * BYTES));
    };
  };

  const EXPERIMENTS: Readonly<Record<string, (suite: CipherSuite) => Experiment>> = {
    'to seal whatever data': (suite) => {
      const { packets } = layOut(suite);
      return { prepare: filling(packets), run: () => kernel.sealBatch(packets[0]!.descriptor, PACKETS) };
    },
    'to open whatever data': (suite) => {
      const { packets } = layOut(suite);
      const fill = filling(packets);
      const prepare = (inputClass: InputClass) => {
        fill(inputClass);
        kernel.sealBatch(packets[0]!.descriptor, PACKETS);
      };
      return { prepare, run: () => kernel.openBatch(packets[0]!.descriptor, PACKETS) };
    },
    'to seal with whatever key': (suite) => {
      const { key, packets } = layOut(suite);
      const rekey = rekeying(suite, key);
      const prepare = (inputClass: InputClass) => {
        rekey(inputClass);
        kernel.setupKey(key);
      };
      return { prepare, run: () => kernel.sealBatch(packets[0]!.descriptor, PACKETS) };
    },
    'to open with whatever key': (suite) => {
      const { key, packets } = layOut(suite);
      const rekey = rekeying(suite, key);
      const prepare = (inputClass: InputClass) => {
        rekey(inputClass);
        kernel.setupKey(key);
        kernel.sealBatch(packets[0]!.descriptor, PACKETS);
      };
      return { prepare, run: () => kernel.openBatch(packets[0]!.descriptor, PACKETS) };
    },
    'to set up whatever key': (suite) => {
      const { key } = layOut(suite);
      const run = () => {
        for (let i = 0; i < SETUPS; i++) kernel.setupKey(key);
      };
      return { prepare: rekeying(suite, key), run };
    },
  };

  const cases = Object.entries(EXPERIMENTS).flatMap(([what, make]) =>
    able.map((suite) => [what, suiteName(suite), make, suite] as const),
  );
  it.each(cases)('%s: %s', (_what, _name, make, suite) => {
    expect(persistentDifference(make(suite), MEASUREMENTS, ATTEMPTS)).toBeLessThan(DIFFERENT);
  });
});

describe('it is noticed', async () => {
  const leaky = await instantiateLeaky(compileLeaky());
  const bytes = new Uint8Array(leaky.memory.buffer);
  const at = leaky.data.value;
  leaky.initialise();

  it('that a table AES takes its time by the data', () => {
    leaky.setupKey(at);
    const inputs = new Inputs(16);
    // What else runs on a core has the table out of its first-level cache from time to time.
    const others = new Uint8Array(1 << 18);
    const prepare = (inputClass: InputClass) => {
      for (let line = 0; line < others.length; line += 64) others[line]!++;
      for (let block = 0; block < 8; block++) bytes.set(inputs.draw(inputClass), at + block * 16);
    };
    expect(welch({ prepare, run: () => leaky.encrypt(at, 8) }, MEASUREMENTS)).toBeGreaterThan(DIFFERENT);
  });

  it('that a comparison stops at the first difference', () => {
    const inputs = new Inputs(4096);
    bytes.set(inputs.draw('fixed'), at + 8192);
    const prepare = (inputClass: InputClass) => bytes.set(inputs.draw(inputClass), at);
    expect(welch({ prepare, run: () => leaky.equal(at, at + 8192, 4096) }, MEASUREMENTS)).toBeGreaterThan(DIFFERENT);
  });
});
