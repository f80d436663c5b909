import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { clientOptions } from '../../src/postgres/pool.js';
import { withMonth } from '../../src/store/archive.js';
import { findWrongCounters } from '../../src/store/reconcile.js';
import { beginRound, removeOldEvents } from '../../src/store/retention.js';
import { dropOldChunks } from '../../src/store/retention-chunks.js';
import type { Url, User } from '../support/clients/answers.js';
import { settled, statisticsOf } from '../support/clients/statistics.js';
import { connectDatabase, createDatabase, type TestDatabase } from '../support/database/database.js';
import { EVENTS_EVER, wrongCounters } from '../support/database/retention.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl, createUser } from '../support/server/suite.js';

/** Who removes the events of deleted links holds it. */
const REMOVAL_LOCK = 0x5357_0007;
/** More clicks than are deleted with their link. */
const MANY = 24_000;

let database: TestDatabase;
let server: TestServer;
/** As the server connects. */
let client: pg.Client;
/** Keeps all servers from removing anything while it has the lock. */
let holder: TestDatabase;
/** Has an event locked. */
let blocker: TestDatabase | undefined;
let owner: User;
/** Of the owner, with a few clicks. */
let kept: Url;

async function hold(): Promise<void> {
  await holder.query('SELECT pg_advisory_lock($1)', [REMOVAL_LOCK]);
}

async function letGo(): Promise<void> {
  await holder.query('SELECT pg_advisory_unlock_all()');
}

async function startAgain(): Promise<void> {
  const { dataDir } = server;
  await server.kill();
  server = await startServer({ DATABASE_URL: database.url, DATA_DIR: dataDir });
}

/** `amount` clicks on a link by its owner, with some facts; every tenth is a preview. */
async function addClicks(link: Url, amount: number, from = '2025-03-01'): Promise<void> {
  await database.query(
    `INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
     SELECT $1, $2, CASE WHEN n % 10 = 0 THEN 'preview' ELSE 'click' END,
            $5::timestamp + n * interval '90 seconds',
            json_build_object('short_code', $3::text, 'country', (ARRAY['DE', 'FR', NULL])[1 + n % 3])
     FROM generate_series(1, $4::integer) AS n`,
    [link.id, link.user_id, link.short_code, amount, from],
  );
  await database.query(
    `UPDATE short_urls SET click_count =
       (SELECT count(*) FROM events WHERE url_id = id_of AND event_type = 'click')
     FROM (SELECT $1::bigint AS id_of) AS link WHERE id = id_of`,
    [link.id],
  );
}

async function rowsLeft(...links: readonly Url[]): Promise<number> {
  const [row] = await database.query<{ n: string }>(
    'SELECT count(*) AS n FROM events WHERE url_id = ANY ($1::bigint[])',
    [links.map(({ id }) => id)],
  );
  return Number(row?.n);
}

async function removedAll(...links: readonly Url[]): Promise<void> {
  await eventually(
    async () => (await database.query('SELECT FROM deleted_links')).length === 0,
    60_000,
    'the end of the removal',
  );
  expect(await rowsLeft(...links)).toBe(0);
}

/** Clicks and previews in the sums, by whose they are (0: all links) and by country. */
async function sums(): Promise<unknown> {
  await settled(database);
  return database.query(
    `SELECT key, substr(fact, 2) AS country, sum(clicks)::integer AS clicks, coalesce(sum(previews), 0)::integer AS previews
     FROM (SELECT unnest(keys) AS key, NULL AS fact, unnest(clicks) AS clicks, unnest(previews) AS previews
           FROM stats_slots WHERE kind = 't'
           UNION ALL
           SELECT unnest(keys), unnest(facts), unnest(clicks), unnest(previews)
           FROM stats_slots WHERE kind = 'f' AND step IN ('m', 'q')) AS entries
     WHERE key >= 0 AND (fact IS NULL OR fact LIKE 'c%')
     GROUP BY 1, 2 HAVING sum(clicks) <> 0 OR sum(previews) <> 0 ORDER BY 1, 2`,
  );
}

