// Whether dist/ is newer than every source, and the packages are as a build leaves them.
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { isAdapted } from './adapt-library.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const sources = [
  'src',
  'bench',
  'csv',
  'console',
  'Docs/OPERATIONAL_RUNBOOK.md',
  'scripts/build.mjs',
  'scripts/build-console.mjs',
  'scripts/bundle.mjs',
  'tsconfig.json',
  'tsconfig.build.json',
];
/** Written by a build that succeeded, last. */
export const stamp = path.join(root, 'dist', '.built');

function newest(entry) {
  const stat = statSync(entry, { throwIfNoEntry: false });
  if (stat === undefined) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(entry).map((name) => newest(path.join(entry, name))));
}

export function isFresh() {
  // An image holds dist/ without src/: there is nothing to build from, and nothing to build.
  if (!existsSync(path.join(root, 'src'))) return true;
  if (!isAdapted()) return false;
  const built = statSync(stamp, { throwIfNoEntry: false });
  return built !== undefined && sources.every((name) => newest(path.join(root, name)) <= built.mtimeMs);
}
