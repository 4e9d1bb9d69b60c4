/**
 * Verifies, then measures. All backends work on the same packets in the same memory; a figure's
 * rounds are taken in turn with everyone else's, so that a slow moment of the machine hits all.
 */
import { type CipherSuite, suiteName } from '../../src/algorithms.ts';
import type { CryptoBackend, Direction } from '../../src/dataplane/backends/backend.ts';
import { isModulePath, loadBackend } from '../../src/dataplane/backends/index.ts';
import { PacketBackend } from '../../src/dataplane/backends/packet-backend.ts';
import { Workbench } from '../../src/dataplane/backends/workbench.ts';
import { chooseBuild, type KernelBuild } from '../../src/dataplane/kernel.ts';
import { EspalierError } from '../../src/errors.ts';
import { describeMachine, describeNode, type Machine, type NodeVersions } from '../machine.ts';
import { type Spread, spread } from '../medians.ts';
import { opensslSpeed } from './openssl-speed.ts';
import { sodiumCiphers } from './sodium.ts';
import { layOutBatches, timeBatches } from './timing.ts';
import { verify } from './verify.ts';

export interface Plan {
  /** Timed work for each figure. */
  readonly seconds: number;
  readonly suites: readonly CipherSuite[];
  /** Names of backends, `libsodium`, or paths of modules. */
  readonly backends: readonly string[];
  readonly opensslSpeed: boolean;
  readonly bytes: readonly number[];
  readonly batches: readonly number[];
  /** Add mixed batches: 7 × 64, 4 × 576, 1 × 1408 bytes. */
  readonly imix: boolean;
}

export interface Result {
  /** `aead`: packets of one length. `imix`: mixed ones, `bytes` is their mean. */
  readonly suite: 'aead' | 'imix';
  readonly algorithm: string;
  readonly backend: string;
  readonly direction: Direction;
  readonly bytes: number;
  readonly batch: number;
  /** Megabytes (10^6) of payload a second. */
  readonly mbps: Spread;
}

export interface Report {
  readonly machine: Machine;
  readonly node: NodeVersions;
  /** Build of the kernel. */
  readonly build: KernelBuild;
  readonly command: string;
  readonly results: readonly Result[];
  /** `openssl speed`, sealing: MB/s by algorithm and bytes; what native code does in a loop. */
  readonly limits: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

const ROUNDS = 5;
/** Bytes of packets that a measurement goes round in: a core's second-level cache holds them. */
const SET_BYTES = 262_144;
const MEMORY = 32 << 20;
const WARM_UP_MS = 25;
/** 7:4:1 by packets, the usual Internet mix. */
const IMIX = [64, 576, 64, 64, 576, 64, 1408, 64, 576, 64, 64, 576];
export const IMIX_BATCH = 256;

type Log = (line: string) => void;

export async function measureAll(plan: Plan, log: Log): Promise<Report> {
  const build = chooseBuild();
  const bench = new Workbench(MEMORY);
  const backends = await createBackends(plan.backends, bench, build, log);
  const results: Result[] = [];
  for (const suite of plan.suites) {
    const able = backends.filter((backend) => backend.supports(suite));
    if (able.length === 0) continue;
    verify(bench, suite, able);
    const names = able.map(({ name }) => name).join(', ');
    log(`${suiteName(suite)}: ${names} agree; measuring`);
    warmUp(bench, suite, able);
    for (const cell of cells(plan)) results.push(...measureCell(bench, suite, able, cell, plan.seconds));
  }
  const limits: Record<string, Record<string, number>> = {};
  if (plan.opensslSpeed) {
    for (const row of opensslSpeed(plan.suites, plan.bytes, log)) {
      results.push(row);
      if (row.direction === 'seal') {
        limits[row.algorithm] = { ...limits[row.algorithm], [row.bytes]: row.mbps.median };
      }
    }
  }
  for (const backend of backends) backend.close();
  const command = `node ${process.argv.slice(1).map(basename).join(' ')}`;
  return { machine: describeMachine(), node: describeNode(), build, command, results, limits };
}

const basename = (argument: string): string => argument.replace(/^.*\/(dist\/bench\/)/, '$1');

async function createBackends(
  names: readonly string[],
  bench: Workbench,
  build: KernelBuild,
  log: Log,
): Promise<CryptoBackend[]> {
  const exports = await bench.instantiate(build);
  const backends: CryptoBackend[] = [];
  for (const name of names) {
    try {
      backends.push(
        name === 'libsodium'
          ? new PacketBackend(bench.kernel, await sodiumCiphers())
          : await loadBackend(name, bench.kernel, exports),
      );
    } catch (error) {
      // One that this machine cannot run is left out; one that does not exist is a mistake.
      if (isModulePath(name) || (error instanceof EspalierError && error.code === 'ERR_BACKEND')) throw error;
      log(`${name}: left out, ${(error as Error).message}`);
    }
  }
  return backends;
}

interface Cell {
  readonly suite: Result['suite'];
  readonly direction: Direction;
  readonly bytes: number;
  readonly lengths: readonly number[];
}

function* cells({ bytes, batches, imix }: Plan): Generator<Cell> {
  const directions = ['seal', 'open'] as const;
  for (const direction of directions) {
    for (const length of bytes) {
      for (const batch of batches) {
        yield { suite: 'aead', direction, bytes: length, lengths: new Array<number>(batch).fill(length) };
      }
    }
    if (imix) {
      const lengths = Array.from({ length: IMIX_BATCH }, (_, i) => IMIX[i % IMIX.length]!);
      const mean = Math.round(lengths.reduce((sum, length) => sum + length, 0) / IMIX_BATCH);
      yield { suite: 'imix', direction, bytes: mean, lengths };
    }
  }
}

function warmUp(bench: Workbench, suite: CipherSuite, backends: readonly CryptoBackend[]): void {
  for (const count of [1, 32]) {
    bench.clear();
    const set = layOutBatches(bench, suite, new Array<number>(count).fill(1024), SET_BYTES);
    for (const backend of backends) timeBatches(backend, 'open', set, WARM_UP_MS);
  }
}

function measureCell(
  bench: Workbench,
  suite: CipherSuite,
  backends: readonly CryptoBackend[],
  cell: Cell,
  seconds: number,
): Result[] {
  bench.clear();
  const set = layOutBatches(bench, suite, cell.lengths, SET_BYTES);
  const payload = set.batches[0]!.reduce((sum, packet) => sum + packet.payload.length, 0);
  const slice = (seconds * 1000) / ROUNDS;
  const rates = backends.map(() => [] as number[]);
  // The first round only brings code and data to where they will be.
  for (let round = -1; round < ROUNDS; round++) {
    for (const [i, backend] of backends.entries()) {
      const time = timeBatches(backend, cell.direction, set, round < 0 ? slice / 4 : slice);
      // Bytes a nanosecond are gigabytes a second.
      if (round >= 0) rates[i]!.push((payload / time) * 1000);
    }
  }
  return backends.map((backend, i) => ({
    suite: cell.suite,
    algorithm: suiteName(suite),
    backend: backend.name,
    direction: cell.direction,
    bytes: cell.bytes,
    batch: cell.lengths.length,
    mbps: spread(rates[i]!),
  }));
}
