import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { monotonic } from '../src/clock.ts';

describe('the monotonic clock', () => {
  afterEach(() => void vi.useRealTimers());

  test('goes on when the time of day is set', () => {
    const before = monotonic();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 3_600_000 });
    expect(monotonic() - before).toBeGreaterThanOrEqual(0);
    vi.setSystemTime(Date.now() + 7_200_000);
    expect(monotonic() - before).toBeLessThan(60_000);
  });

  test('shows the same in another thread', async () => {
    const source = "require('node:worker_threads').parentPort.postMessage(process.hrtime())";
    const before = monotonic();
    const [[seconds, nanoseconds]] = (await once(new Worker(source, { eval: true }), 'message')) as [[number, number]];
    const there = seconds * 1000 + nanoseconds / 1e6;
    expect(there).toBeGreaterThanOrEqual(before);
    expect(there).toBeLessThanOrEqual(monotonic() + 1);
  });
});
