import uWS from 'uWebSockets.js';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker } from 'node:worker_threads';
import { codeOf, targetOf } from '../data/links.js';

/**
 * The bare library: one route that answers a constant 302, in a worker thread as Switchyard's gateway
 * is, one for each of GATEWAY_THREADS. Its answer has as many bytes as Switchyard's.
 */
const threads = Number(process.env.GATEWAY_THREADS ?? 1);
const port = Number(process.env.PORT ?? 0);

function serve(): void {
  const target = targetOf(1);
  const app = uWS.App();
  app.get('/:short_code', (res) => {
    res.writeStatus('302 Found').writeHeader('Location', target).endWithoutBody(0, false);
  });
  app.any('/*', (res) => {
    res.writeStatus('404 Not Found').end();
  });
  app.listen('127.0.0.1', port, (socket) => {
    if (socket === false) throw new Error(`can't listen on ${port}`);
    process.stderr.write(`listening on ${uWS.us_socket_local_port(socket as never)} as /${codeOf(1)}\n`);
  });
}

if (isMainThread) {
  for (let thread = 0; thread < threads; thread += 1) new Worker(fileURLToPath(import.meta.url));
  process.on('SIGTERM', () => process.kill(process.pid, 'SIGKILL'));
} else {
  serve();
}
