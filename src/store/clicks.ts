import type { ClickTotals } from '../journal/click-totals.js';
import { comparePositions, type JournalPosition } from '../journal/position.js';
import { copyInto } from '../postgres/copy.js';
import { retryDecisionOf } from '../postgres/failures.js';
import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';
import { createdMs } from './link-table.js';

/** How far a journal has been taken in, with what became of its clicks. */
export interface CheckpointRow extends JournalPosition {
  readonly totals: ClickTotals;
  /** Of the database that says so. */
  readonly databaseId: string;
}

/** What tells a link from every other, in one database: another one may get its id, or its code, later. */
export interface LinkIdentity {
  readonly urlId: string;
  readonly shortCode: string;
  /** ms since 1970; `undefined` where it was not noted. */
  readonly createdMs: number | undefined;
}

/** Clicks of one journal, `Click` being whatever the caller has of each. */
export interface ClickBatch<Click> {
  readonly journalId: string;
  /** Where the batch begins: it goes in only if the journal has been taken in exactly so far. */
  readonly from: JournalPosition;
  readonly to: JournalPosition;
  /** The only database that they may go to; `undefined` where that was not noted. */
  readonly databaseId: string | undefined;
  readonly clicks: readonly Click[];
  /** Clicks between the two positions that can't be read. */
  readonly unreadable: number;
  /** The same object for clicks on the same link, wherever that is known. */
  readonly linkOf: (click: Click) => LinkIdentity;
  /** Whether it is a visit, to be added to its link's counter. */
  readonly isCounted: (click: Click) => boolean;
  /** Their events in COPY's text form: url_id, user_id, event_type, timestamp, details. */
  readonly rows: (clicks: readonly Click[]) => Iterable<string>;
}

/** A click that PostgreSQL will not take, whatever is done. */
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
  /** Somebody else, or we ourselves in a commit whose answer was lost, got this far; or it is another database. */
  | { readonly done: false; readonly checkpoint: CheckpointRow };

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

const shareLinksStatement: Statement = {
  name: 'clicks_share_links',
  text: `SELECT id, short_code, ${createdMs} FROM short_urls WHERE id = ANY ($1::bigint[]) ORDER BY id FOR KEY SHARE`,
};

const lockCountersStatement: Statement = {
  name: 'clicks_lock_counters',
  text: 'SELECT FROM short_urls WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE',
};

const countStatement: Statement = {
  name: 'clicks_count',
  text: `UPDATE short_urls SET click_count = click_count + clicks.n
         FROM unnest($1::bigint[], $2::bigint[]) AS clicks (url_id, n) WHERE id = clicks.url_id`,
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
  // A row even where the journal has none: the database tells who it is.
  text: `SELECT ${checkpointColumns.replaceAll(/\w+/g, 'coalesce($&, 0)')}, database.id
         FROM (SELECT ${databaseColumn} AS id) AS database LEFT JOIN journal_checkpoints ON journal_id = $1`,
};

const NOTHING_YET: CheckpointValues = ['0', '0', '0', '0', '0', '0', null];

function toCheckpoint(values: CheckpointValues): CheckpointRow {
  const [segment = 0, offset = 0, clicks = 0, dropped = 0, rejected = 0, unreadable = 0] = values.map(Number);
  return { segment, offset, totals: { clicks, dropped, rejected, unreadable }, databaseId: values[6] ?? '' };
}

/** How far a journal has been taken in; the start for one that nobody has begun. */
export async function readCheckpoint(connection: Connection, journalId: string): Promise<CheckpointRow> {
  const [row] = await rowsOf<CheckpointValues>(connection, readStatement, [journalId]);
  return toCheckpoint(row ?? NOTHING_YET);
}

