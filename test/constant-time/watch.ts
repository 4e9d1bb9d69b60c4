/**
 * The tests of one build: no address, branch, select, division or length depends on a secret, and no
 * secret stays behind in the kernel's scratch.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as L from '../../assembly/layout.ts';
import { suiteName } from '../../src/algorithms.ts';
import { type PacketSpec, type PacketView, Workbench } from '../../src/dataplane/backends/workbench.ts';
import type { KernelBuild } from '../../src/dataplane/kernel.ts';
import { packagePath } from '../../src/package-root.ts';
import { Random } from '../crypto/laboratory.ts';
import { batchesOf, compile, keysOf, packetOf, WATCHED_SUITES, WatchedKernel } from './kernel.ts';
import { codeSection, decode } from './wasm/decode.ts';
import type { Finding } from './wasm/finding.ts';

/** Of loads, stores and branches in the functions of assembly/crypto: so many have been executed. */
const COVERAGE = 0.95;

export async function watch(build: KernelBuild): Promise<void> {
  // Compiled once more for the names of its functions.
  const named = compile(packagePath(), '--config', 'asconfig.json', '--target', build, '--debug');
  const watched = new WatchedKernel(decode(named));
  const bench = new Workbench(1 << 20);
  const real = await bench.instantiate(build);
  const suites = WATCHED_SUITES.filter(
    ({ encr, keyBits, integ }) => real.keyStateLength(encr ?? 0, keyBits / 8, integ) >>> 0 !== 0xffffffff,
  );

  /** Seals by machine and by the real kernel, then opens with every third packet forged. */
  const run = (specs: readonly PacketSpec[], realSpecs: readonly PacketSpec[]) => {
    const packets = watched.bench.packets(specs);
    const wanted = bench.packets(realSpecs);
    watched.run('seal', packets);
    real.sealBatch(wanted[0]!.descriptor, wanted.length);
    expect(packets.every((packet, i) => same(packet, wanted[i]!))).toBe(true);
    expect(told(watched.machine.takeFindings()), 'set-up and seal').toEqual([]);
    for (const [i, { icv }] of packets.entries()) if (i % 3 === 0) icv[1]! ^= 1;
    watched.run('open', packets);
    const forged = packets.filter((_, i) => i % 3 === 0).length;
    expect(packets.map((packet) => packet.status())).toEqual(
      packets.map((_, i) => (i % 3 === 0 ? L.STATUS_BAD_ICV : L.STATUS_OK)),
    );
    expectVerdictsOnly(watched.machine.takeFindings(), packets.length, forged);
  };

  /** The KEY block is wiped and forgotten when its SA goes, and the packets are gone: what is secret still? */
  const leftOvers = (key: number) => {
    watched.machine.call('forgetKey', key);
    watched.bench.clear();
    watched.machine.mark(L.STATIC_END + L.CRYPTO_SCRATCH_SIZE, 1 << 20, false);
    return watched.machine.secretRanges();
  };

  describe(`the ciphers of the ${build} build`, () => {
    it('are those of the kernel in build/', () => {
      const file = build === 'plain' ? 'kernel.wasm' : `kernel-${build}.wasm`;
      const shipped = new Uint8Array(readFileSync(packagePath('build', file)));
      expect(Buffer.compare(codeSection(named), codeSection(shipped))).toBe(0);
    });

    it.each(suites.map((suite) => [suiteName(suite), suite] as const))('%s', (_, suite) => {
      const random = new Random(11);
      watched.clear();
      bench.clear();
      const keys = keysOf(suite, random);
      const [key, realKey] = [watched.bench.key(suite, keys), bench.key(suite, keys)];
      for (const specs of batchesOf(suite, key, random)) {
        run(
          specs,
          specs.map((spec) => ({ ...spec, key: realKey })),
        );
      }
      expect(leftOvers(key)).toEqual([]);
    });

    it('many SAs in one batch', () => {
      const random = new Random(12);
      watched.clear();
      bench.clear();
      const all = suites.map((suite) => ({ suite, keys: keysOf(suite, random) }));
      const keys = all.map(({ suite, keys }) => [watched.bench.key(suite, keys), bench.key(suite, keys)] as const);
      // Half of them of one SA, enough to be sorted by length in buckets.
      const chosen = Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? 0 : i % all.length));
      const specs = chosen.map((i) => packetOf(all[i]!.suite, keys[i]![0], random.below(200), random));
      run(
        specs,
        specs.map((spec, i) => ({ ...spec, key: keys[chosen[i]!]![1] })),
      );
    });

    it('have been executed nearly everywhere', () => {
      const functions = watched.machine.coverage().filter(({ name }) => name.startsWith('assembly/crypto/'));
      const total = functions.reduce((sum, { total }) => sum + total, 0);
      const missed = functions.flatMap(({ name, missed }) => missed.map((at) => `${name} at ${at}`));
      expect(functions.length).toBeGreaterThan(10);
      expect(1 - missed.length / total, missed.join(', ')).toBeGreaterThan(COVERAGE);
    });
  });
}

/**
 * What `open` may let depend on a secret: whether the ICV is right, one branch for each packet, which
 * goes one way for the forged ones and the other way for the rest. It says nothing but STATUS.
 */
function expectVerdictsOnly(findings: readonly Finding[], packets: number, forged: number): void {
  expect(told(findings.filter(({ leak }) => leak !== 'branch')), 'open').toEqual([]);
  const sum = (count: (finding: Finding) => number) => findings.reduce((total, finding) => total + count(finding), 0);
  expect([sum(({ times }) => times), forgedOrGenuine(findings, packets, forged)], told(findings).join()).toEqual([
    packets,
    true,
  ]);
}

/** Is the number of branches taken that of forged packets, site by site either this way or that? */
function forgedOrGenuine(findings: readonly Finding[], packets: number, forged: number): boolean {
  // A site tests the difference itself (non-zero: forged) or that there is none.
  let possible = new Set([0]);
  for (const { times, nonzero } of findings) {
    possible = new Set([...possible].flatMap((total) => [total + nonzero, total + times - nonzero]));
  }
  return possible.has(forged) && possible.has(packets - forged);
}

const told = (findings: readonly Finding[]) =>
  findings.map(({ leak, function: name, at, times }) => `${leak} in ${name} at ${at}, ${times} times`);

const same = (a: PacketView, b: PacketView) =>
  Buffer.compare(a.payload, b.payload) === 0 && Buffer.compare(a.icv, b.icv) === 0;
