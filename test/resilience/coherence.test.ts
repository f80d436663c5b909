import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Url } from '../support/clients/answers.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';

let database: TestDatabase;
let one: TestServer;
let other: TestServer;

beforeAll(async () => {
  database = await createDatabase();
  const environment = { DATABASE_URL: database.url, GATEWAY_THREADS: '2' };
  [one, other] = await Promise.all([startServer(environment), startServer(environment)]);
});

afterAll(async () => {
  await Promise.all([one?.stop(), other?.stop()]);
  await database?.drop();
});

/** Where a server's gateways send visitors now: several connections, so that each gateway is asked. */
async function targetsOf(server: TestServer, code: string): Promise<Set<string>> {
  const targets = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const response = await server.fetch(`/${code}`, { headers: { connection: 'close' } });
      await response.arrayBuffer();
      return response.headers.get('location') ?? String(response.status);
    }),
  );
  return new Set(targets);
}

/** How long a server goes on with what was replaced, in milliseconds. */
async function staleFor(server: TestServer, code: string, wanted: string): Promise<number> {
  const start = performance.now();
  await eventually(async () => {
    const targets = await targetsOf(server, code);
    return targets.size === 1 && targets.has(wanted);
  });
  return performance.now() - start;
}

describe('two servers on one database', () => {
  it('see each other’s changes within a second', async () => {
    const url = await createUrl(one);
    for (let round = 0; round < 10; round += 1) {
      await targetsOf(one, url.short_code);
      await targetsOf(other, url.short_code);
      const target = `https://example.com/${round}`;
      await one.send('PUT', `/urls/${url.id}`, { original_url: target });
      expect(await targetsOf(one, url.short_code)).toEqual(new Set([target]));
      expect(await staleFor(other, url.short_code, target)).toBeLessThan(1000);
    }
    await other.send('PUT', `/urls/${url.id}`, { is_active: false });
    expect(await targetsOf(other, url.short_code)).toEqual(new Set(['404']));
    expect(await staleFor(one, url.short_code, '404')).toBeLessThan(1000);
    await other.send('PUT', `/urls/${url.id}`, { is_active: true });
    expect(await staleFor(one, url.short_code, 'https://example.com/9')).toBeLessThan(1000);
    await one.fetch(`/urls/${url.id}`, { method: 'DELETE' });
    expect(await targetsOf(one, url.short_code)).toEqual(new Set(['404']));
    expect(await staleFor(other, url.short_code, '404')).toBeLessThan(1000);
  });

  it('see a change made by hand, and many at once, within a second', async () => {
    const urls: Url[] = [];
    for (let index = 0; index < 5; index += 1) urls.push(await createUrl(one));
    const [first] = urls as [Url];
    for (const url of urls) await targetsOf(other, url.short_code);
    await database.query(`UPDATE short_urls SET original_url = 'https://example.org/by-hand' WHERE id = $1`, [
      first.id,
    ]);
    expect(await staleFor(other, first.short_code, 'https://example.org/by-hand')).toBeLessThan(1000);
    await database.query(
      `INSERT INTO short_urls (original_url, short_code) SELECT 'https://example.com', 'bulk' || n FROM generate_series(1, 3000) AS n`,
    );
    await database.query(`UPDATE short_urls SET original_url = 'https://example.org/all'`);
    for (const server of [one, other]) {
      for (const url of urls) {
        expect(await staleFor(server, url.short_code, 'https://example.org/all')).toBeLessThan(1000);
      }
    }
    await database.query('TRUNCATE short_urls CASCADE');
    expect(await staleFor(other, first.short_code, '404')).toBeLessThan(1000);
  });

  it('see changes made while their LISTEN connection was lost', async () => {
    const url = await createUrl(one);
    await targetsOf(other, url.short_code);
    for (let round = 0; round < 5; round += 1) {
      const target = `https://example.com/lost/${round}`;
      // The notification finds nobody who listens.
      await database.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'switchyard listen' AND datname = current_database()`,
      );
      await database.query('UPDATE short_urls SET original_url = $1 WHERE id = $2', [target, url.id]);
      expect(await staleFor(other, url.short_code, target)).toBeLessThan(1000);
      expect(await staleFor(one, url.short_code, target)).toBeLessThan(1000);
    }
    const metrics = await (await other.fetch('/metrics')).text();
    expect(Number(metrics.match(/^switchyard_listen_losses_total (\d+)$/m)?.[1])).toBeGreaterThanOrEqual(5);
    expect(metrics).toMatch(/^switchyard_cache_coherent 1$/m);
  });

  it('count every click of both once', async () => {
    const url = await createUrl(one);
    await Promise.all(
      Array.from({ length: 100 }, (_, index) => click(index % 2 === 0 ? one : other, url.short_code)),
    );
    await eventually(async () => (await one.get(`/urls/${url.id}`)).click_count === 100);
    await sleep(300);
    const events = await other.get(`/events?url_id=${url.id}&event_type=click`);
    expect(events).toHaveLength(100);
    expect((await other.json(`/urls/${url.id}`)).body).toMatchObject({ click_count: 100 });
  });
});

describe('one server under concurrent changes', () => {
  it('never sends a visitor to a target that was replaced before the visit began', async () => {
    const url = await createUrl(one, { original_url: 'https://example.com/0' });
    let answered = 0;
    let isOver = false;
    let visits = 0;
    const writer = async (): Promise<void> => {
      for (let version = 1; version <= 200; version += 1) {
        const { status } = await one.send('PUT', `/urls/${url.id}`, {
          original_url: `https://example.com/${version}`,
        });
        expect(status).toBe(200);
        answered = version;
      }
      isOver = true;
    };
    const reader = async (): Promise<void> => {
      while (!isOver) {
        const floor = answered;
        const seen = Number((await click(one, url.short_code)).split('/').at(-1));
        expect(seen).toBeGreaterThanOrEqual(floor);
        visits += 1;
      }
    };
    await Promise.all([writer(), ...Array.from({ length: 8 }, reader)]);
    expect(visits).toBeGreaterThan(200);
  });
});
