import { defineConfig } from 'vitest/config';

/** For the files of tests here, which are run by a test. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['*.fixture.ts'],
    setupFiles: ['../leftovers.ts'],
    pool: 'forks',
    maxWorkers: 2,
  },
});
