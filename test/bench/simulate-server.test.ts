import { Agent, get } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Options, optionsOf } from '../../bench/simulate/options.js';
import { Popularity } from '../../bench/simulate/popularity.js';
import { simulate } from '../../bench/simulate/simulation.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { untilEnd } from '../support/server/until-end.js';

const LINKS = 3000;
/** Of hits and of misses, between the simulation and the server. */
const MARGIN = 0.05;

let database: TestDatabase;
let agent: Agent;

beforeAll(async () => {
  database = await createDatabase();
  agent = new Agent({ keepAlive: true, maxSockets: 1 });
  await database.query(
    `INSERT INTO short_urls (original_url, short_code)
     SELECT 'https://example.com/' || n, 'link' || n FROM generate_series(0, ${LINKS - 1}) AS n`,
  );
});

afterAll(async () => {
  agent?.destroy();
  await database?.drop();
});

/** One after the other, as rarely as the simulation's: no two wait for a link at the same time. */
async function visit(server: TestServer, link: number): Promise<void> {
  const status = await new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port: server.port, path: `/link${link}`, agent }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode));
    }).on('error', reject);
  });
  expect(status).toBe(302);
}

async function read(server: TestServer, name: string): Promise<number> {
  const text = await (await server.fetch('/metrics')).text();
  return Number(new RegExp(`^switchyard_${name} (\\d+)$`, 'm').exec(text)?.[1]);
}

/** The visits that a simulation makes, at a real server; `between` after those of its first half. */
async function compare(
  given: Partial<Options>,
  between: (server: TestServer) => Promise<void>,
): Promise<void> {
  const options = optionsOf({ links: LINKS, servers: 1, rate: 100, warm: 0, windows: 2, ...given });
  const { total, windows, cachedLinks } = simulate(options);
  expect(total.coalesced).toBe(0);
  const server = untilEnd(
    await startServer({
      DATABASE_URL: database.url,
      GATEWAY_THREADS: '1',
      CACHE_MAX_LINKS: String(options.cache),
    }),
  );
  const popularity = new Popularity(options);
  const half = windows[0]?.requests ?? 0;
  for (let count = 0; count < total.requests; count += 1) {
    if (count === half) await between(server);
    await visit(server, popularity.next().link);
  }
  const [hits, misses] = await eventually(async () => {
    const counted = [
      await read(server, 'cache_hits_total'),
      await read(server, 'cache_misses_total'),
    ] as const;
    return counted[0] + counted[1] === total.requests ? counted : undefined;
  });
  console.log(`simulated ${total.hits} hits, ${total.misses} misses; the server had ${hits}, ${misses}`);
  expect(Math.abs(misses / total.misses - 1)).toBeLessThan(MARGIN);
  expect(Math.abs(hits / total.hits - 1)).toBeLessThan(MARGIN);
  expect(await read(server, 'cache_links')).toBe(cachedLinks);
}

describe('the simulation beside a server with a small cache', () => {
  it('has its hits and misses', async () => {
    await compare({ zipf: 1, cache: 300, seed: 1, seconds: 20 }, () => Promise.resolve());
  });

  it('has those after a lost LISTEN connection too', async () => {
    await compare({ zipf: 0.7, cache: 1000, seed: 2, seconds: 20, outage: [[10, 0]] }, async (server) => {
      const losses = await read(server, 'listen_losses_total');
      await database.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'switchyard listen' AND datname = current_database()`,
      );
      await eventually(async () => (await read(server, 'listen_losses_total')) > losses);
      await eventually(async () => (await read(server, 'cache_coherent')) === 1);
    });
  });
});
