import { sqlStateOf } from '../postgres/failures.js';
import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';
import { pieceEndStatement, pieceStatement, SUMS_SETTINGS } from './stats-statements.js';
import { addDifferences } from './stats-sums.js';
import { hasStatisticsLock } from './stats-waiting.js';

/**
 * Rebuilds the sums from all events, link by link in the order of their ids, each piece in a transaction. `stats_state`
 * says how far it is: after a kill it continues. Changes meanwhile wait, or are added as usual: those of links that are
 * still to come are in their events, the others are added to the new sums.
 */

/** A step that adds to the sums waits for at most one piece. */
const PIECE_MS = 1000;
const LONG_MS = 600;
const SHORT_MS = 250;
const MIN_EVENTS = 1000;
const MAX_EVENTS = 1_000_000;
const QUERY_CANCELED = '57014';

/** A place between two pieces: a link, and a quarter of an hour of it. Within a link the latest quarters come first. */
type Place = readonly [urlId: string, quarter: string];

const FIRST: Place = ['-9223372036854775808', '-infinity'];
const LAST: Place = ['9223372036854775807', '-infinity'];

const progressStatement: Statement = {
  name: 'stats_build_progress',
  text: 'SELECT is_whole, next_url, next_quarter FROM stats_state',
};

const beginStatements: readonly Statement[] = [
  { name: 'stats_build_begin_slots', text: 'DELETE FROM stats_slots' },
  { name: 'stats_build_begin_tops', text: 'DELETE FROM stats_tops' },
  { name: 'stats_build_begin_facts', text: 'DELETE FROM stats_day_facts' },
  { name: 'stats_build_begin_folds', text: 'SELECT stats_begin_folds()' },
];

const movedStatement: Statement = {
  name: 'stats_build_moved',
  text: 'UPDATE stats_state SET next_url = $1, next_quarter = $2',
};

const completeStatement: Statement = {
  name: 'stats_build_complete',
  text: 'UPDATE stats_state SET is_whole = true, next_url = NULL, next_quarter = NULL',
};

const endStatement: Statement = { name: 'stats_build_end', text: pieceEndStatement };
const addPieceStatement: Statement = { name: 'stats_build_piece', text: pieceStatement };

type Outcome = 'more' | 'complete' | 'elsewhere';

/** @param events Roughly how many the piece covers. */
async function buildPiece(connection: Connection, events: number): Promise<Outcome> {
  return inTransaction(connection, async () => {
    if (!(await hasStatisticsLock(connection))) return 'elsewhere';
    type Progress = readonly [isComplete: string, urlId: string | null, quarter: string | null];
    const [progress] = await rowsOf<Progress>(connection, progressStatement, []);
    if (progress?.[0] === 't') return 'complete';
    const [, urlId, quarter] = progress ?? [];
    if (urlId === null || urlId === undefined) {
      for (const statement of beginStatements) await rowsOf(connection, statement, []);
      await rowsOf(connection, movedStatement, FIRST);
      return 'more';
    }
    const from: Place = [urlId, quarter ?? '-infinity'];
    if (events > MIN_EVENTS) await connection.query(`SET LOCAL statement_timeout = ${PIECE_MS}`);
    const [end] = await rowsOf<Place>(connection, endStatement, [...from, events]);
    await connection.query(SUMS_SETTINGS);
    await rowsOf(connection, addPieceStatement, [...from, ...(end ?? LAST)]);
    if (end !== undefined) await rowsOf(connection, movedStatement, end);
    else await rowsOf(connection, completeStatement, []);
    return end === undefined ? 'complete' : 'more';
  });
}

/** @returns whether the sums are complete; `false` while another server builds them. */
export async function buildSums(connection: Connection, first = MIN_EVENTS): Promise<boolean> {
  for (let events = first; ; ) {
    const begun = performance.now();
    let outcome: Outcome = 'more';
    try {
      outcome = await buildPiece(connection, events);
    } catch (error) {
      if (sqlStateOf(error) !== QUERY_CANCELED || events <= MIN_EVENTS) throw error;
      events = Math.max(MIN_EVENTS, Math.floor(events / 4));
      continue;
    }
    if (outcome !== 'more') return outcome === 'complete';
    const took = performance.now() - begun;
    if (took > LONG_MS) events = Math.max(MIN_EVENTS, Math.floor(events / 2));
    else if (took < SHORT_MS) events = Math.min(MAX_EVENTS, events * 2);
    // The lock was hardly ever free: let those who wait for it in between two pieces.
    await addDifferences(connection);
  }
}
