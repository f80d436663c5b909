import { fastify } from 'fastify';
import { codeOf, targetOf } from '../data/links.js';

/** Fastify with all links in a map. */
const links = new Map<string, string>();
for (let n = 1; n <= Number(process.env.LINKS ?? 1); n += 1) links.set(codeOf(n), targetOf(n));

const app = fastify({ logger: false, keepAliveTimeout: 600_000 });
app.get<{ Params: { code: string } }>('/:code', (request, reply) => {
  const target = links.get(request.params.code);
  if (target === undefined) return reply.code(404).send();
  return reply.code(302).header('Location', target).send();
});
await app.listen({ host: '127.0.0.1', port: 0, backlog: 4096 });
process.stderr.write(`listening on ${(app.server.address() as { port: number }).port}\n`);
process.on('SIGTERM', () => process.exit(0));
