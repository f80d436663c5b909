import { createServer } from 'node:http';
import { codeOf, targetOf } from '../data/links.js';

/** Node's own HTTP server with all links in a map. */
const links = new Map<string, string>();
for (let n = 1; n <= Number(process.env.LINKS ?? 1); n += 1) links.set(`/${codeOf(n)}`, targetOf(n));

const server = createServer((request, response) => {
  const target = links.get(request.url ?? '');
  if (target === undefined) response.writeHead(404, { 'Content-Length': 0 });
  else response.writeHead(302, { Location: target, 'Content-Length': 0 });
  response.end();
});
server.keepAliveTimeout = 600_000;
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  process.stderr.write(`listening on ${(server.address() as { port: number }).port}\n`);
});
process.on('SIGTERM', () => process.exit(0));
