import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { describeError, errorFields } from '../../src/runtime/describe-error.js';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

it('of PostgreSQL’s errors, SQLSTATE and constraint remain', () => {
  const error = Object.assign(new Error('value "https://secret.example/token" is wrong'), {
    name: 'error',
    severity: 'ERROR',
    code: '23514',
    detail: 'Failing row contains (7, https://secret.example/token, me@example.com).',
    where: 'COPY users, line 3: "me@example.com"',
    constraint: 'users_check',
    table: 'users',
  });
  expect(describeError(error)).toBe('SQLSTATE 23514, constraint users_check');
  const text = JSON.stringify(errorFields(error));
  expect(text).not.toMatch(/secret|example|COPY/);
  expect(errorFields(error)).toMatchObject({ code: '23514', constraint: 'users_check' });
});

it('paths are given from the package’s root, others by their name', () => {
  let failure: unknown;
  try {
    readFileSync('/no/such/folder/of/mine/clicks.wal');
  } catch (error) {
    failure = error;
  }
  expect(describeError(failure)).toBe("ENOENT: no such file or directory, open 'clicks.wal'");
  expect(describeError(new Error(`at ${root}/src/main.ts:3`))).toBe('at src/main.ts:3');
  const { stack } = errorFields(new Error('x', { cause: failure })) as { stack: string };
  expect(stack).toContain('test/runtime/describe-error.test.ts');
  expect(stack).toContain("caused by: ENOENT: no such file or directory, open 'clicks.wal'");
  expect(stack).not.toContain(root);
  expect(stack).not.toContain('/no/such');
});

it('addresses and dates are no paths', () => {
  const message = 'connect ECONNREFUSED 127.0.0.1:5432, 1/2 of http://host/a/b';
  expect(describeError(new Error(message))).toBe(message);
});
