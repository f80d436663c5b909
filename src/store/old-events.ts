import { setTimeout as sleep } from 'node:timers/promises';
import { sqlStateOf } from '../postgres/failures.js';
import { type Connection, inTransaction } from '../postgres/pool.js';
import { CHUNKS_LOCK, isInChunks } from './event-chunks.js';
import { changeBriefly } from './partitioned-index.js';

/**
 * Replaces the months of an earlier release by a table of chunks, while servers serve and clicks come in. The months
 * become the first chunk as they are, and no row moves. PostgreSQL needs proof that no id in them reaches the chunk's
 * end: a constraint, which it checks against the rows without locking anyone out. New ids then begin at that end.
 */

/** Ids between the last one when the constraint is made and the end that it sets. */
const HEADROOM = 2n ** 28n;
/** With fewer ids left before the end, the constraint is dropped: no event could be stored beyond it. */
const MIN_HEADROOM = 2n ** 26n;

const ATTEMPTS = 50;
const PAUSE_MS = 200;
/** The table and its months are locked one after the other; everybody else waits for them meanwhile. */
const SWITCH_SETTINGS = `SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = '1s'`;
/** A lock, or the whole statement, took too long. */
const NOT_NOW = ['55P03', '57014'];

export type OldEvents =
  /** Done, or nothing to do. */
  | { readonly state: 'chunked' }
  /** Another server is at it, or the tables were never free; a later attempt follows. */
  | { readonly state: 'later' }
  /** Objects of the operator's depend on the table and would be left behind. */
  | { readonly state: 'kept'; readonly obstacles: readonly string[] };

/**
 * Brings events of an earlier release into chunks. After a kill at any step the next call continues, or starts over.
 * @param connection Outside a transaction, without a statement_timeout of its own.
 * @param attempts For each lock, before a later call tries again.
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
  // If it stayed, it would refuse events once ids reach its end.
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

/** Drops the constraint before ids reach its end, in case a kill left it there long ago. */
export async function dropTightConstraint(connection: Connection): Promise<void> {
  const end = await endOfConstraint(connection);
  if (end === undefined || (await lastId(connection)) < end.id - MIN_HEADROOM) return;
  await dropConstraint(connection);
}

/** @returns `false` if one of the tables was never free. */
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

/** Moves the sequence past the months. Not in the transaction that switches: sequences ignore transactions. */
async function skipToChunks(connection: Connection): Promise<void> {
  await connection.query(
    `SELECT setval('events_id_seq', end_id, false) FROM event_chunks(), events_id_seq
     WHERE name = 'events_in_months' AND last_value < end_id`,
  );
}
