import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { planConnections } from '../../src/ops/connection-plan.js';
import { startLoad } from '../support/clients/load.js';
import { createDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import { startServer } from '../support/server/server.js';
import { createUrl, uniqueName } from '../support/server/suite.js';

describe('the connection plan', () => {
  it('spends the budget exactly, and gives every kind of work its own', () => {
    for (let budget = 3; budget <= 200; budget += 1) {
      for (const threads of [1, 2, 3, 16]) {
        const plan = planConnections(budget, threads);
        const calls = plan.interactive.reduce((sum, count) => sum + count, 0);
        expect(plan.listen + calls + plan.transfer + plan.ingest).toBe(budget);
        expect(Math.min(...plan.interactive)).toBeGreaterThanOrEqual(1);
        expect(plan.transfer).toBeGreaterThanOrEqual(1);
        expect(plan.transfer).toBeLessThanOrEqual(3);
        if (budget > 3) expect(plan.ingest).toBeGreaterThanOrEqual(1);
      }
    }
    expect(planConnections(10, 1)).toEqual({ listen: 1, interactive: [4], transfer: 3, ingest: 2 });
  });
});

describe.each([3, 5, 10])('DATABASE_POOL_MAX=%d', (poolMax) => {
  it('is never exceeded, whatever is asked at the same time', async () => {
    const database = await createDatabase();
    const server = await startServer({
      DATABASE_URL: database.url,
      DATABASE_POOL_MAX: String(poolMax),
      GATEWAY_THREADS: '2',
      WORKER_THREADS: '2',
      // On a slow machine all this takes its time.
      CALL_DEADLINE_MS: '30000',
      TRANSFER_WAIT_MS: '60000',
    });
    try {
      await database.query(
        `INSERT INTO users (username, email) SELECT 'u' || n, 'u@example.com' FROM generate_series(1, 5000) AS n`,
      );
      const urls = await Promise.all(Array.from({ length: 20 }, () => createUrl(server)));
      const load = startLoad(server.port, [...urls.map((url) => url.short_code), ...missing(50)], 6);
      let isOver = false;
      let most = 0;
      const watch = async (): Promise<void> => {
        while (!isOver) {
          const [row] = await database.query<{ n: string }>(
            `SELECT count(*) AS n FROM pg_stat_activity
             WHERE datname = current_database() AND application_name LIKE 'switchyard%'`,
          );
          most = Math.max(most, Number(row?.n));
        }
      };
      const watcher = watch();
      const answers = await Promise.all(
        Array.from({ length: 240 }, (_, index) => {
          switch (index % 6) {
            case 0:
              return server.fetch('/users');
            case 1:
              return server.fetch('/events?page=1&per_page=50');
            case 2:
              return server.fetch('/users/bulk', { method: 'POST', body: form() });
            case 3:
              return server.fetch('/shorten', {
                method: 'POST',
                headers: { 'content-type': 'application/json' },
                body: '{"url":"https://example.com"}',
              });
            case 4:
              return server.fetch(`/urls/${urls[index % 20]?.id}`);
            default:
              return server.fetch('/events', {
                method: 'POST',
                headers: { 'content-type': 'application/json' },
                body: '{"event_type":"x"}',
              });
          }
        }).map(async (answer) => {
          const response = await answer;
          await response.arrayBuffer();
          return response.status;
        }),
      );
      await load.stop();
      isOver = true;
      await watcher;
      expect(new Set(answers)).toEqual(new Set([200, 201]));
      expect([...load.statuses.keys()].sort()).toEqual([302, 404]);
      expect(most).toBeGreaterThan(1);
      expect(most).toBeLessThanOrEqual(poolMax);
    } finally {
      await server.stop();
      await database.drop();
    }
  });
});

describe('calls that wait for a lock beyond their deadline', () => {
  it('leave no backend behind: the next one’s connection is not one too many', {
    timeout: 60_000,
  }, async () => {
    const database = await createDatabase();
    const server = await startServer({
      DATABASE_URL: database.url,
      DATABASE_POOL_MAX: '5',
      CALL_DEADLINE_MS: '300',
    });
    const locker = new pg.Client({ connectionString: database.url });
    try {
      await locker.connect();
      await locker.query('BEGIN');
      await locker.query('LOCK TABLE users');
      let isOver = false;
      let most = 0;
      const statuses = new Set<number>();
      const asker = async (): Promise<void> => {
        while (!isOver)
          statuses.add((await server.post('/users', { username: uniqueName(), email: 'a@b.c' })).status);
      };
      const askers = Array.from({ length: 40 }, asker);
      for (let look = 0; look < 60; look += 1) {
        const [row] = await database.query<{ n: string }>(
          `SELECT count(*) AS n FROM pg_stat_activity
           WHERE datname = current_database() AND application_name LIKE 'switchyard%'`,
        );
        most = Math.max(most, Number(row?.n));
        await sleep(50);
      }
      isOver = true;
      await Promise.all(askers);
      expect([...statuses]).toEqual([503]);
      expect(most).toBeLessThanOrEqual(5);
      await locker.query('ROLLBACK');
      await eventually(
        async () => (await server.post('/users', { username: uniqueName(), email: 'a@b.c' })).status === 201,
      );
    } finally {
      await locker.end();
      await server.stop();
      await database.drop();
    }
  });
});

function missing(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `no${index}`);
}

function form(): FormData {
  const body = new FormData();
  const rows = Array.from({ length: 200 }, () => `${uniqueName()},a@example.com\n`).join('');
  body.append('file', new Blob([`username,email\n${rows}`]), 'users.csv');
  return body;
}
