import pg from 'pg';
import type { Database } from '../data/database.js';

/**
 * Keeps the click ingest waiting in the database, with a lock that its transactions need: measurements
 * meanwhile show the redirect and its journal, not the load of earlier clicks.
 */
export async function holdIngest({ address }: Database): Promise<() => Promise<void>> {
  const client = new pg.Client({ ...address, application_name: 'bench hold' });
  client.on('error', () => undefined);
  await client.connect();
  await client.query('BEGIN');
  // Checkpoints can still be read, but not written.
  await client.query('LOCK TABLE journal_checkpoints IN SHARE MODE');
  return async () => {
    await client.query('ROLLBACK').catch(() => undefined);
    await client.end();
  };
}
