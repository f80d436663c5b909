// Compiles TypeScript to dist/, copies the SQL migrations and the reference page beside the code that reads them, and
// builds the console.
// With --if-needed nothing happens when dist/ is newer than every source: other scripts call it so.
import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { adaptLibrary } from './adapt-library.mjs';
import { buildConsole } from './build-console.mjs';
import { bundle } from './bundle.mjs';
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
// The reference page: our files, and of the library those that it needs, with its licence.
const page = path.join(root, 'dist/src/gateway/docs');
cpSync(path.join(root, 'src/gateway/docs'), page, { recursive: true });
const library = path.dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
for (const name of ['swagger-ui-bundle.js', 'swagger-ui.css', 'LICENSE', 'NOTICE'])
  cpSync(path.join(library, name), path.join(page, name));
// Written here and not by the server: it takes a thread a while, and needs nothing that only a server knows.
const { openapiDocument } = await import('../dist/src/api/openapi/document.js');
const { z } = await import('zod');
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
writeFileSync(path.join(page, 'openapi.json'), JSON.stringify(openapiDocument(z, version)));
await bundle();
await buildConsole();
writeFileSync(stamp, '');
