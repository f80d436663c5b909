import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { peakWhile, residentBytes } from '../support/machine/memory.js';
import { eventually } from '../support/machine/wait.js';
import { click, createUrl, useServer } from '../support/server/suite.js';

const MEBIBYTE = 1024 * 1024;

/** What a few pieces under way, and garbage that is not collected yet, may make of it. */
const NOISE_BYTES = 40 * MEBIBYTE;

/** Enough for the import, and less than the list. */
const SPOOL_BYTES = 110_000_000;

const suite = useServer({ GATEWAY_THREADS: '1', TRANSFER_SPOOL_BYTES: String(SPOOL_BYTES) });
let visits: number;
let isOver: boolean;
let visitor: Promise<void>;

// Somebody follows a link all the while.
beforeEach(async () => {
  const url = await createUrl(suite.server);
  visits = 0;
  isOver = false;
  visitor = (async () => {
    while (!isOver) {
      await click(suite.server, url.short_code);
      visits += 1;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
});

afterEach(async () => {
  isOver = true;
  await visitor;
});

function rowOf(index: number): string {
  return `name-${String(index).padStart(9, '0')},${'a-rather-long-mailbox.'.repeat(2)}${index}@${'mail.'.repeat(36)}example.com\n`;
}

/** A multipart upload of so many users, made as it is sent. */
function upload(rows: number): { body: ReadableStream; bytes: () => number } {
  let sent = 0;
  let next = 0;
  const send = (stream: ReadableStreamDefaultController, text: string): void => {
    const bytes = Buffer.from(text);
    sent += bytes.length;
    stream.enqueue(bytes);
  };
  const body = new ReadableStream({
    start: (stream) => {
      const head = 'Content-Disposition: form-data; name="file"; filename="users.csv"';
      send(stream, `--b\r\n${head}\r\n\r\nusername,email\n`);
    },
    pull: (stream) => {
      let text = '';
      for (; next < rows && text.length < 65_536; next += 1) text += rowOf(next);
      if (text !== '') {
        send(stream, text);
      } else {
        send(stream, '\r\n--b--\r\n');
        stream.close();
      }
    },
  });
  return { body, bytes: () => sent };
}

async function importUsers(rows: number): Promise<number> {
  const { body, bytes } = upload(rows);
  const headers = { 'content-type': 'multipart/form-data; boundary=b' };
  const init = { method: 'POST', headers, body, duplex: 'half' } as RequestInit;
  expect(await suite.server.json('/users/bulk', init)).toEqual({ status: 201, body: { imported: rows } });
  return bytes();
}

describe('an import', () => {
  it('of 300,000 rows takes no more memory than one of 30,000', {
    timeout: 180_000,
  }, async () => {
    const { pid } = suite.server;
    let bytes = 0;
    // The first ones of a process make its heap grow, however few rows each has.
    for (let time = 0; time < 4; time += 1) await importUsers(30_000);
    const small = await peakWhile(pid, async () => {
      bytes -= await importUsers(30_000);
    });
    const visitsBefore = visits;
    const large = await peakWhile(pid, async () => {
      bytes += await importUsers(300_000);
    });
    // The rows that only the large one has would be noticed.
    expect(bytes).toBeGreaterThan(1.5 * NOISE_BYTES);
    expect(large - small).toBeLessThan(NOISE_BYTES);
    expect(visits).toBeGreaterThan(visitsBefore + 100);
    expect(await suite.database.query('SELECT count(*) AS n FROM users')).toEqual([{ n: '300000' }]);
  });
});

describe('an unpaged list', () => {
  const ROWS = 40_000;
  /** What may be garbage; the list is longer than the spool by more than twice as much. */
  const GARBAGE_BYTES = 80 * MEBIBYTE;

  /** Reads on until the other side has no more. @returns bytes, and how often the text came. */
  async function readToEnd(
    socket: Socket,
    text: string,
  ): Promise<{ bytes: number; times: number; tail: string }> {
    let [bytes, times, tail] = [0, 0, ''];
    for await (const chunk of socket) {
      bytes += (chunk as Buffer).length;
      // JSON has no line breaks: these are between chunks, one of which may end within the text.
      const piece = (tail + (chunk as Buffer).toString('latin1')).replaceAll(
        /\r\n[0-9a-f]+\r\n(?!\r\n)/g,
        '',
      );
      const done = Math.max(0, piece.length - text.length - 20);
      for (let at = piece.indexOf(text); at !== -1 && at < done; at = piece.indexOf(text, at + 1)) times += 1;
      tail = piece.slice(done);
    }
    times += tail.split(text).length - 1;
    return { bytes, times, tail };
  }

  it('waits in the database for a reader that pauses', { timeout: 120_000 }, async () => {
    const { server, database } = suite;
    const { pid } = server;
    await database.query(
      // Most of a row is where no index makes it slow to insert.
      `INSERT INTO short_urls (original_url, short_code, title, expired_url)
       SELECT 'https://example.com/' || n, 'c' || n, 'row-of-the-list', 'https://example.com/' || repeat('a-long-path/', 660)
       FROM generate_series(1, ${ROWS}) AS n
       ON CONFLICT (short_code) DO NOTHING`,
    );
    // A short one first, so that all that is needed for lists is there.
    expect((await server.json('/urls?page=1&per_page=2000')).body).toHaveLength(2000);
    const before = residentBytes(pid);
    const visitsBefore = visits;
    const socket = connect(server.port, '127.0.0.1');
    const peak = await peakWhile(pid, async () => {
      socket.write('GET /urls HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
      await eventually(() => socket.readableLength > 0);
      // Whoever would read ahead for it goes on asking PostgreSQL until the cursor is at its end.
      let quiet = 0;
      await eventually(async () => {
        const asking = await database.query(
          `SELECT pid FROM pg_stat_activity WHERE datname = current_database()
             AND application_name = 'switchyard transfer' AND state = 'active' AND wait_event = 'ClientRead'`,
        );
        quiet = asking.length === 1 ? quiet + 1 : 0;
        return quiet === 100;
      }, 60_000);
    });
    const visitsWhile = visits - visitsBefore;
    const { bytes, times, tail } = await readToEnd(socket, '"row-of-the-list"');
    expect(bytes).toBeGreaterThan(SPOOL_BYTES + 2 * GARBAGE_BYTES);
    expect(peak - before).toBeLessThan(GARBAGE_BYTES);
    expect(visitsWhile).toBeGreaterThan(100);
    expect(times).toBe(ROWS);
    expect(tail).toMatch(/\}\](\r\n0\r\n\r\n)?$/);
  });
});
