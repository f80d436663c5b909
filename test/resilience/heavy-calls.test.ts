import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Url } from '../support/clients/answers.js';
import { connectDatabase, createDatabase, type TestDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl, createUser } from '../support/server/suite.js';

let database: TestDatabase;
let server: TestServer;

beforeEach(async () => {
  database = await createDatabase();
});

afterEach(async () => {
  await server?.stop();
  await database.drop();
});

describe('pages deep in a list', () => {
  it('hold up no miss and no create', async () => {
    server = await startServer({
      DATABASE_URL: database.url,
      CALL_DEADLINE_MS: '10000',
      TRANSFER_WAIT_MS: '60000',
    });
    const links = await Promise.all(Array.from({ length: 20 }, () => createUrl(server)));
    await server.stop();
    server = await startServer({
      DATABASE_URL: database.url,
      CALL_DEADLINE_MS: '10000',
      TRANSFER_WAIT_MS: '60000',
    });
    // Whoever reads events has to wait for the chunk that nobody writes to yet.
    const holder = await connectDatabase(database.address);
    await holder.query('BEGIN; LOCK TABLE events_from_65537');
    const deep = Array.from({ length: 16 }, () => server.json('/events?page=1000&per_page=1000'));
    await eventually(async () => {
      const [row] = await database.query<{ n: string }>(
        `SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      return Number(row?.n) >= 2;
    });
    const answers = await Promise.all([
      ...links.map((link) => click(server, link.short_code)),
      ...links.map(async () => (await server.post('/shorten', { url: 'https://example.com' })).status),
      ...links.map(async (link) => (await server.json(`/urls/${link.id}`)).status),
    ]);
    const waiting = await database.query(
      `SELECT FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name = 'switchyard transfer'`,
    );
    await holder.drop();
    expect(new Set(answers)).toEqual(new Set([links[0]?.original_url, 201, 200]));
    // All of that while the deep pages waited, on connections of their own; the third is left to imports.
    expect(waiting).toHaveLength(2);
    for (const answer of await Promise.all(deep)) expect(answer).toEqual({ status: 200, body: [] });
  });

  it('are what they are at any depth', async () => {
    server = await startServer({ DATABASE_URL: database.url });
    await database.query(
      `INSERT INTO users (username, email) SELECT 'u' || n, 'u@example.com' FROM generate_series(1, 10050) AS n`,
    );
    const ids = async (query: string): Promise<number[]> =>
      (await server.get(`/users?${query}`)).map(({ id }) => id);
    expect(await ids('page=1001&per_page=10')).toEqual(Array.from({ length: 10 }, (_, n) => 10_001 + n));
    expect(await ids('page=1002&per_page=10')).toEqual(Array.from({ length: 10 }, (_, n) => 10_011 + n));
    expect(await ids('page=403&per_page=25')).toEqual([]);
    expect(await ids('page=402&per_page=25')).toHaveLength(25);
    expect((await server.fetch('/users?page=1002&per_page=10', { method: 'HEAD' })).status).toBe(200);
  });
});

describe('deletes that do not end in their time', () => {
  const ROWS = 200;

  it('are 503 by the deadline, leave everything as it was, and nothing running', async () => {
    server = await startServer({ DATABASE_URL: database.url, DELETE_DEADLINE_MS: '1000' });
    const user = await createUser(server);
    const made: Url[] = [];
    for (let index = 0; index < 4; index += 1) made.push(await createUrl(server, { user_id: user.id }));
    await database.query(
      `INSERT INTO events (url_id, user_id, event_type) SELECT ${made[0]?.id}, ${user.id}, 'x' FROM generate_series(1, ${ROWS});
       CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN OLD; END $$;
       CREATE TRIGGER slowly BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION slowly()`,
    );
    const rows = (): Promise<unknown[]> =>
      database.query(
        `SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM short_urls) AS links,
                (SELECT count(*) FROM events) AS events`,
      );
    const before = await rows();
    // An event takes longer than the moments between these requests: none ends between the deadlines of two of them.
    // More than there are connections: the last ones are not begun when their time is over.
    const paths = [
      `/users/${user.id}`,
      ...made.map(({ id }) => `/urls/${id}`),
      `/users/${user.id}`,
      `/users/${user.id}`,
    ];
    const started = performance.now();
    const answers = await Promise.all(
      paths.map(async (path) => {
        const response = await server.fetch(path, { method: 'DELETE' });
        return [response.status, response.headers.get('retry-after'), await response.json()];
      }),
    );
    // Half of what the first of them would take.
    expect(performance.now() - started).toBeLessThan((ROWS * 300) / 2);
    for (const answer of answers) {
      expect(answer).toEqual([503, '1', { error: 'Service unavailable', status: 503 }]);
    }
    await eventually(async () => {
      const [row] = await database.query<{ n: string }>(
        `SELECT count(*) AS n FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'switchyard%' AND query LIKE 'DELETE%' AND state = 'active'`,
      );
      return row?.n === '0';
    }, 5000);
    expect(await rows()).toEqual(before);
    for (const link of made) expect(await click(server, link.short_code)).toBe(link.original_url);
    expect((await server.json(`/users/${user.id}`)).status).toBe(200);
    // To drop the trigger would lock chunks that the ingest writes to.
    await database.query(
      `CREATE OR REPLACE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'`,
    );
    expect((await server.fetch(`/users/${user.id}`, { method: 'DELETE' })).status).toBe(204);
    expect((await server.fetch(`/${made[0]?.short_code}`)).status).toBe(404);
  });
});
