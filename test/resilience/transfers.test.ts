import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answerIn, bodyOf } from '../support/clients/api-client.js';
import { connectDatabase, createDatabase, type TestDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import {
  type ServerEnvironment,
  startServer,
  type TestServer,
  WITH_FAULTS,
} from '../support/server/server.js';
import { uniqueName } from '../support/server/suite.js';

/** A list far larger than what sockets hold, so that it stops when its reader does. */
const ROWS = 60_000;

let database: TestDatabase;
let server: TestServer;

beforeAll(async () => {
  database = await createDatabase();
  await database.query(
    `INSERT INTO short_urls (original_url, short_code)
     SELECT 'https://example.com/' || repeat('a-long-path/', 30) || n, 'c' || n FROM generate_series(1, ${ROWS}) AS n`,
  );
});

afterAll(() => database?.drop());

function useTransfers(environment: ServerEnvironment): void {
  beforeAll(async () => {
    // One connection for transfers.
    server = await startServer({ DATABASE_URL: database.url, DATABASE_POOL_MAX: '4', ...environment });
  });
  afterAll(() => server?.stop());
}

async function active(): Promise<number> {
  const metrics = await (await server.fetch('/metrics')).text();
  return Number(/^switchyard_transfers_active (\d+)$/m.exec(metrics)?.[1]);
}

/** A list whose reader has read nothing but the header yet. */
async function openList(): Promise<Response> {
  const response = await server.fetch('/urls');
  expect(response.status).toBe(200);
  return response;
}

async function rowsOf(response: Response): Promise<number> {
  return bodyOf(await answerIn(response, 'GET', '/urls'), 200).length;
}

interface OpenUpload {
  readonly answer: Promise<Response>;
  /** Sends the rest of the file. */
  finish(): void;
}

/** An import whose client has sent two thirds of a file. */
async function openUpload(name: string): Promise<OpenUpload> {
  await eventually(async () => (await active()) === 0);
  let finish: () => void = () => undefined;
  const body = new ReadableStream({
    start(stream) {
      const head = 'Content-Disposition: form-data; name="file"; filename="users.csv"';
      stream.enqueue(Buffer.from(`--b\r\n${head}\r\n\r\nusername,email\n${name}-1,a@example.com\n`));
      finish = () => {
        stream.enqueue(Buffer.from(`${name}-2,a@example.com\r\n--b--\r\n`));
        stream.close();
      };
    },
  });
  const answer = server.fetch('/users/bulk', {
    method: 'POST',
    headers: { 'content-type': 'multipart/form-data; boundary=b' },
    body,
    duplex: 'half',
  } as RequestInit);
  answer.catch(() => undefined);
  await eventually(async () => (await active()) === 1);
  return { answer, finish: () => finish() };
}

async function expectUnavailable(answer: Promise<Response>): Promise<void> {
  const response = await answer;
  expect(await response.json()).toEqual({ error: 'Service unavailable', status: 503 });
  expect(response.headers.get('retry-after')).toBe('1');
}

async function usersLike(name: string): Promise<number> {
  const users = await database.query('SELECT id FROM users WHERE starts_with(username, $1)', [name]);
  return users.length;
}

/** Cuts the connection that transfers use. */
async function cutConnection(): Promise<void> {
  await eventually(async () => {
    const cut = await database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'switchyard transfer' AND state <> 'idle'`,
    );
    return cut.length === 1;
  });
}

describe('a transfer that finds no connection free', () => {
  useTransfers({
    TRANSFER_WAIT_MS: '2000',
    TRANSFER_WAITING_MAX: '2',
    // Nothing but its reader moves the one that has the connection.
    TRANSFER_SPOOL_BYTES: '0',
    TRANSFER_MIN_BYTES_PER_SECOND: '0',
  });

  it('waits so long and no longer; the one before it is not disturbed, nor are calls', async () => {
    const first = await openList();
    await Promise.all(Array.from({ length: 5 }, () => expectUnavailable(server.fetch('/urls'))));
    expect((await server.fetch('/urls?page=1&per_page=5')).status).toBe(200);
    expect(await rowsOf(first)).toBe(ROWS);
    await eventually(async () => (await active()) === 0);
    expect(await rowsOf(await openList())).toBe(ROWS);
  });
});

describe('a transfer that breaks', () => {
  useTransfers(WITH_FAULTS);

  it.each([
    ['its connection to PostgreSQL', cutConnection],
    ['its thread', async () => server.fault({ thread: 'transfer', action: 'exit' })],
  ])('is cut off when it is a list and loses %s: never taken for a whole one', async (_, fault) => {
    const response = await openList();
    await fault();
    await expect(response.text()).rejects.toThrow();
    await eventually(async () => {
      const again = await server.fetch('/urls');
      return again.status === 200 ? (await rowsOf(again)) === ROWS : false;
    });
  });

  it.each([
    ['its connection to PostgreSQL', cutConnection],
    ['its thread', async () => server.fault({ thread: 'transfer', action: 'exit' })],
  ])('is a 503 when it is an import and loses %s, and nothing of it is kept', async (_, fault) => {
    const name = uniqueName('broken');
    // Whoever holds the table makes the import wait for it, with all of its file there.
    const holder = await connectDatabase(database.address);
    await holder.query('BEGIN; LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE');
    const { answer, finish } = await openUpload(name);
    finish();
    await eventually(async () => {
      const waiting = await database.query(
        `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      return waiting.length === 1;
    });
    await fault();
    await expectUnavailable(answer);
    await holder.drop();
    expect(await usersLike(name)).toBe(0);
    // The same file again.
    await eventually(async () => {
      const again = await openUpload(name);
      again.finish();
      return (await again.answer).status === 201;
    });
    expect(await usersLike(name)).toBe(2);
  });
});

