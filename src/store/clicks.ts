import { copyInto } from './copy.js';
import { type Connection, rowsOf, type Statement } from './pool.js';

/** How far a journal has been taken in; the offset is where the next frame begins. */
export interface Checkpoint {
  readonly segment: number;
  readonly offset: number;
}

export interface ClickBatch {
  readonly journalId: string;
  /** Where the batch begins: it goes in only if the journal has been taken in exactly so far. */
  readonly from: Checkpoint;
  readonly to: Checkpoint;
  /** Clicks by url id, deleted links included. */
  readonly countsByUrl: ReadonlyMap<string, number>;
  /**
   * The events' rows in COPY's text form, those of the given links only:
   * url_id, user_id, event_type, timestamp, details.
   */
  readonly rows: (existing: ReadonlySet<string>) => Iterable<string | Buffer>;
  readonly clicks: number;
}

export type IngestResult =
  | { readonly done: true; readonly ingested: number; readonly dropped: number }
  /** Somebody else, or we ourselves in a commit whose answer was lost, got this far. */
  | { readonly done: false; readonly checkpoint: Checkpoint };

const lockStatement: Statement = {
  name: 'checkpoint_lock',
  text: `INSERT INTO journal_checkpoints (journal_id) VALUES ($1)
         ON CONFLICT (journal_id) DO UPDATE SET journal_id = excluded.journal_id
         RETURNING segment, byte_offset`,
};

const shareLinksStatement: Statement = {
  name: 'clicks_share_links',
  text: 'SELECT id FROM short_urls WHERE id = ANY ($1::bigint[]) ORDER BY id FOR KEY SHARE',
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
             updated_at = now() AT TIME ZONE 'utc'
         WHERE journal_id = $1`,
};

/** How far a journal has been taken in; the start for one that nobody has begun. */
export async function readCheckpoint(connection: Connection, journalId: string): Promise<Checkpoint> {
  const { rows } = await connection.query<{ segment: string; byte_offset: string }>(
    'SELECT segment, byte_offset FROM journal_checkpoints WHERE journal_id = $1',
    [journalId],
  );
  return { segment: Number(rows[0]?.segment ?? 0), offset: Number(rows[0]?.byte_offset ?? 0) };
}

/**
 * Takes in a batch of clicks: events, counters and checkpoint in one transaction, so that it counts
 * once however often it is tried. Call it within a transaction. Locks are taken in the order that all
 * of the store keeps: checkpoint, links by id (shared, so that none is deleted before the events are
 * there), counters by id. Clicks on links that no longer exist are dropped.
 */
export async function ingestClicks(connection: Connection, batch: ClickBatch): Promise<IngestResult> {
  const [row] = await rowsOf<[segment: string, offset: string]>(connection, lockStatement, [batch.journalId]);
  const checkpoint = { segment: Number(row?.[0] ?? 0), offset: Number(row?.[1] ?? 0) };
  if (checkpoint.segment !== batch.from.segment || checkpoint.offset !== batch.from.offset) {
    return { done: false, checkpoint };
  }
  const urlIds = [...batch.countsByUrl.keys()];
  const found = await rowsOf<[id: string]>(connection, shareLinksStatement, [urlIds]);
  const existing = new Set(found.map(([id]) => id));
  let ingested = 0;
  if (existing.size > 0) {
    const columns = 'url_id, user_id, event_type, "timestamp", details';
    ingested = await copyInto(connection, `events (${columns})`, batch.rows(existing));
    const ids = [...existing];
    await rowsOf(connection, lockCountersStatement, [ids]);
    await rowsOf(connection, countStatement, [ids, ids.map((id) => batch.countsByUrl.get(id) ?? 0)]);
  }
  const dropped = batch.clicks - ingested;
  await rowsOf(connection, moveStatement, [
    batch.journalId,
    batch.to.segment,
    batch.to.offset,
    ingested,
    dropped,
  ]);
  return { done: true, ingested, dropped };
}

/** Forgets a journal whose files are gone. */
export async function forgetJournal(connection: Connection, journalId: string): Promise<void> {
  await connection.query('DELETE FROM journal_checkpoints WHERE journal_id = $1', [journalId]);
}
