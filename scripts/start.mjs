// `npm start`: builds where that is needed, then is the server. One process, so that a signal for npm reaches it.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { isFresh } from './freshness.mjs';
import './node-version.mjs';

if (!isFresh()) {
  const build = path.join(path.dirname(fileURLToPath(import.meta.url)), 'build.mjs');
  const { status } = spawnSync(process.execPath, [build], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
await import('../dist/server/main.js');
