import uWS, { type HttpResponse } from 'uWebSockets.js';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker } from 'node:worker_threads';
import pg from 'pg';
import Cursor from 'pg-cursor';
import { textTypes } from '../../src/postgres/pool.js';

/**
 * The minimum cost of a long list: rows from a cursor go to the socket as PostgreSQL's text, with
 * back-pressure and no work in between.
 */
const ROWS_A_READ = 500;
const text = `SELECT id, url_id, user_id, event_type, "timestamp", details
              FROM events ORDER BY "timestamp" DESC, id DESC`;

function writable(res: HttpResponse): Promise<void> {
  return new Promise((resolve) => {
    res.onWritable(() => {
      resolve();
      return true;
    });
  });
}

async function stream(pool: pg.Pool, res: HttpResponse, isGone: () => boolean): Promise<void> {
  const client = await pool.connect();
  const cursor = client.query(new Cursor(text, [], { rowMode: 'array', types: textTypes }));
  try {
    for (;;) {
      const rows = (await cursor.read(ROWS_A_READ)) as (string | null)[][];
      if (rows.length === 0 || isGone()) break;
      const piece = `${rows.map((row) => row.join('\t')).join('\n')}\n`;
      let isKept = true;
      res.cork(() => {
        isKept = res.write(piece);
      });
      if (!isKept) await writable(res);
    }
  } finally {
    await cursor.close();
    client.release();
  }
  if (!isGone()) res.cork(() => res.end());
}

function serve(): void {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL ?? '', max: 1 });
  const app = uWS.App();
  app.get('/events', (res) => {
    let isGone = false;
    res.onAborted(() => {
      isGone = true;
    });
    stream(pool, res, () => isGone).catch(() => {
      if (!isGone) res.close();
    });
  });
  app.listen('127.0.0.1', 0, (socket) => {
    if (socket === false) throw new Error("can't listen");
    process.stderr.write(`listening on ${uWS.us_socket_local_port(socket as never)}\n`);
  });
}

if (isMainThread) {
  new Worker(fileURLToPath(import.meta.url));
  process.on('SIGTERM', () => process.kill(process.pid, 'SIGKILL'));
} else {
  serve();
}
