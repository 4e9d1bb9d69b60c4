import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { packagePath } from '../../src/package-root.ts';

const folder = mkdtempSync(join(tmpdir(), 'espalier-scale-'));
afterAll(() => rmSync(folder, { recursive: true }));

it('bench scale measures what it has verified, and writes JSON and a picture', () => {
  const json = join(folder, 'scale.json');
  const command = [
    'scale',
    '--where',
    'kernel',
    '--counts',
    '1,30',
    '--seconds',
    '0.02',
    '--rounds',
    '1',
    '--json',
    json,
    '--charts',
    folder,
  ];
  const output = execFileSync(process.execPath, [packagePath('dist', 'bench', 'main.js'), ...command], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  expect(output).toContain('installs/s');
  const { results } = JSON.parse(readFileSync(json, 'utf8'));
  expect(results.map((result: { suite: string; count: number }) => [result.suite, result.count])).toEqual([
    ['scale', 1],
    ['scale', 30],
  ]);
  for (const figure of [
    'throughputMbps',
    'lookupNanos',
    'coldLookupNanos',
    'scatteredMbps',
    'bytesPerSa',
    'loadedInstallsPerSecond',
  ]) {
    expect(results[1][figure].median).toBeGreaterThan(0);
  }
  expect(readFileSync(join(folder, 'scale.svg'), 'utf8')).toContain('ten thousand');
});
