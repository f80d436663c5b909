import type { Connection } from '../postgres/pool.js';
import { changeBriefly } from './partitioned-index.js';

/** Indexes of earlier releases that cost more than they are worth, each with its replacement. */
const retiredIndexes = [
  // Nearly all events are clicks. Other types have their own index, and the list of all events finds clicks.
  { name: 'events_by_type', successor: 'events_by_rare_type' },
] as const;

/**
 * Drops indexes whose replacements are usable; outside a transaction.
 * @returns whether none of them is left.
 */
export async function dropRetiredIndexes(connection: Connection): Promise<boolean> {
  let isDone = true;
  for (const name of await retired(connection)) {
    isDone = (await changeBriefly(connection, `DROP INDEX IF EXISTS ${name}`)) && isDone;
  }
  return isDone;
}

/** Drops the index that a new one replaces, within the transaction that built it. */
export async function dropSucceededBy(connection: Connection, successor: string): Promise<void> {
  for (const retiredIndex of retiredIndexes) {
    if (retiredIndex.successor === successor)
      await connection.query(`DROP INDEX IF EXISTS ${retiredIndex.name}`);
  }
}

async function retired(connection: Connection): Promise<string[]> {
  const { rows } = await connection.query<{ name: string }>(
    `SELECT name FROM unnest($1::text[], $2::text[]) AS retired (name, successor)
       JOIN pg_index ON indexrelid = to_regclass(successor)
     WHERE indisvalid AND to_regclass(name) IS NOT NULL`,
    [retiredIndexes.map(({ name }) => name), retiredIndexes.map(({ successor }) => successor)],
  );
  return rows.map(({ name }) => name);
}