/** The same by a count over all events. */
function countedSums(): Promise<unknown> {
  return database.query(
    `WITH visits AS (
       SELECT user_id AS owner, details ->> 'country' AS country, event_type
       FROM ${EVENTS_EVER} AS e JOIN short_urls ON short_urls.id = url_id
       WHERE event_type IN ('click', 'preview'))
     SELECT key, country, count(*) FILTER (WHERE event_type = 'click')::integer AS clicks,
            count(*) FILTER (WHERE event_type = 'preview')::integer AS previews
     FROM (SELECT 0::bigint AS key, NULL AS country, event_type FROM visits
           UNION ALL SELECT owner, NULL, event_type FROM visits
           UNION ALL SELECT 0, country, event_type FROM visits WHERE country IS NOT NULL
           UNION ALL SELECT owner, country, event_type FROM visits WHERE country IS NOT NULL) AS counted
     WHERE key IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2`,
  );
}

/** All lists that could show an event of the link, and calls that could find one. */
async function expectNothingOf(link: Url, eventId: string): Promise<void> {
  const { id } = link;
  for (const path of ['', '/stats', '/qr'] as const)
    expect((await server.fetch(`/urls/${id}${path}`)).status).toBe(404);
  expect((await server.fetch(`/${link.short_code}`)).status).toBe(404);
  expect((await server.fetch(`/urls/${id}`, { method: 'DELETE' })).status).toBe(404);
  for (const method of ['GET', 'DELETE'] as const)
    expect((await server.fetch(`/events/${eventId}`, { method })).status).toBe(404);
  expect((await server.post('/events', { url_id: id, event_type: 'seen' })).status).toBe(404);
  for (const query of [
    `url_id=${id}`,
    `url_id=${id}&page=1&per_page=50`,
    `url_id=${id}&limit=50`,
    `url_id=${id}&event_type=click&limit=50`,
  ])
    expect([query, await server.get(`/events?${query}`)]).toEqual([query, []]);
  for (const query of [
    '',
    '?page=1&per_page=30000',
    '?limit=1000',
    `?user_id=${owner.id}`,
    `?user_id=${owner.id}&event_type=click&page=1&per_page=1000`,
    '?event_type=click&limit=1000',
  ]) {
    const shown = await server.get(`/events${query}` as '/events');
    expect([query, shown.filter(({ url_id }) => url_id === id)]).toEqual([query, []]);
    expect(shown.length).toBeGreaterThan(0);
  }
  const csv = await (await server.fetch(`/events?url_id=${id}&format=csv`)).text();
  expect(csv.trimEnd().split('\n')).toHaveLength(1);
  const links = await server.get('/urls');
  expect(links.map((listed) => listed.id)).not.toContain(id);
}

beforeAll(async () => {
  database = await createDatabase();
  server = await startServer({ DATABASE_URL: database.url });
  holder = await connectDatabase(database.address);
  client = new pg.Client(clientOptions(database.address, 'test', 20_000));
  await client.connect();
  owner = await createUser(server);
  kept = await createUrl(server, { user_id: owner.id });
  await addClicks(kept, 9, '2025-07-01');
}, 120_000);

afterEach(async () => {
  await letGo();
  await blocker?.drop();
});

afterAll(async () => {
  await client?.end();
  await holder?.drop();
  await server?.stop();
  await database?.drop();
});