describe('a transfer without progress', () => {
  useTransfers({ TRANSFER_STALL_MS: '4000' });

  it('is ended when it is a list, and its connection serves others', async () => {
    const response = await openList();
    await eventually(async () => (await active()) === 0);
    await expect(response.text()).rejects.toThrow();
    expect(await rowsOf(await openList())).toBe(ROWS);
  });

  it('is ended when it is an import, and nothing of it is kept', async () => {
    const name = uniqueName('stalled');
    const { answer } = await openUpload(name);
    await expectUnavailable(answer);
    await eventually(async () => (await active()) === 0);
    expect(await usersLike(name)).toBe(0);
  });
});

describe('a transfer that waits for PostgreSQL', () => {
  // Connections for two.
  useTransfers({ TRANSFER_STALL_MS: '4000', DATABASE_POOL_MAX: '10' });

  it('for longer than a stall may last is none', { timeout: 120_000 }, async () => {
    const name = uniqueName('slow');
    const [userRows, linkRows] = [30_000, 15_000];
    // Whoever holds the tables makes both imports wait, for longer than a stall may last, and than the HTTP library's own
    // time-out: users when all of them have arrived, links while the gateway has paused their sender.
    const holder = await connectDatabase(database.address);
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE');
    const send = (
      path: string,
      header: string,
      rows: number,
      row: (n: number) => string,
    ): Promise<unknown> => {
      const head = 'Content-Disposition: form-data; name="file"; filename="rows.csv"';
      const lines = Array.from({ length: rows }, (_, n) => row(n));
      const text = `--b\r\n${head}\r\n\r\n${header}\n${lines.join('')}\r\n--b--\r\n`;
      const pieces = text.match(/[\s\S]{1,65536}/g) ?? [];
      const answer = server.json(path, {
        method: 'POST',
        headers: { 'content-type': 'multipart/form-data; boundary=b' },
        body: ReadableStream.from(pieces.map((piece) => Buffer.from(piece))),
        duplex: 'half',
      } as RequestInit);
      answer.catch(() => undefined);
      return answer;
    };
    const users = send(
      '/users/bulk',
      'username,email',
      userRows,
      (n) => `${name}-${n},${'long.'.repeat(18)}@example.com\n`,
    );
    const links = send(
      '/urls/import',
      'original_url',
      linkRows,
      (n) => `https://example.com/${name}/${'long/'.repeat(120)}${n}\n`,
    );
    // Not before the sender has been paused and has gone on: only then does the library's clock run.
    const imported = `SELECT FROM short_urls WHERE original_url LIKE 'https://example.com/${name}/%' LIMIT 1`;
    await eventually(async () => (await database.query(imported)).length === 1);
    await holder.query('LOCK TABLE short_urls IN SHARE ROW EXCLUSIVE MODE');
    const isWaiting = async (): Promise<boolean> => {
      const waiting = await database.query(
        `SELECT pid FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND query_start < clock_timestamp() - interval '22 seconds'`,
      );
      return waiting.length === 2;
    };
    await eventually(isWaiting, 60_000, 'two imports that wait');
    await holder.drop();
    expect(await users).toEqual({ status: 201, body: { imported: userRows } });
    const report = { imported: linkRows, updated: 0, skipped: 0, failed: 0, errors: [] };
    expect(await links).toEqual({ status: 201, body: report });
  });
});
