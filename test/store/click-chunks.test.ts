import pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { InputFor } from '../../src/api/registry.js';
import { copyInto } from '../../src/postgres/copy.js';
import { clientOptions } from '../../src/postgres/pool.js';
import { endChunk, newestChunk } from '../../src/store/chunk-end.js';
import { removeClickChunks } from '../../src/store/click-chunks.js';
import { foldDropped } from '../../src/store/dropped-events.js';
import { keepEventChunks } from '../../src/store/event-chunks.js';
import { isBeyondChunk } from '../../src/store/hot-chunk.js';
import { statsOperations } from '../../src/store/stats.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { EVENTS_EVER } from '../support/database/retention.js';
import { eventually } from '../support/machine/wait.js';

const CHUNK = 65_536;
let database: TestDatabase;
/** A connection as the server has them. */
let client: pg.Client;

async function connect(): Promise<pg.Client> {
  const connected = new pg.Client(clientOptions(database.address, 'test', 20_000));
  connected.on('error', () => undefined);
  await connected.connect();
  return connected;
}

/** What CLICK_EVENTS=off does to chunks. */
async function keep(): Promise<void> {
  while ((await keepEventChunks(client, false)) !== undefined);
}

/** Clicks and previews of five links, and other events, in the newest chunk; then ids go on behind it. */
async function fill(others: number): Promise<void> {
  await database.query(
    `INSERT INTO events (url_id, event_type, "timestamp", details)
     SELECT nullif(1 + n % 6, 6), CASE WHEN n % 4 = 0 THEN 'preview' ELSE 'click' END,
            date_trunc('minute', now() AT TIME ZONE 'utc') - n % 40 * interval '1 minute', json_build_object('country', n % 3)
     FROM generate_series(1, 300) AS n`,
  );
  await database.query(
    `INSERT INTO events (url_id, event_type) SELECT 1, 'created' FROM generate_series(1, ${others})`,
  );
  const newest = await newestChunk(client);
  expect(newest && (await endChunk(client, newest))).toBe(true);
}

beforeEach(async () => {
  database = await createDatabase();
  client = await connect();
  await database.query(
    `INSERT INTO short_urls (original_url, short_code) SELECT 'https://example.com/', 'c' || n FROM generate_series(1, 5) AS n`,
  );
});

afterEach(async () => {
  await client.end();
  await database.drop();
});

/** Chunks that get no more ids, with their events. */
async function fullChunks(): Promise<(readonly [name: string, events: number])[]> {
  const rows = await database.query<{ name: string }>(
    'SELECT name FROM event_chunks(), events_id_seq WHERE end_id <= last_value ORDER BY first_id',
  );
  return Promise.all(
    rows.map(async ({ name }) => {
      const [row] = await database.query<{ n: number }>(`SELECT count(*)::integer AS n FROM "${name}"`);
      return [name, row?.n ?? -1] as const;
    }),
  );
}

/** Clicks and previews by link, minute and country. */
const counts = (): Promise<unknown[]> =>
  database.query(
    `SELECT url_id, event_type, date_trunc('minute', "timestamp") AS minute, details ->> 'country' AS country, count(*) AS n
     FROM ${EVENTS_EVER} AS e WHERE event_type IN ('click', 'preview') AND url_id IS NOT NULL
     GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`,
  );

/** Ids that are noted to have no event but those of chunks that are noted too. */
const noted = (): Promise<unknown[]> =>
  database.query(
    `SELECT first_id, end_id, first_time IS NULL AS is_empty FROM event_chunk_times ORDER BY first_id`,
  );

