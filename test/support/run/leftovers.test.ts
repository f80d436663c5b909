import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeFolder } from '../machine/folders.js';
import { eventually } from '../machine/wait.js';
import { run } from '../server/program.js';

interface FileReport {
  readonly name: string;
  readonly status: string;
  readonly message: string;
  readonly assertionResults: readonly { readonly status: string; readonly failureMessages: string[] }[];
}

const root = path.resolve(import.meta.dirname, '../../..');
const files = new Map<string, FileReport>();

beforeAll(async () => {
  const report = path.join(makeFolder('leaks'), 'report.json');
  const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
  const config = path.join(import.meta.dirname, 'leaks/vitest.config.ts');
  const { PATH, HOME } = process.env;
  const { code } = await run(
    process.execPath,
    [vitest, 'run', '--config', config, '--reporter=json', `--outputFile=${report}`],
    { env: { PATH, HOME, LEFTOVERS_GRACE_MS: '3000' } },
  );
  expect(code).toBe(1);
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as { testResults: FileReport[] };
  for (const file of testResults) files.set(path.basename(file.name, '.fixture.ts'), file);
});

describe('a file of tests', () => {
  it('fails if it leaves a server, a connection, a process or something noted open', async () => {
    const { status, message, assertionResults } = files.get('leaking') as FileReport;
    expect([status, assertionResults.map((test) => test.status)]).toEqual(['failed', ['passed']]);
    for (const what of ['something noted', 'TCP server', 'TCP socket', 'child process'])
      expect(message).toContain(what);
    const [, pid, folder = ''] = /process (\d+) in (\S+?)(,|$)/.exec(message) ?? [];
    expect(existsSync(folder)).toBe(false);
    await eventually(() => !existsSync(`/proc/${pid}/cwd`), 20_000, `the end of process ${pid}`);
  });

  it('passes if it closes what it opened, within some seconds; what fetch keeps is not its own', () => {
    expect(files.get('closing')).toMatchObject({ status: 'passed', message: '' });
  });

  it('fails for the reason of its test where that left something open', () => {
    const { status, message, assertionResults } = files.get('failing') as FileReport;
    expect([status, message, assertionResults[0]?.failureMessages[0]]).toEqual([
      'failed',
      '',
      expect.stringContaining('the failure itself'),
    ]);
  });
});
