import { expect, it } from 'vitest';
import { BatchLimit } from '../../src/dataplane/batch-limit.ts';

const pass = (millis: number) => {
  for (const end = performance.now() + millis; performance.now() < end; );
};

function batches(limit: BatchLimit, count: number, millis: number, full = true): void {
  for (let batch = 0; batch < count; batch++) {
    const begun = limit.begin();
    if (begun > 0) pass(millis);
    limit.end(begun, full);
  }
}

it('makes batches smaller where they take long, down to a quarter', () => {
  const limit = new BatchLimit(512);
  batches(limit, 20, 0.5);
  expect(limit.limit).toBeLessThan(512);
  batches(limit, 40, 0.5);
  expect(limit.limit).toBe(128);
});

it('makes them larger again where they take little, and never than at first', () => {
  const limit = new BatchLimit(512);
  batches(limit, 40, 0.5);
  // One that was interrupted takes long too.
  for (let tries = 0; tries < 50 && limit.limit < 512; tries++) batches(limit, 9, 0);
  expect(limit.limit).toBe(512);
});

it('learns nothing from batches that were not full', () => {
  const limit = new BatchLimit(512);
  batches(limit, 40, 0.5, false);
  expect(limit.limit).toBe(512);
});
