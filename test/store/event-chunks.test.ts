import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { lacksPartition } from '../../src/postgres/failures.js';
import { clientOptions } from '../../src/postgres/pool.js';
import { keepEventChunks, makeEventChunks } from '../../src/store/event-chunks.js';
import { connectDatabase, createDatabase, type TestDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';

interface Chunk {
  readonly name: string;
  readonly first_id: string;
  readonly end_id: string;
  readonly is_sealed: boolean;
}

const CHUNK = 65_536;
const RESERVE = 2 ** 26;
const suffixes = ['_newest', '_by_url', '_by_user', '_by_rare_type', '_by_id'];

let database: TestDatabase;
let keeper: pg.Client;

async function open(): Promise<void> {
  database = await createDatabase();
  keeper = new pg.Client(clientOptions(database.address, 'test', 5000));
  await keeper.connect();
}

async function close(): Promise<void> {
  await keeper?.end();
  await database?.drop();
}

const chunks = (): Promise<Chunk[]> => database.query('SELECT * FROM event_chunks()');

async function indexesOf(chunk: string): Promise<string[]> {
  const rows = await database.query<{ name: string }>(
    'SELECT indexname AS name FROM pg_indexes WHERE tablename = $1 ORDER BY 1',
    [chunk],
  );
  return rows.map(({ name }) => name);
}

/** What its indexes are, without CREATE INDEX. */
async function definitionsOf(chunk: string): Promise<string[]> {
  const rows = await database.query<{ definition: string }>(
    'SELECT indexdef AS definition FROM pg_indexes WHERE tablename = $1 ORDER BY indexname',
    [chunk],
  );
  return rows.map(({ definition }) => definition.replace('CREATE INDEX ', ''));
}

const noted = (): Promise<object[]> =>
  database.query(
    `SELECT first_id, end_id, amount, first_time::text, last_time::text FROM event_chunk_times ORDER BY first_id`,
  );

/** Gives out all ids of the first chunk, few of them to events. */
async function fillFirstChunk(): Promise<void> {
  await database.query(
    `INSERT INTO users (username, email) VALUES ('u', 'u@example.com');
     INSERT INTO short_urls (user_id, original_url, short_code)
       SELECT 1, 'https://example.com', 'c' || n FROM generate_series(1, 9) AS n;
     INSERT INTO events (url_id, user_id, event_type)
       SELECT 1 + n % 9, 1, CASE WHEN n % 10 = 0 THEN 'created' ELSE 'click' END FROM generate_series(1, 200) AS n;
     SELECT setval('events_id_seq', ${CHUNK - 5});
     INSERT INTO events (url_id, event_type) SELECT 1 + n % 9, 'click' FROM generate_series(1, 20) AS n`,
  );
}

describe('chunks of events', () => {
  beforeAll(open);
  afterAll(close);

  it('are there ahead of the ids, from the lowest on; none has an index but the reserve behind them', async () => {
    const all = await chunks();
    const reserve = all.pop();
    expect(reserve).toMatchObject({ name: `events_reserve_${reserve?.first_id}`, is_sealed: true });
    expect(all.at(-1)?.end_id).toBe(reserve?.first_id);
    expect(Number(reserve?.end_id) - Number(reserve?.first_id)).toBe(RESERVE);
    expect(all.length).toBeGreaterThan(4);
    expect(all[0]).toEqual({
      name: 'events_from_0',
      first_id: '-9223372036854775808',
      end_id: String(CHUNK + 1),
      is_sealed: false,
    });
    for (const [index, { first_id }] of all.slice(1).entries()) expect(first_id).toBe(all[index]?.end_id);
    for (const { name } of all) expect(await indexesOf(name)).toEqual([]);
    expect(await makeEventChunks(keeper)).toBe(0);
  });

  it('are sealed when all their ids are given, and not before', async () => {
    await database.query(`INSERT INTO events (event_type) VALUES ('early')`);
    expect(await keepEventChunks(keeper)).toBeUndefined();
    await fillFirstChunk();
    expect(await keepEventChunks(keeper)).toBe('events_from_0');
    const [first, second] = await chunks();
    expect([first?.is_sealed, second?.is_sealed]).toEqual([true, false]);
    expect(await indexesOf('events_from_0')).toEqual(
      suffixes.map((suffix) => `events_from_0${suffix}`).sort(),
    );
    expect(await indexesOf(second?.name ?? '')).toEqual([]);
    expect(await keepEventChunks(keeper)).toBeUndefined();
    expect(
      await database.query(
        'SELECT tableoid::regclass::text AS t, count(*) AS n FROM events GROUP BY 1 ORDER BY 1',
      ),
    ).toEqual([
      { t: 'events_from_0', n: '206' },
      { t: second?.name, n: '15' },
    ]);
  });

  it('are pruned to one for an id', async () => {
    for (const sql of ['SELECT * FROM events WHERE id = 7', 'DELETE FROM events WHERE id = 7']) {
      const rows = await database.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${sql}`);
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      expect(plan).toContain('events_from_0');
      expect(plan).not.toContain(`events_from_${CHUNK + 1}`);
    }
  });

  it('take a statement of more rows than the small ones have ids; ids then go on behind the reserve', async () => {
    const reserve = (await chunks()).at(-1);
    await database.query(`SELECT setval('events_id_seq', ${reserve?.first_id}::bigint - 3)`);
    await database.query(`INSERT INTO events (event_type) SELECT 'many' FROM generate_series(1, 100)`);
    expect(
      await database.query(`SELECT count(*) AS n FROM ${reserve?.name} WHERE event_type = 'many'`),
    ).toEqual([{ n: '98' }]);
    expect(await makeEventChunks(keeper)).toBeGreaterThan(4);
    expect(await makeEventChunks(keeper)).toBe(0);
    expect(await database.query(`INSERT INTO events (event_type) VALUES ('next') RETURNING id`)).toEqual([
      { id: reserve?.end_id },
    ]);
  });

  it('are made before the small ones end, whatever was left of them', async () => {
    const before = (await chunks()).at(-1);
    const left = 100_000;
    await database.query(`SELECT setval('events_id_seq', ${before?.first_id}::bigint - ${left})`);
    expect(await makeEventChunks(keeper)).toBeGreaterThan(4);
    expect(await database.query(`SELECT last_value FROM events_id_seq`)).toEqual([
      { last_value: before?.end_id },
    ]);
  });

  it('are made by the release before too, which asks for months', async () => {
    const ask = `SELECT make_event_partitions('2026-01-01', '2026-02-01') AS made`;
    expect(await database.query(ask)).toEqual([{ made: 0 }]);
    const reserve = (await chunks()).at(-1);
    await database.query(`SELECT setval('events_id_seq', ${reserve?.first_id})`);
    const [row] = await database.query<{ made: number }>(ask);
    expect(row?.made).toBeGreaterThan(4);
  });

  it('are 400 at most for twenty thousand million events', async () => {
    const [row] = await database.query<{ events: string }>(
      'SELECT sum(event_chunk_size(n)) AS events FROM generate_series(0, 399) AS n',
    );
    expect(Number(row?.events)).toBeGreaterThan(20e9);
  });
});

describe('sealing', () => {
  afterEach(close);

  it.each([0, 1, 2, 3, 4, 5])('goes on after a kill behind %i indexes', async (done) => {
    await open();
    await fillFirstChunk();
    const statements = await database.query<{ statement: string }>(
      `SELECT statement FROM event_chunk_indexes('events_from_0')`,
    );
    for (const { statement } of statements.slice(0, done)) await database.query(statement);
    expect((await chunks())[0]?.is_sealed).toBe(done === suffixes.length);
    expect(await keepEventChunks(keeper)).toBe('events_from_0');
    expect((await chunks())[0]?.is_sealed).toBe(true);
    expect(await noted()).toHaveLength(1);
  });

  it('leaves a chunk of the release before as it is sealed, and notes its times', async () => {
    await open();
    await fillFirstChunk();
    const old = [
      '_newest ON events_from_0 ("timestamp" DESC, id DESC)',
      '_by_url ON events_from_0 (url_id, "timestamp" DESC, id DESC) WHERE url_id IS NOT NULL',
      '_by_user ON events_from_0 (user_id, "timestamp" DESC, id DESC) WHERE user_id IS NOT NULL',
      '_by_rare_type ON events_from_0 (event_type, "timestamp" DESC, id DESC)',
      '_by_id ON events_from_0 USING brin (id)',
    ];
    for (const index of old) await database.query(`CREATE INDEX events_from_0${index}`);
    expect((await chunks())[0]?.is_sealed).toBe(true);
    const before = await definitionsOf('events_from_0');
    expect(await keepEventChunks(keeper)).toBe('events_from_0');
    expect(await keepEventChunks(keeper)).toBeUndefined();
    expect(await definitionsOf('events_from_0')).toEqual(before);
    expect(await noted()).toHaveLength(1);
  });

  it('notes times, which events by hand widen and deletes leave', async () => {
    await open();
    await fillFirstChunk();
    await database.query(
      `UPDATE events SET "timestamp" = timestamp '2026-01-01' + id % 60 * interval '1 minute'`,
    );
    expect(await noted()).toEqual([]);
    expect(await keepEventChunks(keeper)).toBe('events_from_0');
    const first = { first_id: '-9223372036854775808', end_id: String(CHUNK + 1), amount: '205' };
    const between = (first_time: string, last_time: string): object[] => [
      { ...first, first_time, last_time },
    ];
    expect(await noted()).toEqual(between('2026-01-01 00:00:00', '2026-01-01 00:59:00'));
    await database.query('DELETE FROM events WHERE id % 60 IN (0, 59)');
    expect(await noted()).toEqual(between('2026-01-01 00:00:00', '2026-01-01 00:59:00'));
    await database.query(`UPDATE events SET "timestamp" = '2026-02-01' WHERE id = 7`);
    expect(await noted()).toEqual(between('2026-01-01 00:00:00', '2026-02-01 00:00:00'));
    await database.query(
      `SET session_replication_role = replica;
       INSERT INTO events (id, event_type, "timestamp") VALUES (300, 'late', '2025-01-01');
       RESET session_replication_role`,
    );
    expect(await noted()).toEqual(between('2025-01-01 00:00:00', '2026-02-01 00:00:00'));
    // An event that gets an id of the hot chunk, and its time, is none of this one.
    await database.query(`UPDATE events SET id = ${CHUNK + 99}, "timestamp" = '2027-01-01' WHERE id = 8`);
    expect(await noted()).toEqual(between('2025-01-01 00:00:00', '2026-02-01 00:00:00'));
  });

  it('gives small chunks indexes of one column, and large ones those of an order', async () => {
    await open();
    await fillFirstChunk();
    expect(await keepEventChunks(keeper)).toBe('events_from_0');
    // The first reserve is of the migration that made the chunks.
    await database.query(`SELECT setval('events_id_seq', ${(await chunks()).at(-1)?.first_id})`);
    await makeEventChunks(keeper);
    const reserve = (await chunks()).at(-1)?.name ?? '';
    for (const [chunk, columns] of [
      ['events_from_0', ''],
      [reserve, ', "timestamp" DESC, id DESC'],
    ] as const) {
      const definitions = await definitionsOf(chunk);
      expect(definitions).toEqual([
        `${chunk}_by_id ON public.${chunk} USING brin (id) WITH (pages_per_range='8')`,
        `${chunk}_by_rare_type ON public.${chunk} USING btree (event_type, "timestamp" DESC, id DESC) WHERE (event_type <> 'click'::text)`,
        `${chunk}_by_url ON public.${chunk} USING btree (url_id${columns}) WHERE (url_id IS NOT NULL)`,
        `${chunk}_by_user ON public.${chunk} USING btree (user_id${columns}) WHERE (user_id IS NOT NULL)`,
        `${chunk}_newest ON public.${chunk} USING btree ("timestamp")`,
      ]);
    }
    const sizes = await database.query<{ ids: string; small: boolean }>(
      `SELECT ids, event_chunk_is_small(-9223372036854775808, ids + 1) AS small
       FROM unnest('{65536,262144,524288,1073741824}'::bigint[]) AS ids`,
    );
    expect(sizes.map(({ small }) => small)).toEqual([true, true, false, false]);
  });

  it('waits for who still writes to the chunk, and holds nobody up; a kill leaves nothing', async () => {
    await open();
    await fillFirstChunk();
    const writer = await connectDatabase(database.address);
    await writer.query(`BEGIN; INSERT INTO events (id, event_type) VALUES (3, 'late')`);
    expect(await keepEventChunks(keeper)).toBeUndefined();
    expect((await chunks())[0]?.is_sealed).toBe(false);
    const killed = new pg.Client(clientOptions(database.address, 'killed', 5000));
    killed.on('error', () => undefined);
    await killed.connect();
    const sealing = (async () => {
      for (;;) await keepEventChunks(killed);
    })().catch((error: unknown) => error);
    await eventually(async () => {
      const rows = await database.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'killed' AND query LIKE 'CREATE INDEX%' AND wait_event_type = 'Lock'`,
      );
      return rows.length === 1;
    });
    expect(await sealing).toBeInstanceOf(Error);
    await writer.query('COMMIT');
    await writer.drop();
    expect(await keepEventChunks(keeper)).toBe('events_from_0');
    expect(await indexesOf('events_from_0')).toHaveLength(suffixes.length);
  });

  it('is done by one server at a time', async () => {
    await open();
    await fillFirstChunk();
    const others = await Promise.all(
      Array.from({ length: 3 }, async () => {
        const client = new pg.Client(clientOptions(database.address, 'test', 5000));
        await client.connect();
        return client;
      }),
    );
    const sealed = await Promise.all(others.map((connection) => keepEventChunks(connection)));
    expect(sealed.filter((chunk) => chunk !== undefined)).toEqual(['events_from_0']);
    await Promise.all(others.map((client) => client.end()));
  });
});