it('clicks and previews go with their chunk, to the minute, and other events move together', async () => {
  const first = '-9223372036854775808';
  await fill(0);
  await fill(0);
  let before = await counts();
  expect(await removeClickChunks(client)).toEqual({ removed: 600, isMore: false, isBlocked: false });
  expect(await fullChunks()).toEqual([]);
  expect(await counts()).toEqual(before);
  expect(await noted()).toEqual([{ first_id: first, end_id: `${2 * CHUNK + 1}`, is_empty: true }]);
  for (const others of [2, 0, 3, 4]) await fill(others);
  const kept = await database.query(`SELECT * FROM events WHERE event_type = 'created' ORDER BY id`);
  before = await counts();
  expect((await removeClickChunks(client)).removed).toBe(1200);
  expect(await fullChunks()).toEqual([[`events_from_${2 * CHUNK + 1}`, 9]]);
  await keep();
  const isSealed = `SELECT is_sealed FROM event_chunks() WHERE name = 'events_from_${2 * CHUNK + 1}'`;
  expect(await database.query(isSealed)).toEqual([{ is_sealed: true }]);
  // Now to one that is noted, and from a chunk whose indexes are there.
  await fill(5);
  await fill(1);
  while ((await keepEventChunks(client)) !== undefined);
  expect((await removeClickChunks(client)).removed).toBe(600);
  await keep();
  expect(await fullChunks()).toEqual([[`events_from_${2 * CHUNK + 1}`, 15]]);
  expect(await noted()).toEqual([
    { first_id: first, end_id: `${2 * CHUNK + 1}`, is_empty: true },
    { first_id: `${2 * CHUNK + 1}`, end_id: `${8 * CHUNK + 1}`, is_empty: false },
  ]);
  expect(
    await database.query(`SELECT * FROM events WHERE id = ANY ($1::bigint[]) ORDER BY id`, [
      kept.map(({ id }) => id),
    ]),
  ).toEqual(kept);
  expect((await counts()).length).toBe(before.length);
  expect(await database.query(`SELECT FROM events WHERE event_type <> 'created'`)).toEqual([]);
  // Events by hand find their place, and new ones theirs.
  await database.query(`INSERT INTO events (id, event_type) VALUES (${2 * CHUNK + 7}, 'noted')`);
  await database.query(`INSERT INTO events (event_type) VALUES ('noted')`);
});

it('a chunk of other events stays, without its clicks', async () => {
  await fill(11_000);
  const before = await counts();
  expect((await removeClickChunks(client)).removed).toBe(300);
  expect(await fullChunks()).toEqual([['events_from_0', 11_000]]);
  expect(await counts()).toEqual(before);
  // Too large to be moved to.
  await fill(1);
  await database.query(
    `UPDATE events SET details = json_build_object('text', repeat('x', 1000)) WHERE id < ${CHUNK}`,
  );
  expect((await removeClickChunks(client)).removed).toBe(300);
  expect(await fullChunks()).toEqual([
    ['events_from_0', 11_000],
    [`events_from_${CHUNK + 1}`, 1],
  ]);
});

