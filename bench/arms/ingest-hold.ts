import pg from 'pg';
import type { Database } from '../data/database.js';

/**
 * Keeps the click ingest waiting in the database, by a lock that its transactions need: what is
 * measured meanwhile is the redirect and its journal, and not the load of the clicks before.
 */
export async function holdIngest({ address }: Database): Promise<() => Promise<void>> {
  const client = new pg.Client({ ...address, application_name: 'bench hold' });
  client.on('error', () => undefined);
  await client.connect();
  await client.query('BEGIN');
  // Reading the checkpoints goes on, writing them waits.
  await client.query('LOCK TABLE journal_checkpoints IN SHARE MODE');
  return async () => {
    await client.query('ROLLBACK').catch(() => undefined);
    await client.end();
  };
}
