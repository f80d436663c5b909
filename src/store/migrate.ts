import { setTimeout as sleep } from 'node:timers/promises';
import { sqlStateOf, UnusableDatabaseError } from '../postgres/failures.js';
import { type Connection, inTransaction } from '../postgres/pool.js';
import { buildSmallIndexes } from './background-indexes.js';
import { isInChunks, makeEventChunks } from './event-chunks.js';
import { forgetOldAnswers } from './idempotency.js';
import { type Migration, readMigrations } from './migration-files.js';
import { admitRelease, requireFloor } from './schema-floor.js';
import { type RaisedSequence, raiseSequences } from './sequences.js';

/** All servers on a database take this advisory lock to change its schema or fill it. */
export const SCHEMA_LOCK = 0x5357_0001;

/** How long one server waits for another that migrates or seeds. */
const LOCK_WAIT = '10min';

/**
 * How long a migration waits for a table's lock. Other statements on the table queue behind it meanwhile; it
 * therefore steps back, and tries again while the old server keeps working.
 */
const TABLE_LOCK_WAIT = '1s';
const TABLE_LOCK_ATTEMPTS = 60;
const TABLE_LOCK_PAUSE_MS = 500;

/** No connection waits that long to register: only migrations with a floor make others wait. */
const ADMISSION_MS = 60_000;

const OLDEST_SERVER = 150_000;

export interface Prepared {
  /** Names of the migrations that this call applied. */
  readonly applied: readonly string[];
  /** Whether the database was migrated by a newer version of the server. */
  readonly newer: boolean;
  /** Sequences that were behind their table. */
  readonly raised: readonly RaisedSequence[];
}

/**
 * Brings the schema up to date and runs `fill` (the seed), all in one transaction under one advisory lock:
 * any number of servers may start at once on an empty database.
 * @throws UnusableDatabaseError for an unsupported version or encoding, for a database that is for newer releases only,
 * or while an older release uses one that would become so.
 */
export async function prepareDatabase(
  connection: Connection,
  fill?: (connection: Connection) => Promise<void>,
): Promise<Prepared> {
  await requireUsable(connection);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await inTransaction(connection, () => prepareOnce(connection, fill));
    } catch (error) {
      if (sqlStateOf(error) !== LOCK_NOT_AVAILABLE || attempt === TABLE_LOCK_ATTEMPTS) throw error;
      await sleep(TABLE_LOCK_PAUSE_MS);
    }
  }
}

const LOCK_NOT_AVAILABLE = '55P03';

async function prepareOnce(
  connection: Connection,
  fill?: (connection: Connection) => Promise<void>,
): Promise<Prepared> {
  await connection.query(`SET LOCAL lock_timeout = '${LOCK_WAIT}'`);
  await connection.query('SELECT pg_advisory_xact_lock($1)', [SCHEMA_LOCK]);
  await connection.query(`SET LOCAL lock_timeout = '${TABLE_LOCK_WAIT}'`);
  await admitRelease(connection, ADMISSION_MS);
  const migrated = await applyMigrations(connection);
  await makePartitions(connection);
  await fill?.(connection);
  await buildSmallIndexes(connection);
  const raised = await raiseSequences(connection);
  await makeEventChunks(connection);
  return { ...migrated, raised };
}

/**
 * Brings the schema to a backup's, runs `fill`, which stores its rows, and applies newer migrations; all in
 * one transaction.
 * @param numbers Of the migrations that the backup has seen.
 * @throws UnusableDatabaseError if the database, or this program, does not have exactly the same ones by
 * then.
 */
export async function prepareRestored(
  connection: Connection,
  numbers: readonly number[],
  fill: () => Promise<void>,
): Promise<void> {
  await requireUsable(connection);
  await inTransaction(connection, async () => {
    await connection.query(`SET LOCAL lock_timeout = '${LOCK_WAIT}'`);
    await connection.query('SELECT pg_advisory_xact_lock($1)', [SCHEMA_LOCK]);
    await admitRelease(connection, ADMISSION_MS);
    await applyMigrations(connection, Math.max(...numbers));
    const { rows } = await connection.query<{ number: string }>(
      'SELECT number FROM schema_migrations ORDER BY number',
    );
    const there = rows.map(({ number }) => Number(number));
    if (there.join() !== numbers.join())
      throw new UnusableDatabaseError(
        `the backup is of migrations ${numbers.join(', ')}, the database of ${there.join(', ')}: restore into an empty database, by the program’s version of the backup or a newer one`,
      );
    await fill();
    await applyMigrations(connection);
    await makePartitions(connection);
    await buildSmallIndexes(connection);
    await raiseSequences(connection);
    await makeEventChunks(connection);
  });
}