/**
 * Takes in a batch of clicks: events, counters and checkpoint in one transaction, so that it counts
 * once however often it is tried. Call it within a transaction. Locks are taken in the order that all
 * of the store keeps: checkpoint, links by id (shared, so that none is deleted before the events are
 * there), counters by id. Clicks on links that no longer exist are dropped, and those
 * whose id is another link's by now.
 * @param isCareful Finds the clicks that make PostgreSQL reject a batch, and leaves only those out. It
 *   costs a savepoint a try, so it is for the second attempt.
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
  const kept = await onExistingLinks(connection, batch);
  const rejected: RejectedClick<Click>[] = [];
  if (kept.length > 0) {
    if (isCareful) await copyCarefully(connection, batch, kept, rejected);
    else await copyEvents(connection, batch, kept);
    const refused = new Set(rejected.map(({ click }) => click));
    await addCounters(
      connection,
      batch,
      refused.size === 0 ? kept : kept.filter((click) => !refused.has(click)),
    );
  }
  const [moved] = await rowsOf<CheckpointValues>(connection, moveStatement, [
    batch.journalId,
    batch.to.segment,
    batch.to.offset,
    kept.length - rejected.length,
    batch.clicks.length - kept.length,
    rejected.length,
    batch.unreadable,
  ]);
  return { done: true, totals: toCheckpoint(moved ?? NOTHING_YET).totals, rejected };
}

async function onExistingLinks<Click>(
  connection: Connection,
  batch: ClickBatch<Click>,
): Promise<readonly Click[]> {
  const links = new Set(batch.clicks.map(batch.linkOf));
  if (links.size === 0) return [];
  const ids = [...new Set([...links].map(({ urlId }) => urlId))];
  type Found = readonly [id: string, shortCode: string, createdMs: string];
  const rows = await rowsOf<Found>(connection, shareLinksStatement, [ids]);
  const found = new Map(rows.map((row) => [row[0], row]));
  const gone = new Set([...links].filter((link) => !isSame(link, found.get(link.urlId))));
  return gone.size === 0 ? batch.clicks : batch.clicks.filter((click) => !gone.has(batch.linkOf(click)));
}

function isSame(link: LinkIdentity, row: readonly [string, string, string] | undefined): boolean {
  if (row === undefined || row[1] !== link.shortCode) return false;
  return link.createdMs === undefined || link.createdMs === Number(row[2]);
}

async function copyEvents<Click>(
  connection: Connection,
  batch: ClickBatch<Click>,
  clicks: readonly Click[],
): Promise<void> {
  const columns = 'url_id, user_id, event_type, "timestamp", details';
  await copyInto(connection, `events (${columns})`, batch.rows(clicks));
}

/**
 * Halves what is rejected until the clicks that are to blame stand alone.
 * @throws when the plainest click would be rejected too: then none is to blame, and none is given up.
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

/** Stores an event that says nothing, and takes it back. */
async function requireEventsAccepted(connection: Connection): Promise<void> {
  await connection.query('SAVEPOINT probe');
  await connection.query(`INSERT INTO events (event_type, details) VALUES ('click', '{}')`);
  await connection.query('ROLLBACK TO SAVEPOINT probe');
}

async function addCounters<Click>(
  connection: Connection,
  batch: ClickBatch<Click>,
  clicks: readonly Click[],
): Promise<void> {
  const counts = new Map<string, number>();
  for (const click of clicks) {
    if (!batch.isCounted(click)) continue;
    const { urlId } = batch.linkOf(click);
    counts.set(urlId, (counts.get(urlId) ?? 0) + 1);
  }
  if (counts.size === 0) return;
  const ids = [...counts.keys()];
  await rowsOf(connection, lockCountersStatement, [ids]);
  await rowsOf(connection, countStatement, [ids, [...counts.values()]]);
}

/** Forgets a journal whose files are gone. */
export async function forgetJournal(connection: Connection, journalId: string): Promise<void> {
  await connection.query('DELETE FROM journal_checkpoints WHERE journal_id = $1', [journalId]);
}
