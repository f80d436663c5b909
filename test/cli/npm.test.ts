import { execFileSync, spawn } from 'node:child_process';
import { accessSync, constants, existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { makeFolder } from '../support/folders.js';
import { freePort } from '../support/program.js';
import { eventually } from '../support/wait.js';

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
