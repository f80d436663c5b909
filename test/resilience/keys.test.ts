import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiClient } from '../support/clients/api-client.js';
import { ADMIN_KEY, asKey, makeKey } from '../support/clients/keys.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { FaultProxy } from '../support/database/proxy.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';

let database: TestDatabase;
let proxy: FaultProxy;
let one: TestServer;
let other: TestServer;

beforeAll(async () => {
  database = await createDatabase();
  proxy = await FaultProxy.start(database.address.port);
  const environment = { API_AUTH: 'on', ADMIN_KEY, GATEWAY_THREADS: '2', CALL_DEADLINE_MS: '10000' };
  const throughProxy = new URL(database.url);
  throughProxy.port = String(proxy.port);
  [one, other] = await Promise.all([
    startServer({ ...environment, DATABASE_URL: database.url }),
    startServer({ ...environment, DATABASE_URL: throughProxy.href }),
  ]);
});

afterAll(async () => {
  await Promise.all([one?.stop(), other?.stop()]);
  await proxy?.stop();
  await database?.drop();
});

/** What all gateways of a server answer: a connection each. */
async function statuses(client: ApiClient, path = '/users'): Promise<Set<number>> {
  const all = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const response = await client.fetch(path, { headers: { connection: 'close' } });
      await response.arrayBuffer();
      return response.status;
    }),
  );
  return new Set(all);
}

async function isRefused(client: ApiClient): Promise<boolean> {
  const seen = await statuses(client);
  return seen.size === 1 && seen.has(401);
}

/** How long a server goes on taking a key that was revoked, in milliseconds. */
async function goodFor(client: ApiClient): Promise<number> {
  const start = performance.now();
  await eventually(() => isRefused(client));
  return performance.now() - start;
}

const cutListeners = (): Promise<unknown> =>
  database.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE application_name = 'switchyard listen' AND datname = current_database()`,
  );

describe('a revoked key', () => {
  it.each([
    [
      'by DELETE /keys/<id>',
      (id: number) => asKey(one, ADMIN_KEY).fetch(`/keys/${id}`, { method: 'DELETE' }),
    ],
    ['by hand', (id: number) => database.query('DELETE FROM api_keys WHERE id = $1', [id])],
    [
      'by its end',
      (id: number) => database.query('UPDATE api_keys SET expires_at = now() WHERE id = $1', [id]),
    ],
    ['by a TRUNCATE', () => database.query('TRUNCATE api_keys')],
  ])('%s is refused by every server within a second', async (_, revoke) => {
    const { id, key } = await makeKey(one, { scopes: ['users'] });
    const there = asKey(other, key);
    expect(await statuses(asKey(one, key))).toEqual(new Set([200]));
    expect(await statuses(there)).toEqual(new Set([200]));
    await revoke(id);
    expect(await goodFor(there)).toBeLessThan(1000);
    expect(await goodFor(asKey(one, key))).toBeLessThan(1000);
  });

  it('is refused within a second when nobody heard that it was revoked', async () => {
    for (let round = 0; round < 3; round += 1) {
      const { id, key } = await makeKey(one, { scopes: ['users'] });
      const there = asKey(other, key);
      expect(await statuses(there)).toEqual(new Set([200]));
      await cutListeners();
      await database.query('DELETE FROM api_keys WHERE id = $1', [id]);
      expect(await goodFor(there)).toBeLessThan(1000);
    }
  });

  it('is never believed while the database does not answer, except by /metrics', async () => {
    const { id, key } = await makeKey(one, { scopes: ['users', 'ops'] });
    const there = asKey(other, key);
    expect(await statuses(there)).toEqual(new Set([200]));
    expect(await statuses(there, '/metrics')).toEqual(new Set([200]));
    proxy.freeze();
    await database.query('DELETE FROM api_keys WHERE id = $1', [id]);
    // Connections that say nothing are given up by the heartbeat.
    await eventually(async () => {
      const seen = await statuses(there);
      return seen.size === 1 && seen.has(503);
    });
    proxy.cutAll();
    await eventually(async () => (await statuses(there, '/metrics')).has(200));
    expect(await statuses(asKey(other, ADMIN_KEY), '/metrics')).toEqual(new Set([200]));
    expect(await statuses(asKey(other, `sw_${'x'.repeat(43)}`), '/metrics')).toEqual(new Set([503]));
    expect(await statuses(there, '/logs')).toEqual(new Set([503]));
    proxy.thaw();
    await eventually(() => isRefused(there));
    expect(await statuses(there, '/metrics')).toEqual(new Set([401]));
  });
});
