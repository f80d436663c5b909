import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { startLoad } from '../support/clients/load.js';
import { startTraffic, type Traffic } from '../support/clients/traffic.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { createUrl } from '../support/server/suite.js';
import { untilEnd } from '../support/server/until-end.js';
import { environmentOf } from '../support/stack/compose.js';
import { Nginx, type NginxVariables } from '../support/stack/nginx.js';

const CLIENTS = 8;
const LINKS = 200;

describeWith('nginx')('two replicas behind Nginx', () => {
  let database: TestDatabase;
  let codes: string[];

  beforeAll(async () => {
    database = await createDatabase();
    const server = await startServer({ DATABASE_URL: database.url });
    codes = [];
    for (let count = 0; count < LINKS; count += 1) codes.push((await createUrl(server)).short_code);
    await server.stop();
  });

  afterAll(async () => {
    await database?.drop();
  });

  /** As the container is started, with the same patience for idle connections. */
  async function startReplica(port = 0): Promise<TestServer> {
    const { DRAIN_LINGER_MS } = environmentOf('app');
    return untilEnd(await startServer({ DATABASE_URL: database.url, PORT: String(port), DRAIN_LINGER_MS }));
  }

  async function startReplicas(
    variables: NginxVariables = {},
  ): Promise<{ replicas: TestServer[]; nginx: Nginx }> {
    const replicas = [await startReplica(), await startReplica()];
    const ports = replicas.map(({ port }) => port);
    const nginx = untilEnd(await Nginx.start(ports, variables));
    return { replicas, nginx };
  }

  const more = async (traffic: Traffic, requests: number): Promise<void> => {
    const before = traffic.total();
    await eventually(() => traffic.total() >= before + requests);
  };

  describe('a rolling restart under load', () => {
    it('fails no request', async () => {
      const { replicas, nginx } = await startReplicas();
      const traffic = untilEnd(startTraffic(nginx.port, codes, CLIENTS));
      for (const index of [0, 1]) {
        await more(traffic, 300);
        const replica = replicas[index] as TestServer;
        expect(await replica.stop()).toBe(0);
        await more(traffic, 100);
        const successor = await startReplica(replica.port);
        replicas[index] = successor;
        // The next one's turn comes when Nginx uses this one again; it leaves a server that refused
        // alone for fail_timeout, which it counts in whole seconds.
        await eventually(async () => (await cacheOf(successor)).hits > 10);
      }
      await more(traffic, 300);
      await traffic.stop();
      expect(traffic.complaints).toEqual([]);
      expect([...traffic.answers.keys()].sort()).toEqual(['GET 200', 'GET 302', 'POST 201']);
    });
  });

  describe('a replica that is killed under load', () => {
    it('fails nothing but what can’t be repeated of the requests it had', async () => {
      const { replicas, nginx } = await startReplicas();
      const traffic = untilEnd(startTraffic(nginx.port, codes, CLIENTS));
      await more(traffic, 500);
      await replicas[0]?.kill();
      await more(traffic, 1000);
      await traffic.stop();
      const failed = [...traffic.answers].filter(([key]) => !/^(GET 200|GET 302|POST 201)$/.test(key));
      // What was under way can have failed, no more than one a client; a GET is asked of the other one.
      expect(failed.every(([key]) => key === 'POST 502')).toBe(true);
      expect(failed.reduce((sum, [, count]) => sum + count, 0)).toBeLessThanOrEqual(CLIENTS);
      for (const complaint of traffic.complaints) {
        expect(complaint).toMatch(/502 {"error":"Service temporarily unavailable","status":502}$/);
      }
    });
  });

  describe('a replica that does not answer any more', () => {
    it('is passed over by redirects, within their time-out', async () => {
      const { replicas, nginx } = await startReplicas({ NGINX_REDIRECT_TIMEOUT: '1s' });
      const [frozen] = replicas as [TestServer, TestServer];
      frozen.signal('SIGSTOP');
      onTestFinished(() => frozen.signal('SIGCONT'));
      const some = codes.slice(0, 20);
      const answers = await Promise.all(some.map((code) => nginx.fetch(`/${code}`)));
      expect(answers.map(({ status }) => status)).toEqual(some.map(() => 302));
    });
  });

  describe('consistent hashing of links', () => {
    /** Every link visited often, at random: what the replicas have cached then, together. */
    async function visitAll(variables: NginxVariables): Promise<Cache> {
      const { replicas, nginx } = await startReplicas(variables);
      const visits = Array.from({ length: 5000 }, () => codes[Math.floor(Math.random() * LINKS)] ?? '');
      // One visitor: two who ask for the same link at the same time would both miss it.
      const load = untilEnd(startLoad(nginx.port, [...codes, ...codes, ...visits], 1));
      await eventually(() => load.total() >= 4000);
      await load.stop();
      const caches = await Promise.all(replicas.map((replica) => cacheOf(replica)));
      const sum = (fact: keyof Cache): number => caches.reduce((total, cache) => total + cache[fact], 0);
      return { hits: sum('hits'), misses: sum('misses'), links: sum('links') };
    }

    it('has each link in one cache, not in all', async () => {
      const spread = await visitAll({});
      const hashed = await visitAll({ NGINX_BALANCE: 'hash $balance_key consistent;' });
      console.log('caches of two replicas, requests spread:', spread, 'hashed:', hashed);
      expect(hashed.links).toBe(LINKS);
      expect(spread.links).toBeGreaterThan(LINKS * 1.8);
      expect(hashed.misses).toBe(LINKS);
      expect(spread.misses).toBe(spread.links);
    });
  });
});

interface Cache {
  readonly hits: number;
  readonly misses: number;
  readonly links: number;
}

async function cacheOf(server: TestServer): Promise<Cache> {
  const text = await (await server.fetch('/metrics')).text();
  const read = (name: string): number => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]);
  return {
    hits: read('switchyard_cache_hits_total'),
    misses: read('switchyard_cache_misses_total'),
    links: read('switchyard_cache_links'),
  };
}
