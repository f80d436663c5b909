// `npm run bench`: compiles when a source is newer than dist/, then runs the bench with the arguments.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const run = (args) => spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status ?? 1;
process.exitCode =
  run(['scripts/build.mjs', '--if-needed']) ||
  run(['--enable-source-maps', 'dist/bench/main.js', ...process.argv.slice(2)]);