/** A link with many clicks in two chunks, of which the second has nothing else; some more were dropped by retention. */
async function createHot(): Promise<Url> {
  const hot = await createUrl(server, { user_id: owner.id });
  await addClicks(hot, MANY);
  const end = async (): Promise<number> => {
    const [chunk] = await database.query<{ end: string }>(
      'SELECT end_id AS end FROM event_chunks(), events_id_seq WHERE last_value + 1 BETWEEN first_id AND end_id - 1',
    );
    await database.query(`SELECT setval('events_id_seq', ${chunk?.end})`);
    return Number(chunk?.end);
  };
  const first = await end();
  await addClicks(hot, MANY / 10);
  await end();
  await eventually(async () => {
    const chunks = await database.query<{ sealed: boolean }>(
      `SELECT is_sealed AS sealed FROM event_chunks() WHERE first_id = ${first}`,
    );
    return chunks[0]?.sealed;
  }, 60_000);
  await database.query(
    `WITH dropped AS (
       INSERT INTO dropped_events (url_id, slot, clicks, previews, country) VALUES ($1, '2024-05-05', 7, 3, 'DE')
       RETURNING clicks)
     UPDATE short_urls SET click_count = click_count + clicks FROM dropped WHERE id = $1`,
    [hot.id],
  );
  await database.query(`SELECT stats_note_dropped('events', ARRAY[$1::bigint], ARRAY[$2::bigint], 1)`, [
    hot.id,
    owner.id,
  ]);
  await click(server, hot.short_code);
  return hot;
}

