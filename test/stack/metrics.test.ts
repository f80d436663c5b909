import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeConsumeMetrics, serveMetrics } from '../../src/consume/consume-metrics.js';
import { ConsumeFigures } from '../../src/consume/figures.js';
import { Counters } from '../../src/memory/counters.js';
import { describeMetrics } from '../../src/ops/metrics.js';
import { ADMIN_KEY, OPS_KEY } from '../support/clients/keys.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { describeWith, toolPath } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { freePort, Program } from '../support/server/program.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { createUrl, uniqueName } from '../support/server/suite.js';
import { dashboardExpressions } from '../support/stack/dashboards.js';
import { Nginx } from '../support/stack/nginx.js';
import { Prometheus } from '../support/stack/prometheus.js';
import { allRules, metricsIn } from '../support/stack/rules.js';

const SECONDS_OF_LOAD = 60_000;

describeWith('prometheus', 'nginx', 'prometheus-nginx-exporter')(
  'a real Prometheus that scrapes a real server',
  { timeout: 180_000 },
  () => {
    let database: TestDatabase;
    let server: TestServer;
    let lonely: TestServer;
    let nginx: Nginx;
    let exporter: Program;
    let consumer: Server;
    let prometheus: Prometheus;
    let isOver = false;
    let load: Promise<void>;

    beforeAll(async () => {
      database = await createDatabase();
      server = await startServer({ DATABASE_URL: database.url });
      // A server without its database, for the 5xx and for an alert that fires.
      // Its /metrics wants a key, which Prometheus has.
      lonely = await startServer({
        DATABASE_URL: `postgresql://none@127.0.0.1:${await freePort()}/none`,
        API_AUTH: 'on',
        ADMIN_KEY,
        OPS_KEY,
      });
      nginx = await Nginx.start([server.port]);
      const exporterPort = await freePort();
      exporter = new Program(toolPath('prometheus-nginx-exporter'), [
        `-nginx.scrape-uri=${nginx.statusUrl}`,
        `-web.listen-address=127.0.0.1:${exporterPort}`,
      ]);
      await exporter.answers(`http://127.0.0.1:${exporterPort}/metrics`);
      // What a consumer serves, without Kafka.
      consumer = await serveMetrics(
        '127.0.0.1',
        0,
        new Counters().claim('ingest').counters,
        new ConsumeFigures(),
      );
      prometheus = await Prometheus.start({
        switchyard: [server.port, lonely.port],
        consume: [(consumer.address() as AddressInfo).port],
        nginx: [exporterPort],
        opsKey: OPS_KEY,
      });
      load = aLittleOfEverything();
    });

    afterAll(async () => {
      isOver = true;
      await load;
      await prometheus?.stop();
      consumer?.closeAllConnections();
      consumer?.close();
      await exporter?.stop();
      await nginx?.stop();
      await server?.stop();
      await lonely?.stop();
      await database?.drop();
    });

    /** Calls of every kind, over and over, so that every rate has something to count. */
    async function aLittleOfEverything(): Promise<void> {
      const known = await createUrl(server);
      while (!isOver) {
        const fresh = await createUrl(server);
        for (let count = 0; count < 10; count += 1) await nginx.fetch(`/${known.short_code}`);
        await nginx.fetch(`/${fresh.short_code}`);
        await nginx.fetch('/NoSuchCode');
        await nginx.fetch('/users?page=1&per_page=5');
        await (await nginx.fetch('/events')).arrayBuffer();
        const body = new FormData();
        const name = uniqueName('metrics');
        body.set('file', new Blob([`username,email\n${name},${name}@example.com\n,\n`]), 'users.csv');
        await nginx.fetch('/users/bulk', { method: 'POST', body });
        await lonely.fetch('/users', { headers: { 'x-api-key': ADMIN_KEY } });
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }

    const hasData = async (expression: string): Promise<boolean> =>
      (await prometheus.query(expression)).some(({ value }) => !Number.isNaN(value));

    it('has data for every expression of every dashboard', async () => {
      const expressions = dashboardExpressions();
      expect(expressions.length).toBeGreaterThan(60);
      let without: string[] = [];
      await eventually(
        async () => {
          const empty: string[] = [];
          for (const [where, expression] of expressions) {
            if (!(await hasData(expression))) empty.push(`${where}: ${expression}`);
          }
          without = empty;
          return empty.length === 0;
        },
        SECONDS_OF_LOAD,
        'data for every expression',
      ).catch(() => expect(without).toEqual([]));
    });

    it('has evaluated every rule, and has each metric that an alert asks for', async () => {
      const rules = await eventually(async () => {
        const all = await prometheus.rules();
        return all.every(({ health }) => health === 'ok') && all;
      });
      expect(rules.map(({ name }) => name).sort()).toEqual(
        allRules()
          .map(({ alert, record }) => alert ?? record ?? '')
          .sort(),
      );
      const names = new Set(await prometheus.names());
      for (const { alert, expr } of allRules()) {
        const unknown = metricsIn(expr).filter((name) => !names.has(name));
        expect([alert, unknown]).toEqual([alert, []]);
      }
    });

    it('names no metric that the server does not have', async () => {
      const own = new Set(
        describeMetrics().flatMap(({ name, type }) =>
          type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
        ),
      );
      for (const { name } of describeConsumeMetrics()) own.add(name);
      const recorded = new Set(allRules().flatMap(({ record }) => record ?? []));
      const scraped = new Set(await prometheus.names());
      const expressions = [
        ...dashboardExpressions().map(([, expr]) => expr),
        ...allRules().map(({ expr }) => expr),
      ];
      const named = new Set(expressions.flatMap(metricsIn));
      for (const name of named) {
        if (recorded.has(name) || ['up', 'ALERTS'].includes(name)) continue;
        if (name.startsWith('nginx_')) expect(scraped).toContain(name);
        else expect(own).toContain(name);
      }
    });

    it('has the same number of series, however many codes, paths and clients there are', async () => {
      const seriesOf = async (): Promise<number> => {
        const text = await (await server.fetch('/metrics')).text();
        return text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
      };
      const visit = async (index: number): Promise<void> => {
        const tail = `x${index.toString(36)}`;
        await Promise.all([
          server.fetch(`/${tail}`, { headers: { 'user-agent': tail } }),
          server.fetch(`/urls/${tail}/redirect`),
          server.fetch(`/no/such/${tail}`),
          server.fetch(`/urls/${1_000_000 + index}`),
          server.fetch(`/events?page=${index + 1}&per_page=1`),
          server.fetch('/urls', { method: `M${index}` }),
        ]);
      };
      await visit(0);
      const before = await seriesOf();
      let index = 0;
      const visitor = async (): Promise<void> => {
        while (index < 1000) {
          index += 1;
          await visit(index);
        }
      };
      await Promise.all(Array.from({ length: 4 }, visitor));
      expect(await seriesOf()).toBe(before);
      console.log(`measured: ${before} series a server`);
    });
  },
);
