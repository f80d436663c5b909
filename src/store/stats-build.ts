import { sqlStateOf } from '../postgres/failures.js';
import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';
import { pieceEndStatement, pieceStatement, SUMS_SETTINGS } from './stats-statements.js';
import { addDifferences } from './stats-sums.js';
import { hasStatisticsLock } from './stats-waiting.js';

/**
 * Makes the sums anew from all events, links in the order of their ids, a piece a transaction. How far it is stands in
 * `stats_state`, so that it goes on after a kill. What changes meanwhile waits or is added as ever: of links whose turn is
 * still to come it is in their events, and of the others it is added to what was made.
 */

/** Whoever wants to add to the sums waits for one piece at most. */
const PIECE_MS = 1000;
const LONG_MS = 600;
const SHORT_MS = 250;
const MIN_EVENTS = 1000;
const MAX_EVENTS = 1_000_000;
const QUERY_CANCELED = '57014';

/** A link, and a quarter of an hour of it: of what is before it, and of that quarter and later ones of the link. */
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

/** @param events About how many the piece has. */
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

/** @returns whether the sums are there; `false` where another server makes them now. */
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
    // The lock was never free for long: the waiting ones come between two pieces.
    await addDifferences(connection);
  }
}
