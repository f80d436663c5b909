import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clientOptions } from '../../src/postgres/pool.js';
import { tableForEvents } from '../../src/store/hot-chunk.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { createMonthlyDatabase, upgrade } from '../support/database/monthly.js';

const CHUNK = 65_536;
const SECOND = `events_from_${CHUNK + 1}`;

let database: TestDatabase;
let connection: pg.Client;

async function connect(): Promise<void> {
  connection = new pg.Client(clientOptions(database.address, 'test', 5000));
  await connection.connect();
}

const give = (id: number): Promise<object[]> => database.query(`SELECT setval('events_id_seq', ${id})`);

describe('the table for a COPY of events', () => {
  beforeEach(async () => {
    database = await createDatabase();
    await connect();
  });

  afterEach(async () => {
    await connection.end();
    await database.drop();
  });

  it('is the chunk whose ids are next, if it has enough of them', async () => {
    expect(await tableForEvents(connection, 20_000)).toBe('events_from_0');
    await give(CHUNK - 100);
    expect(await tableForEvents(connection, 100)).toBe('events_from_0');
    expect(await tableForEvents(connection, 101)).toBe('events');
    await give(CHUNK);
    expect(await tableForEvents(connection, 101)).toBe(SECOND);
  });

  it('gives rows ids and all that the whole table gives them', async () => {
    const insert = async (table: string): Promise<object[]> =>
      database.query(
        `INSERT INTO ${table} (url_id, user_id, event_type, "timestamp", details)
         VALUES (1, 2, 'click', '2026-01-01', '{}') RETURNING id, url_id, user_id, event_type, "timestamp"::text, details`,
      );
    const rest = { url_id: '1', user_id: '2', event_type: 'click', timestamp: '2026-01-01 00:00:00' };
    expect(await insert(await tableForEvents(connection, 1))).toMatchObject([{ id: '1', ...rest }]);
    expect(await insert('events')).toMatchObject([{ id: '2', ...rest }]);
  });

  it('is the whole table where a chunk gives no ids, and then the next chunk', async () => {
    await database.query('ALTER TABLE events_from_0 ALTER id DROP DEFAULT');
    expect(await tableForEvents(connection, 1)).toBe('events');
    expect(await tableForEvents(connection, 1)).toBe('events');
    await give(CHUNK);
    expect(await tableForEvents(connection, 1)).toBe(SECOND);
  });

  it('is the whole table while it has a statement trigger of an operator’s own', async () => {
    expect(await tableForEvents(connection, 1)).toBe('events_from_0');
    await database.query(
      `CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
       CREATE TRIGGER look AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION look()`,
    );
    expect(await tableForEvents(connection, 1)).toBe('events');
    await database.query('DROP TRIGGER look ON events');
    expect(await tableForEvents(connection, 1)).toBe('events_from_0');
  });

  it('is the whole table when the chunk is gone', async () => {
    expect(await tableForEvents(connection, 1)).toBe('events_from_0');
    await database.query('DROP TABLE events_from_0');
    expect(await tableForEvents(connection, 1)).toBe('events');
  });
});

describe('an upgrade', () => {
  afterEach(async () => {
    await connection.end();
    await database.drop();
  });

  it('leaves events in months to the whole table', async () => {
    database = await createMonthlyDatabase('CREATE VIEW mine AS SELECT id FROM events');
    await upgrade(database);
    await connect();
    expect(await tableForEvents(connection, 1)).toBe('events');
  });

  it('has chunks without rows give ids, and leaves those with rows as they are', async () => {
    database = await createDatabase();
    await database.query(
      `DO $$ DECLARE part regclass; BEGIN
         FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'events'::regclass LOOP
           EXECUTE format('ALTER TABLE %s ALTER id DROP DEFAULT', part);
         END LOOP;
       END $$;
       INSERT INTO events (event_type) VALUES ('note');
       DELETE FROM schema_migrations WHERE number = 45`,
    );
    await upgrade(database);
    await connect();
    expect(await tableForEvents(connection, 1)).toBe('events');
    await give(CHUNK);
    expect(await tableForEvents(connection, 1)).toBe(SECOND);
  });
});
