import { defineConfig } from 'vitest/config';

/** Tests that need root, network namespaces and real peers; one at a time, they share two cores. */
export default defineConfig({
  test: {
    include: ['test/interop/**/*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
