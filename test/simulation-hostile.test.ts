import { describe, expect, test } from 'vitest';
import { flood } from './simulation/flood.ts';
import { heapInUse } from './simulation/heap.ts';
import { HostileRun } from './simulation/hostile.ts';

describe('a responder with an established SA beside it', () => {
  test('stands a hundred thousand hostile messages, from outside and with the keys', { timeout: 240_000 }, () => {
    const report = new HostileRun(1).run(100_000, heapInUse);
    expect(report.answered).toBeGreaterThan(1_500);
    expect(report.sessions).toBeGreaterThan(1_000);
    expect(report.mostHalfOpen).toBeLessThanOrEqual(1_000);
    // What lingers by design for half a minute is in both; nothing else may pile up.
    expect(report.heapAtLast - report.heapAtFirst).toBeLessThan(24 * 1024 * 1024);
  });

  test('lets an honest initiator in within three seconds of 20 000 spoofed requests a second', () => {
    const report = flood(20_000, 8_000);
    expect(report.establishedAfter).toBeLessThanOrEqual(3_000);
    expect(report.mostHalfOpen).toBeLessThanOrEqual(1_000);
  });

  test('lets it in, too, if all of them bear its own address', () => {
    const report = flood(20_000, 8_000, true);
    expect(report.establishedAfter).toBeLessThanOrEqual(3_000);
    expect(report.mostHalfOpen).toBeLessThanOrEqual(5);
  });
});
