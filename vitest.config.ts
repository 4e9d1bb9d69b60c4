import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/interop/**', 'node_modules/**', 'dist/**'],
    pool: 'forks',
    // Against tests that hang: no test fails because the machine has more to do than it can.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
