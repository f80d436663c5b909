// Compiles on every change and restarts the server when dist/ changes.
import { spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
// Groups of their own: a Ctrl-C reaches them once, from here, and not from the terminal too.
const run = (args) => spawn(process.execPath, args, { cwd: root, stdio: 'inherit', detached: true });
spawnSync(process.execPath, ['scripts/build.mjs'], { cwd: root, stdio: 'inherit' });
const children = [
  run(['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--watch', '--preserveWatchOutput']),
  run(['--enable-source-maps', '--watch-path=dist/src', 'dist/src/main.js']),
];
let lastMs = Number.NEGATIVE_INFINITY;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    // npm passes on what the terminal has sent already.
    if (performance.now() - lastMs < 500) return;
    lastMs = performance.now();
    for (const child of children) child.kill(signal === 'SIGHUP' ? 'SIGTERM' : signal);
  });
}