describe('an id that no chunk has', () => {
  let server: TestServer;

  beforeAll(open);
  afterAll(async () => {
    await server?.stop();
    await close();
  });

  it('is an error to SQL by hand, and a chunk is made for it on demand', async () => {
    const insert = 'INSERT INTO events (id, event_type) VALUES (5000000000, $1)';
    const error = await database.query(insert, ['far']).catch((reason: unknown) => reason);
    expect(lacksPartition(error)).toBe(true);
    await database.query('SELECT make_event_chunks(5000000000)');
    await database.query(insert, ['far']);
    const all = await chunks();
    expect(all.length).toBeLessThan(64);
    expect(all.find(({ end_id }) => end_id === '5000000001')?.is_sealed).toBe(true);
  });

  it('fails no create, no event and no click of a server', { timeout: 120_000 }, async () => {
    // To make a dozen chunks takes a busy machine longer than a call is waited for.
    server = await startServer({ DATABASE_URL: database.url, CALL_DEADLINE_MS: '20000' });
    for (const first of ['event', 'link', 'click']) {
      const url = await createUrl(server);
      // Sooner than the server looks for it.
      const [row] = await database.query<{ raised: string }>(
        `SELECT setval('events_id_seq', last_value + 10000000000) AS raised FROM events_id_seq`,
      );
      if (first === 'event') expect((await server.post('/events', { event_type: 'note' })).status).toBe(201);
      if (first === 'link') await createUrl(server);
      expect(await click(server, url.short_code)).toBe(url.original_url);
      await eventually(async () => {
        const clicks = await database.query(`SELECT FROM events WHERE event_type = 'click' AND id > $1`, [
          row?.raised,
        ]);
        return clicks.length === 1;
      });
    }
    expect(server.logs.filter(({ levelname }) => levelname === 'ERROR')).toEqual([]);
  });
});
