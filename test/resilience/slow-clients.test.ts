import { readdirSync, readlinkSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { answerIn, bodyOf } from '../support/clients/api-client.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import { type ServerEnvironment, startServer, type TestServer } from '../support/server/server.js';
import { uniqueName } from '../support/server/suite.js';

/** A list far larger than what sockets hold, so that it stops when its reader does. */
const ROWS = 30_000;

let database: TestDatabase;
let server: TestServer;
let open: AbortController[] = [];

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
    server = await startServer({ DATABASE_URL: database.url, GATEWAY_THREADS: '1', ...environment });
    // The thread of transfers is the last to be there.
    await eventually(async () => (await quickImport('192.0.2.20')) === 201);
  });
  // Whoever is left from a test would be a slow client of the next.
  afterEach(async () => {
    for (const client of open) client.abort();
    open = [];
    await eventually(async () => (await metric('transfers_active')) === 0);
  });
  afterAll(() => server?.stop());
}

async function metric(name: string): Promise<number> {
  const text = await (await server.fetch('/metrics')).text();
  return Number(new RegExp(`^switchyard_${name} (\\d+)$`, 'm').exec(text)?.[1]);
}

function client(): AbortSignal {
  const controller = new AbortController();
  open.push(controller);
  return controller.signal;
}

/** A list, of which nobody has read more than the header yet. */
async function openList(address = '192.0.2.1'): Promise<Response> {
  const headers = { 'x-forwarded-for': address };
  const response = await server.fetch('/urls', { headers, signal: client() });
  expect(response.status).toBe(200);
  return response;
}

async function rowsOf(response: Response): Promise<number> {
  return bodyOf(await answerIn(response, 'GET', '/urls'), 200).length;
}

interface Upload {
  readonly answer: Promise<Response>;
  /** Sends so many rows more. */
  send(rows: number): void;
  finish(): void;
}

/** What can be imported: where, and its rows. */
const users = {
  path: '/users/bulk',
  header: 'username,email',
  row: (name: string, n: number): string => `${name}-${n},a@example.com\n`,
};
const links: typeof users = {
  path: '/urls/import',
  header: 'original_url,title',
  row: (name, n) => `https://example.com/${n},${name}\n`,
};

/** An import whose client has sent one row so far. */
function openUpload(address = '192.0.2.2', name = uniqueName('slow'), { path, header, row } = users): Upload {
  let stream!: ReadableStreamDefaultController;
  let sent = 0;
  const body = new ReadableStream({
    start(controller) {
      stream = controller;
    },
  });
  const send = (rows: number): void => {
    const lines = Array.from({ length: rows }, (_, n) => row(name, sent + n));
    sent += rows;
    stream.enqueue(Buffer.from(lines.join('')));
  };
  const head = 'Content-Disposition: form-data; name="file"; filename="rows.csv"';
  stream.enqueue(Buffer.from(`--b\r\n${head}\r\n\r\n${header}\n`));
  send(1);
  const answer = server.fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'multipart/form-data; boundary=b', 'x-forwarded-for': address },
    body,
    duplex: 'half',
    signal: client(),
  } as RequestInit);
  answer.catch(() => undefined);
  const finish = (): void => {
    stream.enqueue(Buffer.from('\r\n--b--\r\n'));
    stream.close();
  };
  return { answer, send, finish };
}

async function quickImport(address: string): Promise<number> {
  const upload = openUpload(address, uniqueName('quick'));
  upload.finish();
  return (await upload.answer).status;
}

async function expectUnavailable(answer: Promise<Response>, error = 'Service unavailable'): Promise<void> {
  const response = await answer;
  expect(await response.json()).toEqual({ error, status: 503 });
  expect(response.headers.get('retry-after')).toBe('1');
}

/** Transactions of transfers. */
async function transactions(): Promise<number> {
  const [row] = await database.query<{ n: string }>(
    `SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()
       AND application_name = 'switchyard transfer' AND xact_start IS NOT NULL`,
  );
  return Number(row?.n);
}

/** The spools' files: nothing but a descriptor leads to them. */
function spoolFiles(): string[] {
  const folder = `/proc/${server.pid}/fd`;
  return readdirSync(folder).flatMap((descriptor) => {
    const file = path.join(folder, descriptor);
    try {
      return /\.spool \(deleted\)$/.test(readlinkSync(file)) ? [file] : [];
    } catch {
      return [];
    }
  });
}

