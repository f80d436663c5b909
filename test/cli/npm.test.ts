import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import { freePort } from '../support/server/program.js';

const root = path.resolve(import.meta.dirname, '../..');

it.each(['SIGTERM', 'SIGINT'] as const)('npm start ends in order when npm gets a %s', async (signal) => {
  const port = await freePort();
  const dataDir = makeFolder('npm');
  const { PATH, HOME } = process.env;
  const npm = spawn('npm', ['start'], {
    cwd: root,
    env: { PATH, HOME, HOST: '127.0.0.1', PORT: String(port), DATA_DIR: dataDir, SEED_ON_BOOT: 'false' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [npm.stdout, npm.stderr]) stream.on('data', (text) => (output += String(text)));
  const exit = new Promise((resolve) => npm.once('exit', resolve));
  const isServing = () =>
    fetch(`http://127.0.0.1:${port}/health`).then(
      (answer) => answer.ok,
      () => false,
    );
  await eventually(isServing, 50_000, 'a server that answers');
  npm.kill(signal);
  await exit;
  await eventually(async () => !(await isServing()), 20_000, 'a free port');
  await eventually(() => output.includes('the server has ended'), 20_000, 'the end of the drain');
  expect(existsSync(path.join(dataDir, 'postgres/cluster/postmaster.pid'))).toBe(false);
  rmSync(dataDir, { recursive: true });
});

it('npx switchyard can be run in a checkout, built or not', () => {
  accessSync(path.join(root, 'bin/switchyard.mjs'), constants.X_OK);
  expect(execFileSync('npx', ['switchyard', '--help'], { cwd: root }).toString()).toContain(
    'switchyard journal',
  );
});

it.each([
  ['scripts/torture.mjs', ['--help'], 0],
  ['scripts/torture.mjs', ['--nonsense'], 2],
  ['scripts/stack.mjs', ['--help'], 0],
  ['scripts/stack.mjs', ['--nonsense'], 2],
  ['scripts/load-test.mjs', [], 2],
  ['scripts/load-test.mjs', ['--help'], 0],
] as const)('%s %s says how it is used', (script, args, code) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(root, script), ...args]);
  const said = `${stdout}${stderr}`;
  expect([status, said.includes('usage: '), said.includes('    at ')]).toEqual([code, true, false]);
});

it.each(['v18.20.8', 'v20.18.3', 'v22.11.0', 'v23.5.0'])(
  'Node.js %s is refused with one sentence',
  (version) => {
    const preload = `data:text/javascript,Object.defineProperty(process, 'version', { value: '${version}' })`;
    for (const script of ['scripts/start.mjs', 'bin/switchyard.mjs']) {
      const run = spawnSync(process.execPath, ['--import', preload, path.join(root, script)]);
      expect([run.status, run.stderr.toString()]).toEqual([
        1,
        `switchyard: Node.js ${version} does not do: it needs 20.19, 22.12, 24 or newer\n`,
      ]);
    }
  },
);

it('.env with a byte-order mark sets its first line; an unreadable one is named', () => {
  const cwd = makeFolder('env');
  const start = () => {
    const { PATH } = process.env;
    const run = spawnSync(process.execPath, [path.join(root, 'dist/server/main.js')], { cwd, env: { PATH } });
    return [run.status, run.stderr.toString()];
  };
  writeFileSync(path.join(cwd, '.env'), '\uFEFFPORT=first\n');
  expect(start()).toEqual([2, expect.stringContaining('PORT must be an integer')]);
  rmSync(path.join(cwd, '.env'));
  // Root may read any file, but no folder as one.
  mkdirSync(path.join(cwd, '.env'));
  expect(start()).toEqual([2, `switchyard: .env in ${cwd} can't be read (EISDIR)\n`]);
  rmSync(cwd, { recursive: true });
});
