// `npm run simulate`: compiles when a source is newer than dist/, then simulates many servers on virtual time.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const run = (args) => spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status ?? 1;
process.exitCode =
  run(['scripts/build.mjs', '--if-needed']) ||
  run(['--enable-source-maps', 'dist/bench/simulate.js', ...process.argv.slice(2)]);
