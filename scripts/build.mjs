// Compiles TypeScript to dist/ and copies the SQL migrations beside the code that reads them.
// With --if-needed nothing happens when dist/ is newer than every source: other scripts call it so.
import { spawnSync } from 'node:child_process';
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { adaptLibrary } from './adapt-library.mjs';
import { isFresh, stamp } from './freshness.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

if (process.argv.includes('--if-needed') && isFresh()) process.exit(0);
adaptLibrary();

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
