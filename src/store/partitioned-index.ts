import { setTimeout as sleep } from 'node:timers/promises';
import { sqlStateOf } from '../postgres/failures.js';
import type { Connection } from '../postgres/pool.js';

/** An index of a table with partitions. */
export interface PartitionedIndex {
  readonly name: string;
  readonly table: string;
  /** What follows `CREATE INDEX … ON <table>`. */
  readonly definition: string;
}

/** How long a short change of the schema waits for its locks; later statements wait as long. */
const LOCK_WAIT = '200ms';
const ATTEMPTS = 50;
const PAUSE_MS = 200;
const LOCK_NOT_AVAILABLE = '55P03';

/**
 * Makes a short change of the schema that blocks others for a moment. If a lock is taken, it steps back and
 * tries again: no statement waits behind it for longer than that moment.
 * @returns whether it was made; `false` if there was no such moment for a while.
 */
export async function changeBriefly(
  connection: Connection,
  sql: string,
  attempts = ATTEMPTS,
): Promise<boolean> {
  await connection.query(`SET lock_timeout = '${LOCK_WAIT}'`);
  try {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await connection.query(sql);
        return true;
      } catch (error) {
        if (sqlStateOf(error) !== LOCK_NOT_AVAILABLE) throw error;
        if (attempt === attempts) return false;
        await sleep(PAUSE_MS);
      }
    }
  } finally {
    await connection.query('RESET lock_timeout');
  }
}

/**
 * Builds an index of a partitioned table without blocking anyone, which CREATE INDEX CONCURRENTLY does only
 * for plain tables: one partition after the other, and the table's index is valid with the last of them. New
 * partitions get theirs at once. After a kill it continues where it was.
 */
export async function buildPartitionedIndex(
  connection: Connection,
  { name, table, definition }: PartitionedIndex,
): Promise<void> {
  const isBegun = await changeBriefly(
    connection,
    `CREATE INDEX IF NOT EXISTS ${name} ON ONLY ${table} ${definition}`,
  );
  if (!isBegun) return;
  for (const partition of await partitionsWithout(connection, name, table)) {
    const own = `${partition}_${name}`;
    if (!(await isValid(connection, own))) {
      await connection.query(`DROP INDEX CONCURRENTLY IF EXISTS ${own}`);
      await connection.query(`CREATE INDEX CONCURRENTLY ${own} ON ${partition} ${definition}`);
    }
    await changeBriefly(connection, `ALTER INDEX ${name} ATTACH PARTITION ${own}`);
  }
}

async function partitionsWithout(connection: Connection, index: string, table: string): Promise<string[]> {
  const { rows } = await connection.query<{ partition: string }>(
    `SELECT inhrelid::regclass::text AS partition FROM pg_inherits
     WHERE inhparent = $2::regclass AND inhrelid NOT IN (
       SELECT indrelid FROM pg_index JOIN pg_inherits AS attached ON attached.inhrelid = indexrelid
       WHERE attached.inhparent = $1::regclass)
     ORDER BY 1`,
    [index, table],
  );
  return rows.map(({ partition }) => partition);
}

async function isValid(connection: Connection, index: string): Promise<boolean> {
  const { rows } = await connection.query<{ valid: string }>(
    'SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = to_regclass($1)',
    [index],
  );
  return rows[0]?.valid === 't';
}
