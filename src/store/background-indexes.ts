import { sqlStateOf } from '../postgres/failures.js';
import type { Connection } from '../postgres/pool.js';
import { DROPPED_MINUTES_INDEX } from './dropped-events.js';
import { isInChunks } from './event-chunks.js';
import { buildPartitionedIndex } from './partitioned-index.js';
import { dropSucceededBy } from './retired-indexes.js';
import { SEARCH_INDEX, searchIndexDefinition, trigramSchema } from './search.js';

/** An index that nothing waits for at the start: the server builds it while it serves. */
interface BackgroundIndex {
  readonly name: string;
  readonly table: string;
  /** What follows `CREATE INDEX … ON <table>`. */
  readonly definition: string;
  readonly isPartitioned?: true;
}

/** Only if the database has pg_trgm, in any schema. */
const searchIndex = { name: SEARCH_INDEX, table: 'short_urls' };

/**
 * Indexes that came after the first release. A table may have ten million rows by then, and a lock for the
 * minutes that an index takes would block all of them: CREATE INDEX CONCURRENTLY blocks nothing.
 */
export const backgroundIndexes: readonly BackgroundIndex[] = [
  // Finds an existing link with the same target. A hash, because a target may be longer than a B-tree's
  // entry.
  { name: 'short_urls_by_target', table: 'short_urls', definition: 'USING hash (original_url)' },
  // Finds a chosen code that was typed in another letter case.
  {
    name: 'short_urls_by_chosen_code',
    table: 'short_urls',
    definition: '(lower(short_code)) WHERE is_chosen',
  },
  { name: 'short_urls_by_update', table: 'short_urls', definition: '(updated_at DESC, id DESC)' },
  // In byte order, which is the same on every machine and in every version of its libraries.
  { name: 'short_urls_by_title', table: 'short_urls', definition: '(title COLLATE "C", id)' },
  { name: 'short_urls_by_tag', table: 'short_urls', definition: 'USING gin (tags)' },
  DROPPED_MINUTES_INDEX,
];

/**
 * Of events in months; chunks have their own index like it. Nearly all events are clicks: an index that
 * includes them costs each of them more than it is worth.
 */
const eventsIndex: BackgroundIndex = {
  name: 'events_by_rare_type',
  table: 'events',
  definition: `(event_type, "timestamp" DESC, id DESC) WHERE event_type <> 'click'`,
  isPartitioned: true,
};

/** All servers on a database take this advisory lock to build indexes: one builds, the others move on. */
const INDEX_LOCK = 0x5357_0002;

/** Up to this many rows an index is built together with the schema, because it takes no noticeable time. */
const SMALL_TABLE_ROWS = 10_000;

export interface IndexProgress {
  /** The index that is being built now. */
  readonly name: string;
  /** Indexes still missing, this one included. */
  readonly missing: number;
}

/** Which background indexes are missing or were left half built, in order. */
export async function missingIndexes(connection: Connection): Promise<BackgroundIndex[]> {
  const schema = await trigramSchema(connection);
  const search = schema === undefined ? [] : [{ ...searchIndex, definition: searchIndexDefinition(schema) }];
  const ofEvents = (await isInChunks(connection)) ? [] : [eventsIndex];
  const wanted = [...backgroundIndexes, ...ofEvents, ...search];
  const valid = await validIndexes(
    connection,
    wanted.map(({ name }) => name),
  );
  return wanted.filter(({ name }) => !valid.has(name));
}

/** Which of the named indexes can't be used yet. */
export async function missingOf(connection: Connection, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return [];
  const valid = await validIndexes(connection, names);
  return names.filter((name) => !valid.has(name));
}

async function validIndexes(connection: Connection, names: readonly string[]): Promise<Set<string>> {
  const { rows } = await connection.query<{ name: string }>(
    `SELECT relname AS name FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
     WHERE indisvalid AND relname = ANY ($1)`,
    [names],
  );
  return new Set(rows.map(({ name }) => name));
}

/** Builds missing indexes at once if the tables are small. Call it within the schema's transaction. */
export async function buildSmallIndexes(connection: Connection): Promise<void> {
  for (const { name, table, definition } of await missingIndexes(connection)) {
    const { rows } = await connection.query<{ n: string }>(
      `SELECT count(*) AS n FROM (SELECT FROM ${table} LIMIT ${SMALL_TABLE_ROWS + 1}) AS counted`,
    );
    // A half-built index is dropped and built again in the background.
    if (Number(rows[0]?.n) > SMALL_TABLE_ROWS) continue;
    await connection.query(`CREATE INDEX IF NOT EXISTS ${name} ON ${table} ${definition}`);
    await dropSucceededBy(connection, name);
  }
}

/**
 * Builds the missing indexes one after the other, without blocking anyone. Safe on any number of servers and
 * after a kill: a half-built index is dropped and begun anew.
 * @param connection Outside a transaction, without a statement_timeout of its own.
 * @returns whether all exist; `false` if another server is building them now.
 */
export async function buildMissingIndexes(
  connection: Connection,
  onProgress: (progress: IndexProgress) => void,
): Promise<boolean> {
  const missing = await missingIndexes(connection);
  if (missing.length === 0) return true;
  const { rows } = await connection.query<{ locked: string }>('SELECT pg_try_advisory_lock($1) AS locked', [
    INDEX_LOCK,
  ]);
  if (rows[0]?.locked !== 't') return false;
  try {
    for (const [position, index] of missing.entries()) {
      onProgress({ name: index.name, missing: missing.length - position });
      await buildConcurrently(connection, index);
    }
    return (await missingIndexes(connection)).length === 0;
  } finally {
    await connection.query('SELECT pg_advisory_unlock($1)', [INDEX_LOCK]);
  }
}

async function buildConcurrently(connection: Connection, index: BackgroundIndex): Promise<void> {
  if (index.isPartitioned === true) return buildPartitionedIndex(connection, index);
  const { name, table, definition } = index;
  await connection.query(`DROP INDEX CONCURRENTLY IF EXISTS ${name}`);
  try {
    await connection.query(`CREATE INDEX CONCURRENTLY ${name} ON ${table} ${definition}`);
  } catch (error) {
    // Another server built it between our look and our lock.
    if (sqlStateOf(error) !== '42P07') throw error;
  }
}
