// Tests the server against its own OpenAPI document with Schemathesis: a fresh database, a fresh server, all
// checks. Prints one line when all is well, what was found otherwise. Needs dist/ and `schemathesis` (PyPI), in the
// PATH or as SCHEMATHESIS.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const MIN_CASES = 3000;
/** Fuzzing ends then, however many cases there were. */
const MAX_SECONDS = 75;
/** Of each operation, besides those that its schemas suggest. */
const EXAMPLES = 12;
const program = process.env.SCHEMATHESIS ?? 'schemathesis';
const folder = mkdtempSync(path.join(os.tmpdir(), 'switchyard-schemathesis-'));

const { PATH, HOME } = process.env;
const server = spawn(process.execPath, [path.join(root, 'dist/server/main.js')], {
  cwd: folder,
  env: {
    PATH,
    HOME,
    HOST: '127.0.0.1',
    PORT: '0',
    DATA_DIR: path.join(folder, 'data'),
    SEED_ON_BOOT: 'false',
    LOG_FORMAT: 'json',
  },
  stdio: ['ignore', 'pipe', 'pipe'],
});
let banner = '';
server.stderr.setEncoding('utf8').on('data', (text) => {
  banner += text;
});
const ended = new Promise((resolve) => server.once('close', resolve));
const listening = new Promise((resolve) => {
  createInterface({ input: server.stdout }).on('line', (line) => {
    const found = /"port":(\d+)/.exec(line);
    if (line.includes('listening on') && found !== null) resolve(Number(found[1]));
  });
});

let status = 1;
try {
  const port = await Promise.race([listening, ended.then(() => undefined)]);
  if (port === undefined) throw new Error('the server ended at its start');
  const args = [
    `--config-file=${path.join(root, 'test/schemathesis.toml')}`,
    'run',
    `http://127.0.0.1:${port}/openapi.json`,
    '--checks=all',
    '--no-color',
    '--phases=examples,coverage,fuzzing',
    `--max-examples=${EXAMPLES}`,
    `--max-time=${MAX_SECONDS}`,
    '--warnings=off',
    // Live figures have no end, for which it would wait.
    '--exclude-path=/stats/live',
    ...process.argv.slice(2),
  ];
  const run = spawn(program, args, { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
  run.on('error', (error) => console.error(`schemathesis: ${error.message}`));
  let output = '';
  run.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
  });
  const code = await new Promise((resolve) => run.once('close', resolve));
  const cases = Number(/(\d[\d,]*) generated/.exec(output)?.[1]?.replaceAll(',', '') ?? 0);
  if (code !== 0) console.log(output);
  else if (cases < MIN_CASES)
    console.log(`schemathesis: only ${cases} cases, at least ${MIN_CASES} are wanted`);
  else {
    console.log(`schemathesis: ${cases} cases, nothing found`);
    status = 0;
  }
} finally {
  server.kill('SIGTERM');
  await ended;
  const cluster = /embedded PostgreSQL in (\S+), outside/.exec(banner)?.[1];
  rmSync(folder, { recursive: true, force: true });
  // Run as root, the database lies elsewhere; its data folder is gone now.
  if (cluster !== undefined)
    spawnSync(process.execPath, [path.join(root, 'dist/server/cli.js'), 'clusters', 'remove', cluster]);
}
process.exitCode = status;
