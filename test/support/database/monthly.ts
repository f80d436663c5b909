import { readdirSync, readFileSync } from 'node:fs';
import pg from 'pg';
import { clientOptions } from '../../../src/postgres/pool.js';
import { prepareDatabase } from '../../../src/store/migrate.js';
import { createEmptyDatabase, type TestDatabase } from './database.js';

const folder = new URL('../../../src/store/migrations/', import.meta.url);
/** The last release with events in months had this migration. */
const LAST_OF_MONTHS = 10;

/** A database as the last release with events in months left it; `fill` is SQL that a user of it has run. */
export async function createMonthlyDatabase(fill: string): Promise<TestDatabase> {
  const database = await createEmptyDatabase();
  await database.query(
    'CREATE TABLE schema_migrations (number integer PRIMARY KEY, name text NOT NULL, applied_at timestamp NOT NULL DEFAULT now())',
  );
  for (const file of readdirSync(folder).sort()) {
    const number = Number(file.slice(0, 4));
    if (number > LAST_OF_MONTHS) break;
    await database.query(readFileSync(new URL(file, folder), 'utf8'));
    await database.query('INSERT INTO schema_migrations (number, name) VALUES ($1, $2)', [
      number,
      file.slice(0, -'.sql'.length),
    ]);
  }
  await database.query(
    `SELECT make_event_partitions((now() - interval '3 months')::date, (now() + interval '3 months')::date)`,
  );
  await database.query(fill);
  return database;
}

/** Brings it to the present schema, as a start of the server does. */
export async function upgrade(database: TestDatabase): Promise<void> {
  const client = new pg.Client(clientOptions(database.address, 'test', 5000));
  await client.connect();
  await prepareDatabase(client);
  await client.end();
}
