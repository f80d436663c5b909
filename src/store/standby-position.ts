import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';
import { lastOf, latestMark } from './primary-marks.js';

/** What a standby must show to be one of our primary's. */
export interface Primacy {
  /** The primary's mark, or a later one of its series. */
  readonly mark: string;
  /** The primary's timeline; 0 if it is not known. */
  readonly timeline: number;
}

/**
 * SQL of whether a standby gets its log from the timeline. A role without pg_read_all_stats does not see which it is:
 * then the mark alone says it, which a standby that has just changed its timeline still has.
 */
export function isOnTimeline(timeline: string): string {
  return `coalesce((SELECT ${timeline}::integer = 0 OR received_tli IS NULL OR received_tli = ${timeline}::integer
                    FROM pg_stat_wal_receiver), false)`;
}

/** What is committed asynchronously is answered before it is flushed. */
const positionStatement: Statement = {
  name: 'primary_position',
  text: `SELECT CASE current_setting('synchronous_commit') WHEN 'off' THEN pg_current_wal_insert_lsn()
                ELSE pg_current_wal_flush_lsn() END`,
};

const reachedStatement: Statement = {
  name: 'standby_reached',
  text: `SELECT pg_is_in_recovery(), ${latestMark('$2', '$3')} IS NOT NULL AND ${isOnTimeline('$4')}
            AND coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false)`,
};

/** Behind all that was committed, and answered, before. */
export async function currentPosition(connection: Connection): Promise<string> {
  const [row] = await rowsOf<readonly [string]>(connection, positionStatement);
  return row?.[0] ?? '';
}

/**
 * Whether a standby follows the primary, and has replayed its log so far. One that was promoted is no standby: it goes
 * another way from there on.
 */
export async function standbyState(
  connection: Connection,
  position: string,
  { mark, timeline }: Primacy,
): Promise<'reached' | 'behind' | 'promoted'> {
  const values = [position, mark, lastOf(mark), timeline];
  const [row] = await rowsOf<readonly [string, string]>(connection, reachedStatement, values);
  if (row?.[0] !== 't') return 'promoted';
  return row[1] === 't' ? 'reached' : 'behind';
}
