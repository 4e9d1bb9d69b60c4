/**
 * What every crypto backend must do, checked on the backend of that name or module:
 * `espalier backend test ./my-backend.js`. Each check is independent and says what it found.
 *
 * Results are compared with another implementation: `node`, or `wasm` where `node` is on trial.
 */
import * as L from '../../../assembly/layout.ts';
import { type CipherSuite, ENCR, INTEG, suiteLengths, suiteName } from '../../algorithms.ts';
import type { KernelExports } from '../kernel.ts';
import type { CryptoBackend, KernelMemory } from './backend.ts';
import { KNOWN_ANSWERS, knownAnswerFailure } from './known-answers.ts';
import { ALL_SUITES } from './suites.ts';
import { type PacketSpec, type PacketView, type SuiteKeys, Workbench } from './workbench.ts';

export interface CheckResult {
  /** A sentence that is true of a backend that conforms. */
  readonly name: string;
  readonly ok: boolean;
  /** What was found instead, or how much was tried. */
  readonly detail: string;
}

/** Makes a backend over a memory and the kernel that is instantiated over it. */
export type MakeBackend = (kernel: KernelMemory, exports: KernelExports) => Promise<CryptoBackend>;

export interface Trial {
  readonly bench: Workbench;
  readonly backend: CryptoBackend;
  readonly reference: CryptoBackend;
  /** Sealed or opened so far. */
  packets: number;
}

type Check = (trial: Trial, suite: CipherSuite) => string | undefined;

/** Lengths around every edge: none, blocks, vectors, what fits an Ethernet frame, more than a page. */
const LENGTHS = [0, 1, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 127, 128, 255, 256, 300, 511, 513, 576, 1024, 1280];
const LONG_LENGTHS = [1399, 1408, 1500, 4096, 8192, 9000];

/** Per suite, each on a clear workbench. @returns what is wrong, or nothing */
const SUITE_CHECKS: Readonly<Record<string, Check>> = {
  'seals like another implementation, alone and in batches': (trial, suite) => {
    const key = trial.bench.key(suite, randomKeys(suite));
    for (const lengths of [...LENGTHS.map((length) => [length]), LENGTHS, LONG_LENGTHS, shuffled(LENGTHS)]) {
      const failure = compareSeal(
        trial,
        lengths.map((length) => randomSpec(suite, key, length)),
      );
      if (failure !== undefined) return failure;
    }
    return undefined;
  },
  'opens what another implementation sealed': (trial, suite) => {
    const key = trial.bench.key(suite, randomKeys(suite));
    for (const lengths of [...LENGTHS.map((length) => [length]), LENGTHS, LONG_LENGTHS, shuffled(LENGTHS)]) {
      const specs = lengths.map((length) => randomSpec(suite, key, length));
      const failure = compareOpen(trial, sealed(trial, specs), specs);
      if (failure !== undefined) return failure;
    }
    return undefined;
  },
  'refuses and zeroes what has been changed, and only that': (trial, suite) => {
    const key = trial.bench.key(suite, randomKeys(suite));
    const specs = [20, 64, 200, 1408, 33, 0].map((length) => randomSpec(suite, key, length));
    for (const change of CHANGES) {
      const genuine = sealed(trial, specs);
      const forged = genuine.map((spec, i) => (i % 2 === 0 ? change(spec) : spec));
      const failure = compareOpen(
        trial,
        forged,
        specs.map((spec, i) => (forged[i] === genuine[i] ? spec : undefined)),
      );
      if (failure !== undefined) return failure;
    }
    return undefined;
  },
  'tells an SA from the next one in the same KEY block': (trial, suite) => {
    const { bench, backend, reference } = trial;
    const key = bench.key(suite, randomKeys(suite));
    const before = compareSeal(trial, [randomSpec(suite, key, 100)]);
    const old = sealed(trial, [randomSpec(suite, key, 100)]);
    bench.rekey(key, randomKeys(suite));
    reference.forget(key);
    const after = compareSeal(trial, [randomSpec(suite, key, 100)]) ?? compareOpen(trial, old, [undefined]);
    backend.forget(key);
    return before ?? after ?? compareSeal(trial, [randomSpec(suite, key, 100)]);
  },
};

const flip = (data: Uint8Array, at: number) => data.map((byte, i) => (i === at ? byte ^ 0x10 : byte));

/** Ways to forge a packet; a part that is empty is left, and the ICV changed instead. */
const CHANGES: readonly ((spec: PacketSpec) => PacketSpec)[] = [
  (spec) => ({ ...spec, icv: flip(spec.icv!, 0) }),
  (spec) => ({ ...spec, icv: flip(spec.icv!, spec.icv!.length - 1) }),
  (spec) => ({ ...spec, aad: flip(spec.aad, 0) }),
  (spec) => ({ ...spec, aad: flip(spec.aad, 7) }),
  (spec) => (spec.payload.length > 0 ? { ...spec, payload: flip(spec.payload, 0) } : changeIcv(spec)),
  (spec) =>
    spec.payload.length > 0 ? { ...spec, payload: flip(spec.payload, spec.payload.length - 1) } : changeIcv(spec),
  (spec) =>
    spec.payload.length > 16 ? { ...spec, payload: flip(spec.payload, spec.payload.length >> 1) } : changeIcv(spec),
];
const changeIcv = (spec: PacketSpec): PacketSpec => ({ ...spec, icv: flip(spec.icv!, 3) });