describe('slow clients', () => {
  useTransfers({ TRANSFER_STALL_MS: '20000', TRANSFER_WAIT_MS: '60000' });

  it('three that read and three that upload hold up nobody, and get all that is theirs', async () => {
    const lists = [await openList(), await openList(), await openList()];
    const uploads = [openUpload(), openUpload(), openUpload()];
    await eventually(async () => (await metric('transfers_active')) === 6);
    expect(await rowsOf(await openList('192.0.2.10'))).toBe(ROWS);
    expect(await quickImport('192.0.2.10')).toBe(201);
    await eventually(async () => (await transactions()) === 0);
    for (const list of lists) expect(await rowsOf(list)).toBe(ROWS);
    for (const upload of uploads) upload.finish();
    for (const { answer } of uploads) expect(await (await answer).json()).toEqual({ imported: 1 });
  });

  it('leave no transaction open: neither an upload that dawdles nor a list that nobody reads', async () => {
    openUpload();
    await eventually(async () => (await metric('transfers_active')) === 1);
    expect(await transactions()).toBe(0);
    const list = await openList();
    // Nobody else waits; it is given up waiting for all the same.
    await eventually(async () => (await transactions()) === 0);
    expect(await metric('transfers_active')).toBe(2);
    expect(await rowsOf(list)).toBe(ROWS);
  });

  it('leave none open with links either, whose batches are committed as they come', async () => {
    const title = uniqueName('slow');
    // The lists of the other tests have none of them.
    onTestFinished(async () => {
      await database.query('DELETE FROM short_urls WHERE title = $1', [title]);
    });
    const upload = openUpload('192.0.2.2', title, links);
    const imported = async (): Promise<number> => {
      const sql = 'SELECT count(*) AS n FROM short_urls WHERE title = $1';
      return Number((await database.query<{ n: string }>(sql, [title]))[0]?.n);
    };
    // More than one batch, and less than two: the rest of the second one is what the server waits for.
    upload.send(4000);
    await eventually(async () => (await imported()) > 0);
    await eventually(async () => (await transactions()) === 0);
    for (let row = 0; row < 10; row += 1) {
      upload.send(1);
      expect(await transactions()).toBe(0);
    }
    const batch = await imported();
    expect(batch).toBeLessThan(4000);
    upload.finish();
    expect(await (await upload.answer).json()).toMatchObject({ imported: 4011, failed: 0 });
    expect(await imported()).toBe(4011);
  });

  it.runIf(process.platform === 'linux')('have a file for nobody else, and for no longer', async () => {
    const upload = openUpload();
    upload.send(60_000);
    const [file] = await eventually(() => (spoolFiles().length === 1 ? spoolFiles() : undefined));
    await eventually(async () => (await metric('spool_bytes')) > 1_000_000);
    expect(statSync(file as string).mode & 0o777).toBe(0o600);
    expect(statSync(path.join(server.dataDir, 'spool')).mode & 0o777).toBe(0o700);
    expect(readdirSync(path.join(server.dataDir, 'spool'))).toEqual([]);
    upload.finish();
    expect(await (await upload.answer).json()).toEqual({ imported: 60_001 });
    await eventually(() => spoolFiles().length === 0);
    expect(await metric('spool_bytes')).toBe(0);
  });

  it('are not nine who read long lists at once: each waits for its turn', async () => {
    const answers = await Promise.all(
      Array.from({ length: 9 }, async (_, reader) => {
        const headers = { 'x-forwarded-for': '192.0.2.7' };
        const response = await server.fetch('/urls', { headers });
        return [reader, response.status, await rowsOf(response)];
      }),
    );
    expect(answers).toEqual(Array.from({ length: 9 }, (_, reader) => [reader, 200, ROWS]));
  });
});

describe('slow clients where there is no room to keep what is theirs', () => {
  useTransfers({
    // One connection for transfers.
    DATABASE_POOL_MAX: '4',
    TRANSFER_SPOOL_BYTES: '1000000',
    TRANSFER_PER_ADDRESS: '1',
    TRANSFER_WAIT_MS: '15000',
  });

  it('are ended when others wait, the slowest first', async () => {
    const slow = await openList();
    expect(await rowsOf(await openList('192.0.2.10'))).toBe(ROWS);
    await expect(slow.text()).rejects.toThrow();
    expect(await metric('transfers_too_slow_total')).toBe(1);
    const upload = openUpload();
    await eventually(async () => (await metric('transfers_active')) === 1);
    expect(await quickImport('192.0.2.2')).toBe(201);
    await expectUnavailable(upload.answer, 'Service unavailable: too slow while others wait');
  });

  it('are 503 with an upload that would need more', async () => {
    const upload = openUpload();
    upload.send(100_000);
    await expectUnavailable(upload.answer, 'No space to keep the upload');
    await eventually(async () => (await metric('spool_bytes')) === 0);
  });
});

describe('one address', () => {
  useTransfers({
    TRANSFER_PER_ADDRESS: '2',
    TRANSFER_WAIT_MS: '1500',
    // Nobody is ended.
    TRANSFER_MIN_BYTES_PER_SECOND: '0',
  });

  it('has so many imports and lists under way, waits for more, and is in nobody’s way', async () => {
    const uploads = [openUpload('2001:db8::1'), openUpload('2001:db8::2')];
    await eventually(async () => (await metric('transfers_active')) === 2);
    const startMs = performance.now();
    const third = openUpload('2001:db8::3');
    await eventually(async () => (await metric('transfers_waiting')) === 1);
    expect(await quickImport('2001:db8:0:1::1')).toBe(201);
    expect(await rowsOf(await openList('2001:db8::3'))).toBe(ROWS);
    await expectUnavailable(third.answer);
    expect(performance.now() - startMs).toBeGreaterThan(1400);
    await eventually(async () => (await metric('transfers_refused_total')) === 1);
    expect(await metric('transfers_waiting')).toBe(0);
    // A place that is free again is for who waits.
    const fourth = openUpload('2001:db8::4');
    for (const upload of [...uploads, fourth]) upload.finish();
    for (const { answer } of [...uploads, fourth]) expect((await answer).status).toBe(201);
  });
});