it('nobody waits for long, and a kill at any step leaves all as it was', async () => {
  await fill(2);
  await removeClickChunks(client);
  await keep();
  await fill(3);
  const all = await fullChunks();
  const before = await counts();
  const other = await connect();
  try {
    for (const [held, isBlocked] of [
      ['SELECT FROM events LIMIT 1', true],
      [`UPDATE events SET details = details WHERE id = ${CHUNK + 5}`, true],
      // The links of a chunk are not waited for.
      ['SELECT FROM short_urls WHERE id = 3 FOR UPDATE', false],
    ] as const) {
      await other.query('BEGIN');
      await other.query(held);
      expect(await removeClickChunks(client)).toEqual({ removed: 0, isMore: false, isBlocked });
      await other.query('ROLLBACK');
      expect(await fullChunks()).toEqual(all);
    }
    await other.query('BEGIN');
    await other.query('SELECT FROM events LIMIT 1');
    const killed = removeClickChunks(client).then(
      () => 'done',
      () => 'killed',
    );
    await eventually(async () => {
      const ended = await database.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'LOCK TABLE ONLY events%'`,
      );
      return ended.length > 0;
    });
    expect(await killed).toBe('killed');
    await other.query('ROLLBACK');
  } finally {
    await other.end();
  }
  expect(await fullChunks()).toEqual(all);
  expect(await counts()).toEqual(before);
  client = await connect();
  expect((await removeClickChunks(client)).removed).toBe(300);
  expect(await counts()).toEqual(before);
  expect(await fullChunks()).toEqual([['events_from_0', 5]]);
});

it('ids go on behind a chunk when all that were given are used, and no COPY is lost to one that is gone', async () => {
  const newest = (await newestChunk(client)) as NonNullable<Awaited<ReturnType<typeof newestChunk>>>;
  // Without a click there is nothing to end it for.
  expect(await endChunk(client, newest)).toBe(false);
  const other = await connect();
  try {
    await other.query('BEGIN');
    await other.query(`INSERT INTO events (event_type) VALUES ('click'), ('click')`);
    await database.query(`INSERT INTO events (event_type) VALUES ('click')`);
    expect(await endChunk(client, newest)).toBe(false);
    await other.query('COMMIT');
  } finally {
    await other.end();
  }
  expect(await endChunk(client, newest)).toBe(true);
  const [event] = await database.query<{ id: string }>(
    `INSERT INTO events (event_type) VALUES ('click') RETURNING id`,
  );
  expect(Number(event?.id)).toBe(CHUNK + 1);
  expect((await removeClickChunks(client)).removed).toBe(3);
  const refused = await copyInto(client, `${newest.name} (event_type)`, [Buffer.from('click\n')]).catch(
    (error: unknown) => error,
  );
  expect(isBeyondChunk(refused)).toBe(true);
});

it('a link’s statistics miss no click that leaves between their snapshot and the count', async () => {
  await fill(0);
  const reader = await connect();
  let left: Awaited<ReturnType<typeof removeClickChunks>> | undefined;
  try {
    const query = reader.query.bind(reader) as (...given: unknown[]) => Promise<unknown>;
    Object.assign(reader, {
      query: async (...given: unknown[]) => {
        const found = await query(...given);
        if ((given[0] as { name?: string }).name === 'stats_slot_state')
          left = await removeClickChunks(client);
        return found;
      },
    });
    const input = {
      id: '1',
      from: undefined,
      to: undefined,
      interval: 'hour',
      timezone: 'UTC',
      by: ['country'],
      limit: 10,
    };
    const answer = await statsOperations.getLinkStats.run(
      reader,
      input as unknown as InputFor<'getLinkStats'>,
      {} as never,
    );
    expect(JSON.parse((answer as { body: string }).body)).toMatchObject({ clicks: 25, previews: 25 });
  } finally {
    await reader.end();
  }
  expect(left).toEqual({ removed: 0, isMore: false, isBlocked: true });
});

it('behind the last chunk before the reserve new ones follow it', async () => {
  await database.query(
    `SELECT setval('events_id_seq', (SELECT max(first_id) FROM event_chunks() WHERE name LIKE 'events_from_%') + 10)`,
  );
  await fill(1);
  const newest = await newestChunk(client);
  expect(newest?.reserveEnd).toBe(null);
  expect(newest?.bytes).toBe(0);
  expect((await removeClickChunks(client)).removed).toBe(300);
  const left = await fullChunks();
  expect(left.map(([, events]) => events)).toEqual([1]);
});

it('minutes become quarters of an hour when nobody may ask for them any more', async () => {
  await fill(0);
  await removeClickChunks(client);
  const quarters = (): Promise<unknown[]> =>
    database.query(
      `SELECT url_id, date_bin('15 minutes', slot, '2000-01-01') AS slot, country, sum(clicks) AS clicks, sum(previews) AS previews
       FROM dropped_events GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`,
    );
  expect(await foldDropped(client)).toBe(false);
  await database.query(`UPDATE dropped_events SET slot = slot - interval '26 hours'`);
  const before = await quarters();
  const other = await connect();
  try {
    await other.query('BEGIN');
    await other.query('SELECT FROM short_urls WHERE id = 3 FOR UPDATE');
    expect(await foldDropped(client)).toBe(true);
    expect(await foldDropped(client)).toBe(false);
    await other.query('ROLLBACK');
  } finally {
    await other.end();
  }
  const minutes = `SELECT DISTINCT url_id FROM dropped_events WHERE slot <> date_bin('15 minutes', slot, '2000-01-01')`;
  expect(await database.query(minutes)).toEqual([{ url_id: '3' }]);
  expect(await foldDropped(client)).toBe(true);
  expect(await foldDropped(client)).toBe(false);
  expect(await quarters()).toEqual(before);
  const [row] = await database.query('SELECT count(*)::integer AS n FROM dropped_events');
  expect(row).toEqual({ n: before.length });
});
