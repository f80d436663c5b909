import type { ClickTotals } from '../journal/click-totals.js';
import { comparePositions, type JournalPosition } from '../journal/position.js';
import { copyInto } from '../postgres/copy.js';
import { retryDecisionOf } from '../postgres/failures.js';
import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';
import { ClickTallies, type LinkIdentity } from './click-counts.js';
import { isBeyondChunk, tableForEvents, WHOLE_TABLE } from './hot-chunk.js';

/** How far a journal has been ingested, and what became of its clicks. */
export interface CheckpointRow extends JournalPosition {
  readonly totals: ClickTotals;
  /** The id of the database that says so. */
  readonly databaseId: string;
}

/** Clicks of one journal; `Click` is the caller's type. */
export interface ClickBatch<Click> {
  readonly journalId: string;
  /** Where the batch begins: it is ingested only if the checkpoint is exactly here. */
  readonly from: JournalPosition;
  readonly to: JournalPosition;
  /** The only database that may have them; `undefined` if unknown. */
  readonly databaseId: string | undefined;
  readonly clicks: readonly Click[];
  /** Clicks between the two positions that can't be read. */
  readonly unreadable: number;
  /** The same object for clicks on the same link, as far as that is known. */
  readonly linkOf: (click: Click) => LinkIdentity;
  /** Whether it raises its link's counter. */
  readonly isCounted: (click: Click) => boolean;
  /** Their events as rows of a binary COPY: url_id, user_id, event_type, timestamp, details. */
  readonly rows: (clicks: readonly Click[]) => Iterable<Buffer>;
  /** What they add to the statistics as rows of a binary COPY: `DIFFERENCE_COLUMNS` of `stats_batches`. */
  readonly differences: (
    clicks: readonly Click[],
    ownerOf: (link: LinkIdentity) => string | null,
  ) => Iterable<Buffer>;
}

/** A click that PostgreSQL will never accept. */
export interface RejectedClick<Click> {
  readonly click: Click;
  readonly reason: string;
}

export type IngestResult<Click> =
  | {
      readonly done: true;
      readonly totals: ClickTotals;
      readonly rejected: readonly RejectedClick<Click>[];
    }
  /** Where the journal is: another process, or our own commit whose answer was lost, got there; or it is another database. */
  | { readonly done: false; readonly checkpoint: CheckpointRow };

/** Columns of `stats_batches` in a batch's differences, in this order. */
const DIFFERENCE_COLUMNS =
  'amount, minute, url_ids, owners, facts, clicks, previews, countries, referrers, browsers, systems, devices';

const checkpointColumns = 'segment, byte_offset, clicks, dropped, rejected, unreadable';
const databaseColumn = '(SELECT id FROM switchyard_database)';

type CheckpointValues = readonly [
  segment: string,
  offset: string,
  clicks: string,
  dropped: string,
  rejected: string,
  unreadable: string,
  databaseId: string | null,
];

const lockStatement: Statement = {
  name: 'checkpoint_lock',
  text: `INSERT INTO journal_checkpoints (journal_id) VALUES ($1)
         ON CONFLICT (journal_id) DO UPDATE SET journal_id = excluded.journal_id
         RETURNING ${checkpointColumns}, ${databaseColumn}`,
};

const moveStatement: Statement = {
  name: 'checkpoint_move',
  text: `UPDATE journal_checkpoints
         SET segment = $2, byte_offset = $3, clicks = clicks + $4, dropped = dropped + $5,
             rejected = rejected + $6, unreadable = unreadable + $7, updated_at = now() AT TIME ZONE 'utc'
         WHERE journal_id = $1 RETURNING ${checkpointColumns}, ${databaseColumn}`,
};

const readStatement: Statement = {
  name: 'checkpoint_read',
  // A row even if the journal has none: it carries the database's id.
  text: `SELECT ${checkpointColumns.replaceAll(/\w+/g, 'coalesce($&, 0)')}, database.id
         FROM (SELECT ${databaseColumn} AS id) AS database LEFT JOIN journal_checkpoints ON journal_id = $1`,
};

const NOTHING_YET: CheckpointValues = ['0', '0', '0', '0', '0', '0', null];

function toCheckpoint(values: CheckpointValues): CheckpointRow {
  const [segment = 0, offset = 0, clicks = 0, dropped = 0, rejected = 0, unreadable = 0] = values.map(Number);
  return { segment, offset, totals: { clicks, dropped, rejected, unreadable }, databaseId: values[6] ?? '' };
}

/** How far a journal has been ingested; the start if nobody has begun. */
export async function readCheckpoint(connection: Connection, journalId: string): Promise<CheckpointRow> {
  const [row] = await rowsOf<CheckpointValues>(connection, readStatement, [journalId]);
  return toCheckpoint(row ?? NOTHING_YET);
}

/** Clicks of a batch that are in the database, and those that it rejected; the others were dropped. */
interface Stored<Click> {
  readonly kept: number;
  readonly rejected: readonly RejectedClick<Click>[];
}

/**
 * Ingests a batch of clicks: events, counters and checkpoint in one transaction, which counts each click once however
 * often it is tried. Call it within a transaction. It locks in the order of the whole store: checkpoint, then links by
 * id. Clicks are dropped if their link no longer exists, or if its id belongs to another link by now.
 * @param isCareful Finds the clicks that make PostgreSQL reject a batch, and leaves out only those. For a second
 *   attempt: each try costs a savepoint.
 */
