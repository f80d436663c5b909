import type pg from 'pg';
import { sqlStateOf, UnusableDatabaseError } from '../postgres/failures.js';
import type { Connection } from '../postgres/pool.js';
import { newestMigration } from './migration-files.js';

/** Connections hold a shared lock of this class, and of their program's newest migration, until they end. */
const RELEASE_LOCKS = 0x5357_0009;
/** Held while a migration with a floor is applied: no connection registers meanwhile. */
const FLOOR_LOCK = 0x5357_0008;
const BELOW_FLOOR = 'SY001';

/**
 * First it registers, then it reads the floor: a migration that sets one either sees the connection or is seen by it.
 * The schema may be older than the floor, or not be there yet.
 */
const admission = (newest: number): string => `
  DO $$
  DECLARE
    floor integer;
  BEGIN
    PERFORM pg_advisory_xact_lock_shared(${FLOOR_LOCK});
    PERFORM pg_advisory_lock_shared(${RELEASE_LOCKS}, ${newest});
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('schema_migrations') AND attname = 'floor') THEN
      SELECT max(m.floor) INTO floor FROM schema_migrations m;
      IF floor > ${newest} THEN
        RAISE EXCEPTION '%', floor USING ERRCODE = '${BELOW_FLOOR}';
      END IF;
    END IF;
  END $$`;

let newest: number | undefined;

/**
 * Registers a connection to the primary as one of this release, for as long as it is open.
 * @throws UnusableDatabaseError if the database is for newer releases only.
 */
export async function admitRelease(connection: Connection, timeoutMs: number): Promise<void> {
  newest ??= newestMigration();
  try {
    await connection.query({ text: admission(newest), query_timeout: timeoutMs } as pg.QueryConfig);
  } catch (error) {
    if (sqlStateOf(error) !== BELOW_FLOOR) throw error;
    throw new UnusableDatabaseError(
      `the database needs a release with migration ${(error as Error).message} or newer: the newest one of this release is ${newest}`,
    );
  }
}

/**
 * Shuts out older releases until the transaction ends; from then on the floor that it stores does.
 * @throws UnusableDatabaseError if one is connected.
 */
export async function requireFloor(connection: Connection, name: string, floor: number): Promise<void> {
  await connection.query('SELECT pg_advisory_xact_lock($1)', [FLOOR_LOCK]);
  const { rows } = await connection.query<{ older: string }>(
    `SELECT count(*) AS older FROM pg_locks
     WHERE locktype = 'advisory' AND objsubid = 2 AND classid = $1 AND objid < $2
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    [RELEASE_LOCKS, floor],
  );
  if (rows[0]?.older === '0') return;
  throw new UnusableDatabaseError(
    `servers or tools of an older release use the database: stop all servers, then start this release (migration ${name} would break those without migration ${floor})`,
  );
}
