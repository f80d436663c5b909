import { randomInt } from 'node:crypto';
import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';

/**
 * Marks of a server in the database of its primary. A series of them begins with each LISTEN connection; only its
 * latest mark is kept. The lower half of a mark is the number of a proof, the upper half that of the series. A standby
 * whose snapshot has a mark follows the primary it was left in, and has all that was committed before it: neither
 * positions in the log nor clocks prove that, since another primary's are as high.
 */

/** How many marks are kept: each series has one, and the ones renewed last stay. */
const MARKS_KEPT = 10_000;
const NUMBERS = 1n << 32n;
const SERIES = 2 ** 31;

/** The mark of a proof, in the series of another mark. */
export function markOf(mark: string, proof: number): string {
  return String(firstOf(mark) + BigInt(proof));
}

export function proofOf(mark: string): number {
  return Number(BigInt(mark) - firstOf(mark));
}

/** The highest mark that a series could have. */
export function lastOf(mark: string): string {
  return String(firstOf(mark) + NUMBERS - 1n);
}

function firstOf(mark: string): bigint {
  const value = BigInt(mark);
  return value - (value % NUMBERS);
}

const firstStatement: Statement = {
  name: 'primary_mark_first',
  text: `INSERT INTO primary_marks (mark) SELECT $1::bigint
         WHERE NOT EXISTS (SELECT FROM primary_marks WHERE mark BETWEEN $2::bigint AND $3::bigint) RETURNING mark`,
};

/** Begins a series. @returns its first mark. */
export async function leaveMark(connection: Connection, proof: number): Promise<string> {
  await connection.query(
    'DELETE FROM primary_marks WHERE mark IN (SELECT mark FROM primary_marks ORDER BY made_at DESC OFFSET $1)',
    [MARKS_KEPT],
  );
  for (;;) {
    const first = String(BigInt(randomInt(SERIES)) * NUMBERS);
    const mark = markOf(first, proof);
    const rows = await rowsOf(connection, firstStatement, [mark, first, lastOf(first)]);
    // Another server has this series: once in many million times.
    if (rows.length > 0) return mark;
  }
}

/** Nobody waits for a proof: it need not be flushed, nor be on a synchronous standby. */
const renewStatement: Statement = {
  name: 'primary_mark_renew',
  text: `WITH older AS (DELETE FROM primary_marks WHERE mark >= $1::bigint AND mark < $2::bigint)
         INSERT INTO primary_marks (mark) SELECT $2::bigint
         WHERE set_config('synchronous_commit', 'off', true) = 'off'`,
};

/** Continues a series. @returns its new mark. */
export async function renewMark(connection: Connection, before: string, proof: number): Promise<string> {
  const mark = markOf(before, proof);
  await rowsOf(connection, renewStatement, [String(firstOf(before)), mark]);
  return mark;
}

/** SQL of the latest mark of a series that a snapshot has; NULL without one. */
export function latestMark(least: string, last: string): string {
  return `(SELECT max(mark) FROM primary_marks WHERE mark BETWEEN ${least}::bigint AND ${last}::bigint)`;
}
