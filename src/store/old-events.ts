import { setTimeout as sleep } from 'node:timers/promises';
import { sqlStateOf } from '../postgres/failures.js';
import { type Connection, inTransaction } from '../postgres/pool.js';
import { CHUNKS_LOCK, isInChunks } from './event-chunks.js';
import { changeBriefly } from './partitioned-index.js';

/**
 * Puts a table of chunks in the place of the months of an earlier release, while servers serve and clicks come in. The
 * months stay as they are and become the first chunk, so that no row is moved. That takes a proof that no id in them
 * reaches the chunk's end: a constraint, which is checked against the rows without locking anyone out. Ids then go
 * on behind that end.
 */

/** Ids between those that are given when the constraint is made and the end that it sets. */
const HEADROOM = 2n ** 28n;
/** Fewer ids than that before the end, and the constraint goes, for beyond it no event could be stored. */
const MIN_HEADROOM = 2n ** 26n;

const ATTEMPTS = 50;
const PAUSE_MS = 200;
/** The table and its months are locked one after the other, and whoever wants one waits meanwhile. */
const SWITCH_SETTINGS = `SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = '1s'`;
/** Not in time: a lock, or all of them. */
const NOT_NOW = ['55P03', '57014'];

export type OldEvents =
  /** Nothing to do, or it is done. */
  | { readonly state: 'chunked' }
  /** Another server does it, or the tables were never free; it is tried again later. */
  | { readonly state: 'later' }
  /** Things of an operator's own hang on the table and would be left behind. */
  | { readonly state: 'kept'; readonly obstacles: readonly string[] };

/**
 * Brings events of an earlier release into chunks. After a kill at any step it goes on, or begins anew.
 * @param connection Outside a transaction, without a statement_timeout of its own.
 * @param attempts For each lock, until it is left for later.
 */
export async function chunkOldEvents(connection: Connection, attempts = ATTEMPTS): Promise<OldEvents> {
  if (await isInChunks(connection)) {
    await skipToChunks(connection);
    return { state: 'chunked' };
  }
  const { rows } = await connection.query<{ obstacle: string }>(
    'SELECT event_chunks_obstacles() AS obstacle',
  );
  if (rows.length > 0) return { state: 'kept', obstacles: rows.map(({ obstacle }) => obstacle) };
  const locked = await connection.query<{ locked: string }>('SELECT pg_try_advisory_lock($1) AS locked', [
    CHUNKS_LOCK,
  ]);
  if (locked.rows[0]?.locked !== 't') return { state: 'later' };
  try {
    const isDone = (await isInChunks(connection)) || (await convert(connection, attempts));
    if (isDone) await skipToChunks(connection);
    return { state: isDone ? 'chunked' : 'later' };
  } finally {
    await connection.query('SELECT pg_advisory_unlock($1)', [CHUNKS_LOCK]);
  }
}

async function convert(connection: Connection, attempts: number): Promise<boolean> {
  await dropTightConstraint(connection);
  if (!(await addConstraint(connection, attempts))) return false;
  await changeBriefly(connection, 'ALTER TABLE events VALIDATE CONSTRAINT events_before_chunks', attempts);
  const end = await endOfConstraint(connection);
  if (end?.isValid === true && (await switchTables(connection, end.id, attempts))) return true;
  // Left there for long, it would refuse events once it is reached.
  await dropConstraint(connection);
  return false;
}

interface End {
  readonly id: bigint;
  readonly isValid: boolean;
}

async function endOfConstraint(connection: Connection): Promise<End | undefined> {
  const { rows } = await connection.query<{ id: string; valid: string }>(
    `SELECT substring(pg_get_constraintdef(oid) FROM $re$< '?(\\d+)$re$) AS id, convalidated AS valid FROM pg_constraint
     WHERE conname = 'events_before_chunks' AND conrelid = to_regclass('events')`,
  );
  const [row] = rows;
  return row === undefined ? undefined : { id: BigInt(row.id), isValid: row.valid === 't' };
}

async function lastId(connection: Connection): Promise<bigint> {
  const { rows } = await connection.query<{ last: string }>('SELECT last_value AS last FROM events_id_seq');
  return BigInt(rows[0]?.last ?? 0);
}

async function addConstraint(connection: Connection, attempts: number): Promise<boolean> {
  if ((await endOfConstraint(connection)) !== undefined) return true;
  const end = (await lastId(connection)) + HEADROOM;
  return changeBriefly(
    connection,
    `ALTER TABLE events ADD CONSTRAINT events_before_chunks CHECK (id < ${end}) NOT VALID`,
    attempts,
  );
}

async function dropConstraint(connection: Connection): Promise<void> {
  await changeBriefly(connection, 'ALTER TABLE events DROP CONSTRAINT IF EXISTS events_before_chunks');
}

/** Takes the constraint away before ids reach its end, as after a kill at a bad moment and a long time. */
export async function dropTightConstraint(connection: Connection): Promise<void> {
  const end = await endOfConstraint(connection);
  if (end === undefined || (await lastId(connection)) < end.id - MIN_HEADROOM) return;
  await dropConstraint(connection);
}

/** @returns whether it was done; `false` where somebody always needed one of the tables. */
async function switchTables(connection: Connection, end: bigint, attempts: number): Promise<boolean> {
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    try {
      await inTransaction(connection, async () => {
        await connection.query(SWITCH_SETTINGS);
        await connection.query('LOCK TABLE events IN ACCESS EXCLUSIVE MODE');
        await connection.query('SELECT chunk_events($1)', [end]);
      });
      return true;
    } catch (error) {
      if (!NOT_NOW.includes(sqlStateOf(error) ?? '')) throw error;
      await sleep(PAUSE_MS);
    }
  }
  return false;
}

/** Ids go on behind the months. Not in the transaction that switches, for a sequence takes part in none. */
async function skipToChunks(connection: Connection): Promise<void> {
  await connection.query(
    `SELECT setval('events_id_seq', end_id, false) FROM event_chunks(), events_id_seq
     WHERE name = 'events_in_months' AND last_value < end_id`,
  );
}