/** Of all suites together. */
const BATCH_CHECKS: Readonly<Record<string, (trial: Trial, suites: readonly CipherSuite[]) => string | undefined>> = {
  'seals and opens batches of 1 to 600 packets of many SAs': (trial, suites) => {
    for (const count of [1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 64, 100, 600]) {
      trial.bench.clear();
      const keys = suites.map((suite) => ({ suite, key: trial.bench.key(suite, randomKeys(suite)) }));
      const specs = Array.from({ length: count }, () => {
        const { suite, key } = keys[below(keys.length)]!;
        return randomSpec(suite, key, below(400));
      });
      const failure = compareSeal(trial, specs) ?? compareOpen(trial, sealed(trial, specs), specs);
      if (failure !== undefined) return `batch of ${count}: ${failure}`;
    }
    return undefined;
  },
  'does nothing with an empty batch': ({ backend, bench }) => {
    backend.seal(bench.allocate(0), 0);
    backend.open(bench.allocate(0), 0);
    return undefined;
  },
  'leaves the rest of a descriptor alone': ({ backend, bench }, suites) => {
    const suite = suites[0]!;
    const [packet] = bench.packets([randomSpec(suite, bench.key(suite, randomKeys(suite)), 64)]) as [PacketView];
    const words = bench.kernel.words.subarray(packet.descriptor >>> 2, (packet.descriptor + L.PACKET_SIZE) >>> 2);
    words.fill(0x5a5a5a5a, L.PACKET_USER0 >>> 2);
    const before = words.slice();
    backend.seal(packet.descriptor, 1);
    before[L.PACKET_STATUS >>> 2] = words[L.PACKET_STATUS >>> 2]!;
    return words.every((word, i) => word === before[i]) ? undefined : 'a field other than STATUS has changed';
  },
  'refuses lengths that a block cipher cannot take': ({ backend, bench }, suites) => {
    const suite = suites.find(({ encr }) => encr === ENCR.AES_CBC);
    if (suite === undefined) return undefined;
    const key = bench.key(suite, randomKeys(suite));
    for (const direction of ['seal', 'open'] as const) {
      const [packet] = bench.packets([{ ...randomSpec(suite, key, 32), payload: random(33) }]) as [PacketView];
      const before = packet.payload.slice();
      backend[direction](packet.descriptor, 1);
      if (packet.status() !== L.STATUS_BAD_LENGTH) return `${direction}: STATUS ${packet.status()}`;
      if (Buffer.compare(before, packet.payload) !== 0) return `${direction}: the payload has changed`;
    }
    return undefined;
  },
};

/**
 * Runs all checks on a fresh backend.
 * @param make makes the backend on trial
 * @param makeReference makes the one it is compared with
 */
export async function* conform(make: MakeBackend, makeReference: MakeBackend): AsyncGenerator<CheckResult> {
  const bench = new Workbench(8 << 20);
  const exports = await bench.instantiate();
  const reference = await makeReference(bench.kernel, exports);
  let backend: CryptoBackend;
  try {
    backend = await make(bench.kernel, exports);
  } catch (error) {
    yield { name: 'can be made', ok: false, detail: (error as Error).message };
    return;
  }
  const trial: Trial = { bench, backend, reference, packets: 0 };
  const known = ALL_SUITES.filter((suite) => reference.supports(suite));
  const suites = known.filter((suite) => backend.supports(suite));
  const others = known.filter((suite) => !backend.supports(suite)).map(suiteName);
  yield { name: 'supports at least one suite', ok: suites.length > 0, detail: `${suites.length} of ${known.length}` };
  if (suites.length === 0) return;
  yield check('supports no suite that does not exist', () =>
    backend.supports({ encr: 255, keyBits: 128, integ: INTEG.NONE }) ? 'it claims ENCR 255' : undefined,
  );
  const answers = KNOWN_ANSWERS.filter(({ suite }) => backend.supports(suite));
  yield check(
    'gives the known answers',
    () => {
      const wrong = answers.filter((answer) => knownAnswerFailure(backend, bench, answer));
      return wrong.length === 0 ? undefined : `wrong: ${wrong.map(({ suite }) => suiteName(suite)).join(', ')}`;
    },
    () => `${answers.length} vectors`,
  );
  for (const [name, run] of Object.entries(SUITE_CHECKS)) {
    for (const suite of suites) {
      bench.clear();
      trial.packets = 0;
      yield check(
        `${suiteName(suite)} ${name}`,
        () => run(trial, suite),
        () => `${trial.packets} packets`,
      );
    }
  }
  for (const [name, run] of Object.entries(BATCH_CHECKS)) {
    bench.clear();
    trial.packets = 0;
    yield check(
      name,
      () => run(trial, suites),
      () => `${trial.packets} packets`,
    );
  }
  yield check('survives close', () => {
    backend.forget(L.STATIC_END);
    backend.close();
    backend.close();
    return undefined;
  });
  const left = others.length === 0 ? 'none' : others.join(', ');
  yield { name: "leaves to 'wasm' what it does not support", ok: true, detail: left };
}

