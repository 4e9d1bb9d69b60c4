/** The crypto benchmark: that it verifies before it times, and what it makes of its figures. */
import { describe, expect, it } from 'vitest';
import { barChart, lineChart } from '../../bench/chart.ts';
import { draw } from '../../bench/crypto/pictures.ts';
import { compareWithTargets } from '../../bench/crypto/ratios.ts';
import { printReport } from '../../bench/crypto/report.ts';
import { measureAll, type Plan, type Result } from '../../bench/crypto/run.ts';
import { type CipherSuite, ENCR, INTEG } from '../../src/algorithms.ts';
import { packagePath } from '../../src/package-root.ts';

const CHACHA: CipherSuite = { encr: ENCR.CHACHA20_POLY1305, keyBits: 256, integ: INTEG.NONE };

const plan: Plan = {
  seconds: 0.005,
  suites: [CHACHA],
  backends: ['wasm', 'node', 'libsodium'],
  opensslSpeed: false,
  bytes: [64, 1408],
  batches: [32],
  imix: true,
};

const row = (backend: string, median: number, bytes = 1408): Result => ({
  suite: 'aead',
  algorithm: 'chacha20poly1305',
  backend,
  direction: 'seal',
  bytes,
  batch: 32,
  mbps: { min: median, median, max: median },
});

describe('the crypto benchmark', () => {
  it('has a row for every backend, direction and size, and draws them', async () => {
    const report = await measureAll(plan, () => {});
    expect(report.results).toHaveLength(3 * 2 * 3);
    for (const { mbps } of report.results) {
      expect(mbps.min).toBeGreaterThan(0);
      expect(mbps.min).toBeLessThanOrEqual(mbps.median);
      expect(mbps.median).toBeLessThanOrEqual(mbps.max);
    }
    expect(Object.keys(draw(report))).toEqual(['crypto-chacha20poly1305.svg']);
  });

  it('does not time a backend that disagrees', async () => {
    const wrong = packagePath('test', 'backends', 'wrong.js');
    await expect(measureAll({ ...plan, backends: ['node', wrong] }, () => {})).rejects.toThrow(/wrong/);
  });

  it('says which targets are reached', () => {
    const targets = compareWithTargets([row('wasm', 1000), row('node', 200), row('libsodium', 400)]);
    expect(targets.map(({ ratio, reached }) => [ratio, reached])).toEqual([
      [5, true],
      [2.5, false],
    ]);
  });

  it('holds hybrid against the better of the two it chooses from, at its worst size', () => {
    const figures = [row('wasm', 100, 64), row('openssl', 50, 64), row('hybrid', 99, 64)];
    const large = [row('wasm', 100), row('openssl', 200), row('hybrid', 100)];
    expect(compareWithTargets([...figures, ...large])).toEqual([
      expect.objectContaining({ ratio: 0.5, reached: false, what: expect.stringContaining('1408 B') }),
    ]);
  });

  it('prints hybrid over the better of the two at every size', () => {
    const results = [row('wasm', 100, 64), row('openssl', 50, 64), row('hybrid', 99, 64)];
    results.push(row('wasm', 100), row('openssl', 200), row('hybrid', 190));
    const lines: string[] = [];
    const machine = { cpu: '', cores: 2, memoryGiB: 1, system: '', load: 0, date: '' };
    const node = { version: '', v8: '', openssl: '' };
    printReport({ machine, node, build: 'plain', command: '', results, limits: {} }, [], (line) => lines.push(line));
    expect(lines.join('\n')).toMatch(/hybrid\/better\n +64 .* 0\.99\n +1408 .* 0\.95$/);
  });

  it('holds AES-256-GCM to its ratio on Node.js 26', () => {
    const aes256 = (backend: string, median: number) => ({ ...row(backend, median), algorithm: 'aes256gcm16' });
    const targets = compareWithTargets([aes256('wasm', 145), aes256('node', 100)]);
    expect(targets.map(({ reached }) => reached)).toEqual(process.versions.node.startsWith('26.') ? [false] : []);
  });
});

describe('charts', () => {
  it('escape what they are given and keep every point inside', () => {
    const points = [64, 1408].map((x) => [x, x * 2] as const);
    const svg = lineChart({
      title: 'a < b',
      subtitle: '',
      xLabel: 'x',
      yLabel: 'y',
      series: [{ name: 'one', points }],
    });
    expect(svg).toContain('a &lt; b');
    const circles = [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);
    expect(circles).toHaveLength(2);
    for (const [x, y] of circles) expect(x! > 0 && x! < 820 && y! > 0 && y! < 440).toBe(true);
  });

  it('draw bars as long as their values', () => {
    const bars = [
      { name: 'one', value: 100 },
      { name: 'two', value: 50 },
    ];
    const svg = barChart({ title: '', subtitle: '', unit: 'MB/s', groups: [{ name: 'group', bars }] });
    const widths = [...svg.matchAll(/<rect x="170"[^>]* width="([\d.]+)"/g)].map(([, width]) => Number(width));
    expect(widths[0]).toBe(widths[1]! * 2);
  });
});
