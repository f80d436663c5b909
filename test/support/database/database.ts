import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import type { EmbeddedAddress } from '../../../src/postgres/answer.js';
import { noteOpened } from '../run/opened.js';

export interface TestDatabase {
  readonly address: EmbeddedAddress;
  readonly url: string;
  /** A connection of the test's own. */
  readonly client: pg.Client;
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  drop(): Promise<void>;
}

/** A database with the schema and no rows, cloned from the run's template. */
export async function createDatabase(): Promise<TestDatabase> {
  const server = inject('postgres');
  const database = `test_${randomBytes(6).toString('hex')}`;
  return makeDatabase(server, database, 'TEMPLATE template_switchyard');
}

/** A database without a schema. */
export async function createEmptyDatabase(encoding = 'UTF8'): Promise<TestDatabase> {
  const server = inject('postgres');
  const database = `empty_${randomBytes(6).toString('hex')}`;
  return makeDatabase(server, database, `TEMPLATE template0 ENCODING '${encoding}'`);
}

async function makeDatabase(server: EmbeddedAddress, name: string, options: string): Promise<TestDatabase> {
  await asAdmin(server, `CREATE DATABASE ${name} ${options}`);
  const drop = (): Promise<void> => asAdmin(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  const dropped = noteOpened(`database ${name}`, drop);
  return connectDatabase({ ...server, database: name }, async () => {
    await drop();
    dropped();
  });
}

export async function connectDatabase(
  address: EmbeddedAddress,
  drop: () => Promise<void> = () => Promise.resolve(),
): Promise<TestDatabase> {
  const client = new pg.Client({ ...address, application_name: 'test' });
  client.on('error', () => undefined);
  await client.connect();
  client.once(
    'end',
    noteOpened(`connection to ${address.database}`, () => client.end()),
  );
  return {
    address,
    url: urlOf(address),
    client,
    query: async (text, values) => (await client.query(text, values)).rows as never,
    drop: async () => {
      await client.end().catch(() => undefined);
      await drop();
    },
  };
}

export function urlOf(address: EmbeddedAddress): string {
  return `postgresql://${address.user}:${address.password}@${address.host}:${address.port}/${address.database}`;
}

async function asAdmin(server: EmbeddedAddress, sql: string): Promise<void> {
  const admin = new pg.Client(server);
  await admin.connect();
  try {
    // Cloning a template wants it for itself; tests that start at the same time take turns.
    await admin.query('SELECT pg_advisory_lock(1)');
    await admin.query(sql);
  } finally {
    await admin.end();
  }
}
