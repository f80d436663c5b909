import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { fieldsOf } from '../../src/cli/fields.js';
import type { Url, User } from '../support/clients/answers.js';
import { makeFolder } from '../support/machine/folders.js';
import { uniqueName, useServer } from '../support/server/suite.js';

const cli = path.resolve(import.meta.dirname, '../../dist/src/cli/main.js');
const suite = useServer();

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(args: readonly string[], url = suite.server.url): Promise<Ended> {
  const { NODE_V8_COVERAGE, PATH } = process.env;
  const env = { PATH, SWITCHYARD_URL: url, ...(NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE }) };
  const child = spawn(process.execPath, [cli, ...args], { env });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve) => {
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

async function json<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await run([...args, '--json']);
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as T;
}

it('makes, shows, changes, lists and deletes links', async () => {
  const link = await json<Url>(
    'links',
    'add',
    'https://example.com/a',
    '--title',
    'A',
    '--tags',
    'b,a',
    '--redirect-status',
    '301',
    '--forward-query',
  );
  expect(link).toMatchObject({ title: 'A', tags: ['a', 'b'], redirect_status: 301, forward_query: true });
  expect(await json('links', 'get', String(link.id))).toEqual(link);
  const changed = await json<Url>(
    'links',
    'set',
    String(link.id),
    '--is-active',
    'false',
    '--max-clicks',
    '5',
    '--expires-at',
    '2099-01-01',
  );
  expect(changed).toMatchObject({ is_active: false, max_clicks: 5, expires_at: '2099-01-01T00:00:00' });
  expect(await json('links', 'set', String(link.id), '--expires-at', 'none')).toMatchObject({
    expires_at: null,
  });
  const table = await run(['links', 'list', '--is-active', 'false']);
  expect(table.stdout.split('\n')[0]).toMatch(/^ID +SHORT_CODE +CLICK_COUNT/);
  expect(table.stdout).toContain(link.short_code);
  expect((await json<Url[]>('links', 'list', '--limit', '1')).length).toBe(1);
  expect(await run(['links', 'rm', String(link.id)])).toMatchObject({ code: 0, stdout: '1 deleted\n' });
  expect((await suite.server.json(`/urls/${link.id}`)).status).toBe(404);
});

/** Whether this version's lists can be asked for one code. */
const findsCodes = fieldsOf(z, 'GET /urls', 'query').some(({ name }) => name === 'short_code');

it.runIf(findsCodes)('finds a link by its code', async () => {
  const code = `code-${process.pid}`;
  const link = await json<Url>('links', 'add', 'https://example.com/b', '--short-code', code);
  expect(await json('links', 'get', code)).toEqual(link);
  expect(await run(['links', 'get', 'no-such-code'])).toMatchObject({
    code: 1,
    stderr: 'switchyard: Short URL not found\n',
  });
});

it('exports links as CSV, to a file too', async () => {
  const link = await json<Url>('links', 'add', 'https://example.com/export');
  const file = path.join(makeFolder('export'), 'links.csv');
  expect((await run(['links', 'export', '--output', file])).code).toBe(0);
  const text = readFileSync(file, 'utf8');
  expect(text.split('\n')[0]).toContain('short_code');
  expect(text).toContain(link.short_code);
  expect((await run(['links', 'export', '--format', 'ndjson'])).stdout).toContain(
    `"short_code":"${link.short_code}"`,
  );
});

it('makes, changes, imports and deletes users', async () => {
  const username = uniqueName();
  const user = await json<User>('users', 'add', '--username', username, '--email', 'a@example.com');
  expect(await json('users', 'set', String(user.id), '--email', 'b@example.com')).toMatchObject({
    email: 'b@example.com',
  });
  expect(await json('users', 'get', String(user.id))).toMatchObject({ username });
  const file = path.join(makeFolder('import'), 'users.csv');
  writeFileSync(file, `username,email\n${uniqueName()},c@example.com\n`);
  expect(await json('users', 'import', file)).toEqual({ imported: 1 });
  expect((await run(['users', 'list'])).stdout).toContain(username);
  expect((await run(['users', 'rm', String(user.id)])).code).toBe(0);
});

it('ends with 1 for what the server refuses, 2 for a mistaken command, 3 for a server that is not there', async () => {
  expect(await run(['links', 'add', 'nonsense'])).toMatchObject({
    code: 1,
    stderr: "switchyard: Missing or invalid 'original_url'\n",
  });
  const { code, stderr } = await run(['links', 'rm', '999999998', '999999999']);
  expect([code, stderr]).toEqual([1, 'switchyard: 999999999: URL not found\n']);
  expect((await run(['links', 'add'])).code).toBe(2);
  expect((await run(['links', 'add', 'https://example.com', '--nonsense', '1'])).code).toBe(2);
  expect((await run(['links', 'list'], 'ftp://nowhere')).code).toBe(2);
  expect((await run(['links', 'list'], 'http://127.0.0.1:9')).code).toBe(3);
});

it('says in its help what there is, with examples', async () => {
  const { code, stdout } = await run(['links', 'set', '--help']);
  expect(code).toBe(0);
  for (const part of ['--redirect-status', '301, 302, 307, 308', 'examples:', 'SWITCHYARD_KEY'])
    expect(stdout).toContain(part);
});

it('completes commands and options', async () => {
  const { stdout } = await run(['completion', 'bash']);
  const complete = (...words: string[]): string[] => {
    const script = `${stdout}\nCOMP_WORDS=(switchyard ${words.map((word) => `"${word}"`).join(' ')}); COMP_CWORD=${words.length}; _switchyard; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return spawnSync('bash', ['-c', script], { encoding: 'utf8' }).stdout.trim().split('\n');
  };
  expect(complete('lin')).toEqual(['links']);
  expect(complete('links', 'exp')).toEqual(['export']);
  expect(complete('links', 'add', 'https://example.com', '--redirect')).toEqual(['--redirect-status']);
  expect((await run(['completion', 'zsh'])).stdout).toMatch(/^#compdef switchyard/);
  expect((await run(['completion', 'fish'])).stdout).toContain(
    "__fish_seen_subcommand_from links; and __fish_seen_subcommand_from add' -l redirect-status",
  );
  expect((await run(['completion', 'tcsh'])).code).toBe(2);
});
