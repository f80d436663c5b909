import { randomBytes } from 'node:crypto';
import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';

/** How many marks are kept: a server's own is among them for as long as it listens without a break. */
const MARKS_KEPT = 10_000;

/**
 * Leaves a mark in the database of the primary. A standby that has it follows this primary, and no other: one that
 * still has the log of an old primary may be ahead of ours by its position.
 * @returns the mark.
 */
export async function leaveMark(connection: Connection): Promise<string> {
  const mark = String(randomBytes(8).readBigInt64BE() >> 1n);
  await connection.query(
    'DELETE FROM primary_marks WHERE mark IN (SELECT mark FROM primary_marks ORDER BY made_at DESC OFFSET $1)',
    [MARKS_KEPT],
  );
  await connection.query('INSERT INTO primary_marks (mark) VALUES ($1)', [mark]);
  return mark;
}

/** What is committed asynchronously is answered before it is flushed. */
const positionStatement: Statement = {
  name: 'primary_position',
  text: `SELECT CASE current_setting('synchronous_commit') WHEN 'off' THEN pg_current_wal_insert_lsn()
                ELSE pg_current_wal_flush_lsn() END`,
};

/** One that was promoted goes another way from there on. */
const reachedStatement: Statement = {
  name: 'standby_reached',
  text: `SELECT pg_is_in_recovery() AND EXISTS (SELECT FROM primary_marks WHERE mark = $2::bigint)
            AND coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false)`,
};

/** Behind all that was committed, and answered, before. */
export async function currentPosition(connection: Connection): Promise<string> {
  const [row] = await rowsOf<readonly [string]>(connection, positionStatement);
  return row?.[0] ?? '';
}

/** Whether a standby follows the primary that has left the mark, and has replayed its log so far. */
export async function hasReached(connection: Connection, position: string, mark: string): Promise<boolean> {
  const [row] = await rowsOf<readonly [string]>(connection, reachedStatement, [position, mark]);
  return row?.[0] === 't';
}