export async function ingestClicks<Click>(
  connection: Connection,
  batch: ClickBatch<Click>,
  isCareful = false,
): Promise<IngestResult<Click>> {
  const { from, to } = batch;
  if (comparePositions(from, to) >= 0) {
    throw new Error(
      `a batch of ${batch.journalId} ends where it begins, or before: ${JSON.stringify({ from, to })}`,
    );
  }
  const [locked] = await rowsOf<CheckpointValues>(connection, lockStatement, [batch.journalId]);
  const checkpoint = toCheckpoint(locked ?? NOTHING_YET);
  const isElsewhere = batch.databaseId !== undefined && batch.databaseId !== checkpoint.databaseId;
  if (isElsewhere || comparePositions(checkpoint, from) !== 0) {
    return { done: false, checkpoint };
  }
  const { kept, rejected } = await storeClicks(connection, batch, isCareful);
  const [moved] = await rowsOf<CheckpointValues>(connection, moveStatement, [
    batch.journalId,
    batch.to.segment,
    batch.to.offset,
    kept,
    batch.clicks.length - kept - rejected.length,
    rejected.length,
    batch.unreadable,
  ]);
  return { done: true, totals: toCheckpoint(moved ?? NOTHING_YET).totals, rejected };
}

/**
 * Stores events, then locks, compares and counts their links in one statement: nobody waits for a link while events are
 * stored. If that finds a link missing, the events are undone and stored again without the link's clicks, with the
 * other links locked before. Nobody sees an event before the commit: none outlives a link that is deleted meanwhile.
 */
async function storeClicks<Click>(
  connection: Connection,
  batch: ClickBatch<Click>,
  isCareful: boolean,
): Promise<Stored<Click>> {
  const { clicks, linkOf, isCounted } = batch;
  if (clicks.length === 0) return { kept: 0, rejected: [] };
  const tallies = new ClickTallies();
  for (const click of clicks) tallies.add(linkOf(click), isCounted(click));
  // The triggers on events don't have to note what this transaction does.
  await connection.query(`SET LOCAL switchyard.differences = 'none'`);
  if (!isCareful) {
    const table = await tableForEvents(connection, clicks.length);
    await connection.query('SAVEPOINT clicks');
    try {
      await copyEvents(connection, batch, clicks, table);
    } catch (error) {
      if (table === WHOLE_TABLE || !isBeyondChunk(error)) throw error;
      await connection.query('ROLLBACK TO SAVEPOINT clicks');
      await copyEvents(connection, batch, clicks);
    }
    if (await tallies.count(connection)) {
      await noteDifferences(connection, batch, clicks, tallies);
      return { kept: clicks.length, rejected: [] };
    }
    await connection.query('ROLLBACK TO SAVEPOINT clicks');
  }
  await tallies.count(connection);
  const kept = clicks.filter((click) => !tallies.isMissing(linkOf(click)));
  const rejected: RejectedClick<Click>[] = [];
  if (isCareful && kept.length > 0) await copyCarefully(connection, batch, kept, rejected);
  else await copyEvents(connection, batch, kept);
  const refused = new Set(rejected.map(({ click }) => click));
  await tallies.takeOff(connection, [...refused].filter(isCounted).map(linkOf));
  const stored = refused.size === 0 ? kept : kept.filter((click) => !refused.has(click));
  await noteDifferences(connection, batch, stored, tallies);
  return { kept: kept.length - rejected.length, rejected };
}

/** Notes what the clicks' events add to the statistics. Their links have been counted, and are locked. */
async function noteDifferences<Click>(
  connection: Connection,
  batch: ClickBatch<Click>,
  clicks: readonly Click[],
  tallies: ClickTallies,
): Promise<void> {
  if (clicks.length === 0) return;
  const rows = batch.differences(clicks, (link) => tallies.ownerOf(link));
  await copyInto(connection, `stats_batches (${DIFFERENCE_COLUMNS})`, rows, 'binary');
}

async function copyEvents<Click>(
  connection: Connection,
  batch: ClickBatch<Click>,
  clicks: readonly Click[],
  table = WHOLE_TABLE,
): Promise<void> {
  if (clicks.length === 0) return;
  const columns = 'url_id, user_id, event_type, "timestamp", details';
  await copyInto(connection, `${table} (${columns})`, batch.rows(clicks), 'binary');
}

/**
 * Halves a rejected batch until the clicks at fault stand alone.
 * @throws if even the plainest event is rejected: then no click is at fault, and none is given up.
 */
async function copyCarefully<Click>(
  connection: Connection,
  batch: ClickBatch<Click>,
  clicks: readonly Click[],
  rejected: RejectedClick<Click>[],
): Promise<void> {
  await connection.query('SAVEPOINT part');
  try {
    await copyEvents(connection, batch, clicks);
    await connection.query('RELEASE SAVEPOINT part');
    return;
  } catch (error) {
    if (retryDecisionOf(error) !== 'rejected') throw error;
    await connection.query('ROLLBACK TO SAVEPOINT part');
    const [only] = clicks;
    if (clicks.length === 1 && only !== undefined) {
      if (rejected.length === 0) await requireEventsAccepted(connection);
      rejected.push({ click: only, reason: (error as Error).message });
      return;
    }
  }
  const middle = Math.ceil(clicks.length / 2);
  await copyCarefully(connection, batch, clicks.slice(0, middle), rejected);
  await copyCarefully(connection, batch, clicks.slice(middle), rejected);
}

/** Stores an empty event, and undoes it. */
async function requireEventsAccepted(connection: Connection): Promise<void> {
  await connection.query('SAVEPOINT probe');
  await connection.query(`INSERT INTO events (event_type, details) VALUES ('click', '{}')`);
  await connection.query('ROLLBACK TO SAVEPOINT probe');
}

/** Forgets a journal whose files are gone. */
export async function forgetJournal(connection: Connection, journalId: string): Promise<void> {
  await connection.query('DELETE FROM journal_checkpoints WHERE journal_id = $1', [journalId]);
}