/** @param run returns what is wrong, or nothing */
function check(name: string, run: () => string | undefined, passed = () => 'as it should be'): CheckResult {
  try {
    const failure = run();
    return { name, ok: failure === undefined, detail: failure ?? passed() };
  } catch (error) {
    return { name, ok: false, detail: `throws ${(error as Error).message}` };
  }
}

/** Has both seal the packets. @returns the first difference */
function compareSeal(trial: Trial, specs: readonly PacketSpec[]): string | undefined {
  const { bench, backend, reference } = trial;
  trial.packets += specs.length;
  const [ours, theirs] = [bench.packets(specs), bench.packets(specs)];
  backend.seal(ours[0]!.descriptor, ours.length);
  reference.seal(theirs[0]!.descriptor, theirs.length);
  for (const [i, packet] of ours.entries()) {
    const what = `packet ${i} of ${ours.length}, ${packet.payload.length} bytes`;
    if (packet.status() !== L.STATUS_OK) return `${what}: STATUS ${packet.status()}`;
    if (Buffer.compare(packet.payload, theirs[i]!.payload) !== 0) return `${what}: another ciphertext`;
    if (Buffer.compare(packet.icv, theirs[i]!.icv) !== 0) return `${what}: another ICV`;
    if (!packet.intact()) return `${what}: bytes around the packet have changed`;
  }
  return undefined;
}

/** @returns the packets as the other implementation seals them */
function sealed({ bench, reference }: Trial, specs: readonly PacketSpec[]): PacketSpec[] {
  const views = bench.packets(specs);
  reference.seal(views[0]!.descriptor, views.length);
  return specs.map((spec, i) => ({ ...spec, payload: views[i]!.payload.slice(), icv: views[i]!.icv.slice() }));
}

/** @param plain what each packet has in it, nothing for one that must be refused */
function compareOpen(
  trial: Trial,
  specs: readonly PacketSpec[],
  plain: readonly (PacketSpec | undefined)[],
): string | undefined {
  const { bench, backend } = trial;
  trial.packets += specs.length;
  const views = bench.packets(specs);
  const icvs = views.map(({ icv }) => icv.slice());
  backend.open(views[0]!.descriptor, views.length);
  for (const [i, packet] of views.entries()) {
    const what = `packet ${i} of ${views.length}, ${packet.payload.length} bytes`;
    const wanted = plain[i];
    const status = wanted === undefined ? L.STATUS_BAD_ICV : L.STATUS_OK;
    if (packet.status() !== status) return `${what}: STATUS ${packet.status()} instead of ${status}`;
    const content = wanted?.payload ?? new Uint8Array(packet.payload.length);
    if (Buffer.compare(packet.payload, content) !== 0) return `${what}: ${wanted ? 'another plaintext' : 'not zeroed'}`;
    if (!packet.intact() || Buffer.compare(packet.icv, icvs[i]!) !== 0) return `${what}: other bytes have changed`;
  }
  return undefined;
}

// A small generator (xorshift32) with a fixed seed, so that a failure comes again.
let state = 0x2545f491;

function below(limit: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % limit;
}

const random = (length: number): Uint8Array => Uint8Array.from({ length }, () => below(256));

function shuffled(values: readonly number[]): number[] {
  return values
    .map((value) => [below(1 << 20), value] as const)
    .sort(([a], [b]) => a - b)
    .map(([, value]) => value);
}

function randomKeys(suite: CipherSuite): SuiteKeys {
  const { key, salt, integKey } = suiteLengths(suite);
  return { key: random(key), salt: random(salt), integKey: random(integKey) };
}

/** A packet of about that length, with ESN or without, at any alignment. */
function randomSpec(suite: CipherSuite, key: number, length: number): PacketSpec {
  const { iv: ivLength, block } = suiteLengths(suite);
  const iv = random(ivLength);
  const esn = below(2) === 1;
  const separate = suite.integ !== INTEG.NONE;
  return {
    key,
    iv,
    aad: separate ? Buffer.concat([random(8), iv]) : random(esn ? 12 : 8),
    payload: random(length - (block > 4 ? length % block : 0)),
    shift: below(64),
    ...(esn && { sequenceHigh: below(0x7fffffff) }),
  };
}
