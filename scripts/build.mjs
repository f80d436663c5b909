// Compiles TypeScript to dist/ and copies the SQL migrations beside the code that reads them.
// With --if-needed nothing happens when dist/ is newer than every source: `npm start` calls it so.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const stamp = path.join(root, 'dist', '.built');
const sources = ['src', 'bench', 'csv', 'scripts/build.mjs', 'tsconfig.json', 'tsconfig.build.json'];

function newest(entry) {
  const stat = statSync(entry, { throwIfNoEntry: false });
  if (stat === undefined) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(entry).map((name) => newest(path.join(entry, name))));
}

function isFresh() {
  // An image holds dist/ without src/: there is nothing to build from, and nothing to build.
  if (!existsSync(path.join(root, 'src'))) return true;
  const built = statSync(stamp, { throwIfNoEntry: false });
  return built !== undefined && sources.every((name) => newest(path.join(root, name)) <= built.mtimeMs);
}

if (process.argv.includes('--if-needed') && isFresh()) process.exit(0);

let compiler;
try {
  compiler = createRequire(import.meta.url).resolve('typescript/package.json');
} catch {
  console.error('switchyard: building needs the development dependencies: run "npm ci" without --omit=dev');
  process.exit(1);
}
// Files compiled from sources that no longer exist would otherwise stay and be run.
rmSync(path.join(root, 'dist'), { recursive: true, force: true });
const tsc = path.join(path.dirname(compiler), 'bin', 'tsc');
const run = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
if (run.status !== 0) process.exit(run.status ?? 1);
cpSync(path.join(root, 'src/store/migrations'), path.join(root, 'dist/src/store/migrations'), {
  recursive: true,
});
writeFileSync(stamp, '');
