import uWS from 'uWebSockets.js';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker } from 'node:worker_threads';
import pg from 'pg';

/**
 * The plain way to answer a miss: one prepared query a redirect, over as many connections as
 * Switchyard has for calls, in the thread that serves.
 */
function serve(): void {
  const pool = new pg.Pool({
    connectionString: process.env.DATABASE_URL ?? '',
    max: Number(process.env.CONNECTIONS ?? 4),
  });
  const app = uWS.App();
  app.get('/:short_code', (res, req) => {
    const shortCode = req.getParameter(0);
    let isGone = false;
    res.onAborted(() => {
      isGone = true;
    });
    pool
      .query({
        name: 'resolve',
        text: `SELECT short_code, id, user_id, original_url FROM short_urls
               WHERE short_code = $1 AND is_active`,
        values: [shortCode],
        rowMode: 'array',
      })
      .then(({ rows }) => {
        if (isGone) return;
        const target = (rows[0] as string[] | undefined)?.[3];
        res.cork(() => {
          if (target === undefined) res.writeStatus('404 Not Found').end();
          else res.writeStatus('302 Found').writeHeader('Location', target).endWithoutBody(0, false);
        });
      })
      .catch(() => {
        if (!isGone) res.cork(() => res.writeStatus('503 Service Unavailable').end());
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
