// `npm test`: compiles, runs every test on a real PostgreSQL that the run starts itself, and checks the
// coverage of src/, with what ran in the servers that the tests started. Arguments go to vitest; with a
// filter among them, coverage is not checked.
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const coverage = path.join(root, 'coverage');
const raw = path.join(coverage, 'raw');
const filters = process.argv.slice(2);

function run(args, environment = {}) {
  const result = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...environment },
  });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

run(['scripts/build.mjs', '--if-needed']);
rmSync(coverage, { recursive: true, force: true });
mkdirSync(raw, { recursive: true });
const report = path.join(coverage, 'tests.json');
run(
  [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...filters,
  ],
  filters.length === 0 ? { NODE_V8_COVERAGE: raw } : {},
);
if (filters.length === 0) {
  run(['scripts/trim-coverage.mjs', raw]);
  run(['node_modules/c8/bin/c8.js', 'report', '--config', 'scripts/coverage.json', '--temp-directory', raw]);
}
