import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';
import { RETENTION_LOCK } from './archive.js';
import { OLDEST_MINUTE, quarterOf } from './stats-rollups.js';

/** What events were that are dropped: minutes of the last 25 hours become quarters of an hour, in fewer rows. */

const ROWS_A_PIECE = 5000;

/** Finds rows that are not a quarter's, the oldest first. */
export const DROPPED_MINUTES_INDEX = {
  name: 'dropped_events_minutes',
  table: 'dropped_events',
  definition: `(slot) WHERE slot <> ${quarterOf('slot')}`,
} as const;

const isOldMinute = `slot <> ${quarterOf('slot')} AND slot < ${quarterOf(OLDEST_MINUTE)}`;

const anyStatement: Statement = {
  name: 'dropped_events_any',
  text: `SELECT EXISTS (SELECT FROM dropped_events WHERE ${isOldMinute})`,
};

/** Whoever deletes a link or gives it away is not waited for: its rows are left to a later round. */
const foldStatement: Statement = {
  name: 'dropped_events_fold',
  text: `
    WITH old AS MATERIALIZED (
      SELECT url_id, ${quarterOf('slot')} AS quarter FROM dropped_events WHERE ${isOldMinute}
      ORDER BY slot LIMIT ${ROWS_A_PIECE}
    ), links AS MATERIALIZED (
      SELECT id FROM short_urls WHERE id IN (SELECT url_id FROM old) ORDER BY id FOR KEY SHARE SKIP LOCKED
    ), folded AS MATERIALIZED (
      SELECT DISTINCT url_id, quarter FROM old JOIN links ON id = url_id
    ), gone AS (
      DELETE FROM dropped_events WHERE ctid = ANY (ARRAY(
        -- Link by link, by an index, whatever the planner thinks of their number.
        SELECT place FROM folded CROSS JOIN LATERAL (
          SELECT ctid AS place FROM dropped_events AS dropped
          WHERE dropped.url_id = folded.url_id AND slot >= quarter AND slot < quarter + interval '15 minutes' OFFSET 0
        ) AS found))
      RETURNING *
    ), kept AS (
      INSERT INTO dropped_events (url_id, slot, country, referrer, browser, os, device, clicks, previews)
      SELECT url_id, ${quarterOf('slot')}, country, referrer, browser, os, device, sum(clicks), sum(previews)
      FROM gone GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2
    )
    SELECT count(*) FROM gone`,
};

const FOLD_SETTINGS = 'SET LOCAL enable_seqscan = off; SET LOCAL jit = off';

/** Folds the next rows. @returns whether there may be more. */
export async function foldDropped(connection: Connection): Promise<boolean> {
  const indexes = await connection.query(
    'SELECT FROM pg_index WHERE indexrelid = to_regclass($1) AND indisvalid',
    [DROPPED_MINUTES_INDEX.name],
  );
  if (indexes.rows.length === 0) return false;
  const [any] = await rowsOf<[string]>(connection, anyStatement);
  if (any?.[0] !== 't') return false;
  return inTransaction(connection, async () => {
    await connection.query(FOLD_SETTINGS);
    const { rows } = await connection.query<{ is: string }>('SELECT pg_try_advisory_xact_lock($1) AS is', [
      RETENTION_LOCK,
    ]);
    if (rows[0]?.is !== 't') return false;
    const [folded] = await rowsOf<[string]>(connection, foldStatement);
    return Number(folded?.[0]) > 0;
  });
}
