import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const root = path.dirname(fileURLToPath(import.meta.url));

/**
 * Tests import the TypeScript sources by name and get what they were compiled to: the very files that
 * the server under test runs, so that one coverage report holds for both.
 */
const compiledSources = {
  name: 'compiled-sources',
  enforce: 'pre' as const,
  resolveId(source: string, importer: string | undefined) {
    if (!source.startsWith('.') || importer === undefined) return null;
    const file = path.resolve(path.dirname(importer), source);
    const relative = path.relative(root, file);
    if (!/^(src|csv|bench)\//.test(relative)) return null;
    return { id: path.join(root, 'dist', relative), external: 'absolute' as const };
  },
};

export default defineConfig({
  plugins: [compiledSources],
  test: {
    // Kills, outages and real programs beside each other on whatever machine CI has: one that fails is run once
    // more there, and the log tells both. On a developer's machine it fails.
    retry: process.env.CI_TOOLS_REQUIRED === '1' ? 1 : 0,
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/run/global-setup.ts'],
    setupFiles: ['test/support/run/coverage.ts', 'test/support/run/leftovers.ts'],
    pool: 'forks',
    // One more than the cores of the smallest machine: tests also wait, for processes and for time to pass.
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    server: { deps: { external: [/\/dist\//] } },
  },
});
