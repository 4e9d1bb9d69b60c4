/** What the crypto kernel is held to: ratios of medians of one run, with their targets. */
import type { Direction } from '../../src/dataplane/backends/backend.ts';
import type { Result } from './run.ts';

/** One row of the results. */
interface Figure {
  readonly algorithm: string;
  readonly backend: string;
  readonly direction: Direction;
  readonly bytes: number;
  readonly batch: number;
}

export interface Target {
  readonly what: string;
  /** Median over median. */
  readonly ratio: number;
  readonly target: number;
  readonly reached: boolean;
}

type Rule = readonly [
  algorithm: string,
  direction: Direction,
  bytes: number | 'imix',
  batch: number,
  rival: string,
  target: number,
];

const release = Number.parseInt(process.versions.node, 10);
const node20 = release === 20;

/** `wasm` against a rival. */
const RULES: readonly Rule[] = [
  ['aes128gcm16', 'seal', 1408, 32, 'node', node20 ? 1.6 : 2],
  ['aes128gcm16', 'open', 1408, 32, 'node', node20 ? 1.4 : 1.8],
  ['aes128gcm16', 'seal', 64, 32, 'node', 20],
  ['aes128gcm16', 'open', 64, 32, 'node', 20],
  // Asked of Node.js 26, whose kernel does AES in bits.
  ...(release === 26
    ? ([
        ['aes256gcm16', 'seal', 1408, 32, 'node', 1.5],
        ['aes256gcm16', 'open', 1408, 32, 'node', 1.5],
      ] as const)
    : []),
  ['chacha20poly1305', 'seal', 1408, 32, 'node', 4],
  ['chacha20poly1305', 'open', 1408, 32, 'node', 4],
  ['chacha20poly1305', 'seal', 1408, 32, 'libsodium', 3],
  ['chacha20poly1305', 'open', 1408, 32, 'libsodium', 3],
  ['chacha20poly1305', 'seal', 64, 32, 'node', 20],
  ['chacha20poly1305', 'open', 64, 32, 'node', 20],
  ['aes128gcm16', 'seal', 1408, 1, 'node', 1.3],
  ['aes128gcm16', 'open', 1408, 1, 'node', 1.3],
  ['aes128gcm16', 'seal', 64, 1, 'node', 3],
  ['aes128gcm16', 'open', 64, 1, 'node', 3],
  ['chacha20poly1305', 'seal', 1408, 1, 'node', 1.3],
  ['chacha20poly1305', 'open', 1408, 1, 'node', 1.3],
  ['chacha20poly1305', 'seal', 64, 1, 'node', 3],
  ['chacha20poly1305', 'open', 64, 1, 'node', 3],
  ['aes128gcm16', 'seal', 'imix', 256, 'node', 5],
  ['aes128gcm16', 'open', 'imix', 256, 'node', 5],
  ['chacha20poly1305', 'seal', 'imix', 256, 'node', 5],
  ['chacha20poly1305', 'open', 'imix', 256, 'node', 5],
  ['aes128gcm16', 'seal', 1408, 32, 'noble', 12],
  ['aes128gcm16', 'open', 1408, 32, 'noble', 12],
  ['chacha20poly1305', 'seal', 1408, 32, 'noble', 6],
  ['chacha20poly1305', 'open', 1408, 32, 'noble', 6],
];

/** `hybrid` may lose that much against the better of the two it chooses from. */
const HYBRID = 0.95;
const NATIVE = 0.75;

/** @returns the targets for which the run has both figures */
export function compareWithTargets(results: readonly Result[]): Target[] {
  const find = (figure: Figure, imix: boolean) =>
    results.find(
      (row) =>
        row.algorithm === figure.algorithm &&
        row.backend === figure.backend &&
        row.direction === figure.direction &&
        row.batch === figure.batch &&
        (imix ? row.suite === 'imix' : row.suite === 'aead' && row.bytes === figure.bytes),
    )?.mbps.median;
  const targets: Target[] = [];
  const add = (what: string, ours: number | undefined, theirs: number | undefined, target: number) => {
    if (ours === undefined || theirs === undefined) return;
    const ratio = Math.round((ours / theirs) * 100) / 100;
    targets.push({ what, ratio, target, reached: ratio >= target });
  };
  for (const [algorithm, direction, bytes, batch, rival, target] of RULES) {
    const imix = bytes === 'imix';
    const figure = (backend: string): Figure => ({ algorithm, backend, direction, bytes: imix ? 0 : bytes, batch });
    const what = `${algorithm} ${direction}, ${imix ? 'IMIX' : `${bytes} B`}, ${batch} a call: wasm / ${rival}`;
    add(what, find(figure('wasm'), imix), find(figure(rival), imix), target);
  }
  const native: Figure = { algorithm: 'aes128gcm16', backend: 'openssl', direction: 'seal', bytes: 1408, batch: 32 };
  add(
    'aes128gcm16 seal, 1408 B: openssl / openssl speed',
    find(native, false),
    find({ ...native, backend: 'openssl-speed', batch: 1 }, false),
    NATIVE,
  );
  return [...targets, ...hybridTargets(results)];
}

/** @returns the median of a row of `hybrid` over that of the better of the two it chooses from; undefined without both */
export function hybridRatio(row: Result, results: readonly Result[]): number | undefined {
  const of = (backend: string) =>
    results.find(
      (other) =>
        other.backend === backend &&
        other.suite === row.suite &&
        other.algorithm === row.algorithm &&
        other.direction === row.direction &&
        other.bytes === row.bytes &&
        other.batch === row.batch,
    )?.mbps.median;
  const [wasm, openssl] = [of('wasm'), of('openssl')];
  return wasm === undefined || openssl === undefined ? undefined : row.mbps.median / Math.max(wasm, openssl);
}

/** The worst of each algorithm and direction. */
function hybridTargets(results: readonly Result[]): Target[] {
  const worst = new Map<string, { what: string; ratio: number }>();
  for (const row of results.filter(({ backend }) => backend === 'hybrid')) {
    const ratio = hybridRatio(row, results);
    if (ratio === undefined) continue;
    const id = `${row.algorithm} ${row.direction}`;
    const size = row.suite === 'imix' ? 'IMIX' : `${row.bytes} B`;
    if (ratio < (worst.get(id)?.ratio ?? Number.POSITIVE_INFINITY)) {
      worst.set(id, { what: `${id}, ${size}, ${row.batch} a call: hybrid / the better (worst case)`, ratio });
    }
  }
  return [...worst.values()].map(({ what, ratio }) => {
    const rounded = Math.round(ratio * 100) / 100;
    return { what, ratio: rounded, target: HYBRID, reached: rounded >= HYBRID };
  });
}
