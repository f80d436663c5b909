import { readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bodyOf } from '../support/clients/api-client.js';
import type { TestDatabase } from '../support/database/database.js';
import { SystemPostgres } from '../support/database/system-postgres.js';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl, createUser } from '../support/server/suite.js';

const csvDir = path.resolve(import.meta.dirname, '../../csv');

describeWith('postgres')('the PostgreSQL of the system', () => {
  let postgres: SystemPostgres;
  let database: TestDatabase;
  let server: TestServer;

  beforeAll(async () => {
    postgres = await SystemPostgres.start();
    database = await postgres.connect();
    server = await startServer({ DATABASE_URL: database.url, SEED_ON_BOOT: 'true', CSV_DIR: csvDir });
  });

  afterAll(async () => {
    await server?.stop();
    await database?.drop();
    await postgres?.stop();
  });

  it('is one that is supported', async () => {
    const [row] = await database.query<{ n: string }>(`SELECT current_setting('server_version_num') AS n`);
    const major = Math.floor(Number(row?.n) / 10_000);
    expect(major).toBeGreaterThanOrEqual(15);
    expect(major).toBeLessThanOrEqual(18);
  });

  it('is migrated and seeded', async () => {
    const folder = new URL('../../src/store/migrations/', import.meta.url);
    const migrations = await database.query<{ name: string }>(
      'SELECT name FROM schema_migrations ORDER BY number',
    );
    expect(migrations.map(({ name }) => `${name}.sql`)).toEqual(readdirSync(folder).sort());
    expect(
      await database.query(
        `SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM short_urls) AS urls,
                (SELECT count(*) FROM events) AS events, (SELECT count(*) FROM events_from_0) AS chunked`,
      ),
    ).toEqual([{ users: '400', urls: '2000', events: '3422', chunked: '3422' }]);
  });

  it('keeps users, links and events, and counts clicks', async () => {
    const user = await createUser(server);
    const url = await createUrl(server, { user_id: user.id, title: 'Ünïcode' });
    for (let count = 0; count < 5; count += 1)
      expect(await click(server, url.short_code)).toBe(url.original_url);
    // A read waits for clicks, a second at most.
    await eventually(async () => {
      const clicks = await server.get(`/events?url_id=${url.id}&event_type=click`);
      return clicks.length === 5;
    });
    expect((await server.json(`/urls/${url.id}`)).body).toMatchObject({ click_count: 5, title: 'Ünïcode' });
    const note = await server.post('/events', { event_type: 'note', url_id: url.id, details: { n: 1 } });
    expect(bodyOf(note, 201).details).toEqual({ n: 1 });
    const taken = await server.post('/users', { username: user.username, email: 'a@example.com' });
    expect(taken.status).toBe(409);
    expect((await server.fetch(`/users/${user.id}`, { method: 'DELETE' })).status).toBe(204);
    expect((await server.fetch(`/${url.short_code}`)).status).toBe(404);
    expect(await database.query('SELECT id FROM events WHERE url_id = $1', [url.id])).toEqual([]);
  });

  it('lists whole tables and pages', async () => {
    const whole = await server.get('/urls');
    expect(whole).toHaveLength(2000);
    expect((await server.json('/urls?page=2&per_page=30')).body).toEqual(whole.slice(30, 60));
    expect(await server.json('/urls?page=999&per_page=30')).toEqual({ status: 200, body: [] });
  });

  it('imports a file of users', async () => {
    const form = new FormData();
    const rows = Array.from({ length: 5000 }, (_, index) => `bulk-${index % 4000},${index}@example.com`);
    form.append('file', new Blob([`username,email\n${rows.join('\n')}\n`]), 'users.csv');
    expect(await server.json('/users/bulk', { method: 'POST', body: form })).toEqual({
      status: 201,
      body: { imported: 5000 },
    });
    const users = await server.get('/users');
    expect(users).toHaveLength(4400);
    expect(users.find((user) => user.username === 'bulk-7')?.email).toBe('4007@example.com');
  });

  it('hears of changes that others make', async () => {
    const url = await createUrl(server);
    await click(server, url.short_code);
    await database.query(`UPDATE short_urls SET original_url = 'https://example.org/other' WHERE id = $1`, [
      url.id,
    ]);
    await eventually(async () => (await click(server, url.short_code)) === 'https://example.org/other');
  });
});
