import uWS from 'uWebSockets.js';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker } from 'node:worker_threads';
import pg from 'pg';
import { makeShortCode } from '../../src/store/short-codes.js';

/**
 * The plain way to create a link: one statement that inserts the link and its `created` event, and one
 * commit, for each request, over as many connections as Switchyard has for calls.
 */
const text = `
  WITH made AS (
    INSERT INTO short_urls (original_url, short_code) VALUES ($1, $2)
    ON CONFLICT (short_code) DO NOTHING RETURNING id, user_id, created_at
  ), logged AS (
    INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
    SELECT id, user_id, 'created', created_at, $3::json FROM made
  )
  SELECT id FROM made`;

function serve(): void {
  const pool = new pg.Pool({
    connectionString: process.env.DATABASE_URL ?? '',
    max: Number(process.env.CONNECTIONS ?? 4),
  });
  const create = async (url: string, host: string): Promise<string> => {
    for (;;) {
      const code = makeShortCode(6);
      const details = JSON.stringify({ short_code: code, original_url: url });
      const { rows } = await pool.query({ name: 'create', text, values: [url, code, details] });
      if (rows.length > 0) {
        const { id } = rows[0] as { id: string };
        const fields = { short_code: code, short_url: `http://${host}/${code}`, original_url: url };
        return JSON.stringify({ ...fields, id: Number(id) });
      }
    }
  };
  const app = uWS.App();
  app.post('/shorten', (res, req) => {
    const host = req.getHeader('host');
    let isGone = false;
    res.onAborted(() => {
      isGone = true;
    });
    let body = '';
    res.onData((chunk, isLast) => {
      body += Buffer.from(chunk).toString();
      if (!isLast) return;
      create((JSON.parse(body) as { url: string }).url, host).then(
        (answer) => {
          if (isGone) return;
          res.cork(() => {
            res.writeStatus('201 Created').writeHeader('Content-Type', 'application/json').end(answer);
          });
        },
        () => {
          if (!isGone) res.cork(() => res.writeStatus('503 Service Unavailable').end());
        },
      );
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
