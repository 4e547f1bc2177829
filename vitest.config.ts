import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // For what hangs; a loaded machine is only slow.
    testTimeout: 120_000,
    hookTimeout: 240_000,
    pool: 'forks',
    // Most tests wait for other processes, hosts and clocks; vitest's own choice on two cores is one at a time.
    maxWorkers: 4,
    reporters: ['default'],
  },
});