/** The id that distinguishes this database from every other; `undefined` without our schema. */
export async function databaseId(connection: Connection): Promise<string | undefined> {
  const there = await connection.query<{ name: string | null }>(
    `SELECT to_regclass('switchyard_database') AS name`,
  );
  if ((there.rows[0]?.name ?? null) === null) return undefined;
  const { rows } = await connection.query<{ id: string }>('SELECT id FROM switchyard_database');
  return rows[0]?.id;
}

async function requireUsable(connection: Connection): Promise<void> {
  const { rows } = await connection.query<{ version: string; number: string; encoding: string }>(
    `SELECT current_setting('server_version') AS version, current_setting('server_version_num') AS number,
            current_setting('server_encoding') AS encoding`,
  );
  const [server] = rows;
  if (server === undefined) return;
  if (Number(server.number) < OLDEST_SERVER) {
    throw new UnusableDatabaseError(`PostgreSQL ${server.version} is too old: 15 or newer is needed`);
  }
  if (server.encoding !== 'UTF8') {
    throw new UnusableDatabaseError(`the database's encoding is ${server.encoding}: UTF8 is needed`);
  }
}

/** @param upTo The number of the last one to apply. */
async function applyMigrations(
  connection: Connection,
  upTo = Number.POSITIVE_INFINITY,
): Promise<Omit<Prepared, 'raised'>> {
  await connection.query(
    `CREATE TABLE IF NOT EXISTS schema_migrations (
       number integer PRIMARY KEY, name text NOT NULL, applied_at timestamp NOT NULL DEFAULT now())`,
  );
  const { rows } = await connection.query<{ number: string }>('SELECT number FROM schema_migrations');
  const done = new Set(rows.map((row) => Number(row.number)));
  const known = readMigrations();
  const applied: string[] = [];
  for (const migration of known) {
    if (done.has(migration.number) || migration.number > upTo) continue;
    await apply(connection, migration);
    applied.push(migration.name);
  }
  const newest = known.at(-1)?.number ?? 0;
  return { applied, newer: [...done].some((number) => number > newest) };
}

async function apply(connection: Connection, { number, name, sql, floor }: Migration): Promise<void> {
  if (floor !== undefined) await requireFloor(connection, name, floor);
  await connection.query(sql);
  await connection.query('INSERT INTO schema_migrations (number, name) VALUES ($1, $2)', [number, name]);
  // The column comes with a migration.
  if (floor !== undefined)
    await connection.query('UPDATE schema_migrations SET floor = $2 WHERE number = $1', [number, floor]);
}

/** Monthly partitions of events, from last month to three months ahead, where events are not in chunks by id. */
export async function makePartitions(connection: Connection): Promise<void> {
  if (await isInChunks(connection)) return;
  await connection.query(
    `SELECT make_event_partitions((now() AT TIME ZONE 'utc' - interval '1 month')::date,
                                  (now() AT TIME ZONE 'utc' + interval '3 months')::date)`,
  );
}

/**
 * A running server's upkeep: makes partitions ahead and deletes expired answers. It leaves checkpoints alone,
 * however old: no server can know whether a file of their journal still exists on some machine.
 */
export async function maintainDatabase(connection: Connection): Promise<void> {
  await inTransaction(connection, async () => {
    const { rows } = await connection.query<{ locked: string }>(
      'SELECT pg_try_advisory_xact_lock($1) AS locked',
      [SCHEMA_LOCK],
    );
    if (rows[0]?.locked !== 't') return;
    await makePartitions(connection);
    await forgetOldAnswers(connection);
  });
}
