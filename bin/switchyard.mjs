#!/usr/bin/env node
// `npx switchyard`: builds where that is needed, also right after `npm ci`, then is the tool.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { isFresh } from '../scripts/freshness.mjs';
import '../scripts/node-version.mjs';

if (!isFresh()) {
  const build = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../scripts/build.mjs');
  const { status } = spawnSync(process.execPath, [build], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
await import('../dist/server/cli.js');
