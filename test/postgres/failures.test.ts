import { createServer } from 'node:net';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  DeadlineError,
  errorCodeOf,
  isConnectionLoss,
  retryDecisionOf,
  sqlStateOf,
} from '../../src/postgres/failures.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { freePort } from '../support/server/program.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase();
});

afterAll(() => database?.drop());

async function errorOf(act: () => Promise<unknown>): Promise<unknown> {
  try {
    await act();
  } catch (error) {
    return error;
  }
  throw new Error('nothing failed');
}

async function connect(options: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({ ...database.address, ...options });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** What one statement after the other on a connection of its own ends with. */
async function failing(...statements: string[]): Promise<unknown> {
  const client = await connect();
  try {
    return await errorOf(async () => {
      for (const statement of statements) await client.query(statement);
    });
  } finally {
    await client.end();
  }
}

describe('a statement that PostgreSQL refuses', () => {
  it.each([
    ['data that is none', ['SELECT 1/0'], 'rejected'],
    [
      'a text that is too long',
      [`INSERT INTO users (username, email) VALUES (repeat('x', 101), 'x')`],
      'rejected',
    ],
    ['a row that is none', [`INSERT INTO users (username) VALUES ('x')`], 'rejected'],
    ['a nesting too deep', [`SELECT repeat('[', 100000)::json`], 'rejected'],
    ['a write where none is allowed', ['BEGIN READ ONLY', 'DELETE FROM users'], 'unavailable'],
    ['a time-out', [`SET statement_timeout = 10`, 'SELECT pg_sleep(60)'], 'unavailable'],
    ['its own end', ['SELECT pg_terminate_backend(pg_backend_pid())'], 'unavailable'],
    ['a syntax error', ['SELEKT 1'], 'fault'],
    ['a column that is missing', ['SELECT nothing FROM users'], 'fault'],
    ['a table that is missing', ['SELECT FROM nowhere'], 'incomplete'],
    ['a schema that is missing', ['CREATE TABLE nowhere.at_all ()'], 'incomplete'],
    [
      'a unique index that is missing',
      [
        'CREATE TEMPORARY TABLE bare (name text)',
        `INSERT INTO bare VALUES ('x') ON CONFLICT (name) DO NOTHING`,
      ],
      'incomplete',
    ],
    ['a prepared statement that is missing', ['EXECUTE nothing'], 'reconnect'],
    [
      'a plan whose columns have changed',
      [
        'CREATE TEMPORARY TABLE plan (one int)',
        'PREPARE plan AS SELECT * FROM plan',
        'ALTER TABLE plan ADD two int',
        'EXECUTE plan',
      ],
      'reconnect',
    ],
    [
      'an id that is taken',
      [`INSERT INTO users (id, username, email) VALUES (1, 'x', 'x'), (1, 'y', 'y')`],
      'conflict',
    ],
    [
      'a reference to nothing',
      [`INSERT INTO short_urls (user_id, original_url, short_code) VALUES (1, '', '')`],
      'conflict',
    ],
    [
      'a sequence that is exhausted',
      ['CREATE TEMPORARY SEQUENCE short MAXVALUE 2', `SELECT nextval('short') FROM generate_series(1, 3)`],
      'fault',
    ],
  ] as const)('for %s', async (_, statements, decision) => {
    const error = await failing(...statements);
    expect(retryDecisionOf(error)).toBe(decision);
    const isAway = decision === 'unavailable' || decision === 'incomplete';
    expect(errorCodeOf(error)).toBe(isAway ? 'UNAVAILABLE' : 'INTERNAL');
  });

  it('for a lock that others hold', async () => {
    const holder = await connect();
    await holder.query('BEGIN; LOCK TABLE users');
    const error = await failing('SET lock_timeout = 10', 'SELECT FROM users');
    expect([sqlStateOf(error), retryDecisionOf(error)]).toEqual(['55P03', 'unavailable']);
    await holder.end();
  });

  it('for what others have changed meanwhile', async () => {
    await database.query(`INSERT INTO users (username, email) VALUES ('serial', 'a@example.com')`);
    const [one, other] = [await connect(), await connect()];
    for (const client of [one, other]) {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      await client.query('SELECT FROM users');
    }
    await one.query(`UPDATE users SET email = 'b@example.com'`);
    await one.query('COMMIT');
    const error = await errorOf(() => other.query(`UPDATE users SET email = 'c@example.com'`));
    expect([sqlStateOf(error), retryDecisionOf(error)]).toEqual(['40001', 'again']);
    expect([isConnectionLoss(error), errorCodeOf(error)]).toEqual([false, 'UNAVAILABLE']);
    await Promise.all([one.end(), other.end()]);
  });
});

describe('a connection', () => {
  it.each([
    ['to a database that is gone', { database: 'gone' }, '3D000'],
    ['with a wrong password', { password: 'wrong' }, '28P01'],
  ])('%s is unavailable', async (_, options, state) => {
    const error = await errorOf(() => connect(options));
    expect([sqlStateOf(error), retryDecisionOf(error)]).toEqual([state, 'unavailable']);
  });

  it('that is refused, or never answered, is unavailable and lost', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined).resume());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    const refused = await errorOf(async () => connect({ port: await freePort() }));
    const unanswered = await errorOf(() => connect({ port, connectionTimeoutMillis: 50 }));
    silent.close();
    for (const error of [refused, unanswered]) {
      expect([retryDecisionOf(error), isConnectionLoss(error), sqlStateOf(error)]).toEqual([
        'unavailable',
        true,
        undefined,
      ]);
    }
  });

  it('that ends under a statement is lost', async () => {
    const client = await connect();
    const [row] = (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows;
    const error = errorOf(() => client.query('SELECT pg_sleep(60)'));
    await database.query('SELECT pg_terminate_backend($1)', [row?.pid]);
    expect([isConnectionLoss(await error), retryDecisionOf(await error)]).toEqual([true, 'unavailable']);
    const after = await errorOf(() => client.query('SELECT 1'));
    expect([isConnectionLoss(after), retryDecisionOf(after)]).toEqual([true, 'unavailable']);
    await client.end();
  });
});

describe('what did not come from PostgreSQL', () => {
  it('is a fault, unless it is a deadline', () => {
    const deadline = new DeadlineError('no answer');
    expect([isConnectionLoss(deadline), retryDecisionOf(deadline)]).toEqual([true, 'unavailable']);
    for (const error of [
      new Error('x'),
      new TypeError('x'),
      'connection terminated',
      null,
      undefined,
      { code: 7 },
    ]) {
      expect([isConnectionLoss(error), retryDecisionOf(error), sqlStateOf(error)]).toEqual([
        false,
        'fault',
        undefined,
      ]);
    }
  });

  it.each(['EROFS', 'EPERM', 'EBUSY', 'EPIPE', 'ENOSPC'])('is no SQLSTATE: %s', (code) => {
    const error = Object.assign(new Error(`${code}: mkdir`), { code, errno: -1, syscall: 'mkdir' });
    expect(sqlStateOf(error)).toBeUndefined();
  });
});
