import { retryDecisionOf } from '../../postgres/failures.js';
import { type Connection, inTransaction } from '../../postgres/pool.js';
import { noteCountedLinks } from '../../store/click-order.js';
import { type ClickBatch, type IngestResult, ingestClicks, type RejectedClick } from '../../store/clicks.js';
import type { WorkerThread } from '../thread.js';
import { differenceRows } from './click-differences.js';
import { copyRows, isCounted, latestTime } from './click-events.js';
import type { SetAside } from './set-aside.js';
import type { IngestedClick } from './visit-details.js';

const TRANSACTION_DEADLINE_MS = 120_000;

/** A piece of a journal, or of a partition of Kafka, that follows what the database has of it. */
export interface IngestPiece
  extends Pick<
    ClickBatch<IngestedClick>,
    'journalId' | 'from' | 'to' | 'databaseId' | 'clicks' | 'unreadable'
  > {
  /** Runs first within the transaction, each time that it is tried. */
  readonly begin?: (connection: Connection) => Promise<void>;
  /** Runs last within it, if the piece goes in. */
  readonly end?: (connection: Connection) => Promise<void>;
  /** Keeps what PostgreSQL rejected, before the transaction that passes it commits. */
  readonly keepRejected: (rejected: readonly RejectedClick<IngestedClick>[]) => SetAside | undefined;
}

/**
 * One transaction; a second, careful one if PostgreSQL rejects the first. Throws faults that no single click
 * causes (a sequence that is exhausted or behind, a table that accepts nothing).
 */
export async function ingestPiece(
  { pool, log }: Pick<WorkerThread, 'pool' | 'log'>,
  { begin, end, keepRejected, ...piece }: IngestPiece,
): Promise<IngestResult<IngestedClick>> {
  const latestMs = latestTime();
  const { clicks } = piece;
  const batch: ClickBatch<IngestedClick> = {
    ...piece,
    linkOf: (click) => click.link,
    isCounted,
    rows: (some) => copyRows(some, latestMs),
    differences: (some, ownerOf) => differenceRows(some, ownerOf, latestMs),
  };
  const linkIds = [...new Set(clicks.map(({ link }) => link.urlId))];
  const ingest = async (isCareful: boolean): Promise<IngestResult<IngestedClick>> => {
    let rejected: SetAside | undefined;
    const result = await pool.run(TRANSACTION_DEADLINE_MS, (connection) =>
      inTransaction(connection, async () => {
        await begin?.(connection);
        await noteCountedLinks(connection, linkIds);
        const ingested = await ingestClicks(connection, batch, isCareful);
        rejected = ingested.done ? keepRejected(ingested.rejected) : undefined;
        if (ingested.done) await end?.(connection);
        return ingested;
      }),
    );
    rejected?.commit(log);
    return result;
  };
  try {
    return await ingest(false);
  } catch (error) {
    if (retryDecisionOf(error) !== 'rejected') throw error;
    log.warn({ error }, `PostgreSQL rejects some of ${clicks.length} clicks: looking for them`);
    return await ingest(true);
  }
}