describe('the delete of a link with many clicks', () => {
  it('is answered at once, and nothing of it is seen from then on', { timeout: 180_000 }, async () => {
    const hot = await createHot();
    const [event] = await server.get(`/events?url_id=${hot.id}&limit=1`);
    const rows = await rowsLeft(hot);
    expect(rows).toBeGreaterThan(MANY);
    await hold();
    const beforeMs = Date.now();
    expect((await server.fetch(`/urls/${hot.id}`, { method: 'DELETE' })).status).toBe(204);
    expect(await rowsLeft(hot)).toBe(rows);
    await expectNothingOf(hot, String(event?.id));
    const again = await createUrl(server, { short_code: hot.short_code });
    expect(await click(server, hot.short_code)).toBe(again.original_url);
    expect((await server.fetch(`/urls/${again.id}`, { method: 'DELETE' })).status).toBe(204);
    await settled(database);
    const { as_of } = await statisticsOf(server, '/stats');
    expect(Date.parse(`${as_of}Z`)).toBeLessThanOrEqual(beforeMs + 1000);

    // No archive has its events, and retention keeps nothing of them.
    const [counted] = await database.query<{ n: number }>(
      `SELECT count(*)::integer AS n FROM events
       WHERE date_trunc('month', "timestamp") = '2025-03-01' AND url_id IN (SELECT id FROM short_urls)`,
    );
    const month = await withMonth(client, '2025-03-01', 'events-2025-03.ndjson', async ({ state }) => state);
    expect(month.events).toBe(counted?.n);
    const old = '2025-06-01';
    await dropOldChunks(client, old);
    await removeOldEvents(client, { ...(await beginRound(client, 1)), before: old }, 500);
    expect(await rowsLeft(hot)).toBe(rows);
    await letGo();
    await removedAll(hot);
    expect(await sums()).toEqual(await countedSums());
  });

  it('goes on after kill -9 in the middle of a piece, and is exact in the end', {
    timeout: 180_000,
  }, async () => {
    const hot = await createHot();
    const [event] = await server.get(`/events?url_id=${hot.id}&limit=1`);
    const rows = await rowsLeft(hot);
    await hold();
    expect((await server.fetch(`/urls/${hot.id}`, { method: 'DELETE' })).status).toBe(204);
    // An event that somebody else has locked: the piece with it does not end.
    blocker = await connectDatabase(database.address);
    await blocker.query('BEGIN');
    await blocker.query(
      `SELECT FROM events WHERE id = (SELECT id FROM events WHERE url_id = $1 ORDER BY id OFFSET 20000 LIMIT 1) FOR UPDATE`,
      [hot.id],
    );
    await letGo();
    const isBlocked = async (): Promise<boolean> => {
      const found = await database.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
           AND application_name LIKE 'switchyard%' AND query LIKE '%DELETE FROM events%'`,
      );
      return found.length > 0 && (await rowsLeft(hot)) < rows;
    };
    await eventually(isBlocked, 30_000, 'a piece that waits');
    expect(await rowsLeft(hot)).toBeGreaterThan(0);
    await startAgain();
    await eventually(isBlocked, 30_000, 'a piece that waits');
    await expectNothingOf(hot, String(event?.id));
    // Sums that are made anew from what is there now lose the rest as it goes.
    await database.query('UPDATE stats_state SET is_whole = false, next_url = NULL');
    await eventually(async () => {
      const [state] = await database.query<{ done: boolean }>('SELECT is_whole AS done FROM stats_state');
      return state?.done;
    }, 30_000);
    await blocker.query('ROLLBACK');
    await blocker.drop();
    await removedAll(hot);
    expect(await database.query('SELECT FROM dropped_events WHERE url_id = $1', [hot.id])).toEqual([]);
    expect(await sums()).toEqual(await countedSums());
    expect(await wrongCounters(database)).toEqual([]);
    expect((await server.get(`/urls/${kept.id}`)).click_count).toBe(9);
  });
});

describe('the delete of a user with many clicks on their links', () => {
  it('takes their clicks on the links of others off at once, and frees the name', {
    timeout: 180_000,
  }, async () => {
    const [user, other] = [await createUser(server), await createUser(server)];
    const foreign = await createUrl(server, { user_id: other.id });
    const links: Url[] = [];
    for (const title of ['1', '2', '3']) {
      const link = await createUrl(server, { user_id: user.id, title });
      await addClicks(link, MANY / 2);
      links.push(link);
    }
    for (const by of [user, user, other]) {
      const visit = { url_id: foreign.id, user_id: by.id, event_type: 'click' };
      expect((await server.post('/events', visit)).status).toBe(201);
    }
    await server.post('/events', { user_id: user.id, event_type: 'without a link' });
    const [event] = await server.get(`/events?url_id=${links[0]?.id}&limit=1`);
    await hold();
    expect((await server.fetch(`/users/${user.id}`, { method: 'DELETE' })).status).toBe(204);
    expect(await rowsLeft(...links)).toBeGreaterThan(MANY);
    expect((await server.fetch(`/users/${user.id}`)).status).toBe(404);
    expect((await server.get(`/urls/${foreign.id}`)).click_count).toBe(1);
    expect(await server.get(`/urls?user_id=${user.id}`)).toEqual([]);
    expect(await server.get(`/events?user_id=${user.id}`)).toEqual([]);
    expect((await server.fetch(`/events/${event?.id}`)).status).toBe(404);
    expect((await server.get('/events')).map(({ url_id }) => url_id)).not.toContain(links[0]?.id);
    expect((await createUser(server, user.username)).username).toBe(user.username);
    await letGo();
    await removedAll(...links);
    expect(await database.query('SELECT FROM events WHERE user_id = $1', [user.id])).toEqual([]);
    expect(await sums()).toEqual(await countedSums());
    expect(await wrongCounters(database)).toEqual([]);
  });
});

describe('an id that is given again by hand before its events are gone', () => {
  it('has the events of the new link, and keeps them', { timeout: 180_000 }, async () => {
    const link = await createUrl(server);
    await addClicks(link, MANY);
    await hold();
    const ids = JSON.stringify({ ids: [link.id] });
    const headers = { 'content-type': 'application/json' };
    expect((await server.fetch('/urls/bulk', { method: 'DELETE', headers, body: ids })).status).toBe(200);
    await database.query(
      `INSERT INTO short_urls (id, original_url, short_code) VALUES ($1, 'https://example.com/', $2)`,
      [link.id, `again-${link.id}`],
    );
    expect((await server.post('/events', { url_id: link.id, event_type: 'click' })).status).toBe(201);
    const shown = await server.get(`/events?url_id=${link.id}`);
    expect(shown).toHaveLength(1);
    const step = await findWrongCounters(client, { after: String(link.id - 1), links: 1, repair: false });
    expect(step.wrong).toEqual([]);
    await letGo();
    await eventually(async () => (await database.query('SELECT FROM deleted_links')).length === 0, 60_000);
    expect(await server.get(`/events?url_id=${link.id}`)).toEqual(shown);
    expect(await sums()).toEqual(await countedSums());
  });
});
