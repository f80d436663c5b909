import type { ClickTotals } from '../journal/click-totals.js';
import type { JournalPosition } from '../journal/position.js';

/** One step of ingesting a journal. */
export interface IngestJob {
  readonly folder: string;
  readonly journalId: string;
  /** How far a living gateway has written; `undefined` for a journal whose writer is no more. */
  readonly written: JournalPosition | undefined;
}

export interface IngestOutcome {
  /**
   * What had become of the journal's clicks before and after this step; `undefined` when PostgreSQL
   * could not be asked. Totals, not differences: a step may have been done and yet never reported.
   */
  readonly before: ClickTotals | undefined;
  /** The database that said so. */
  readonly databaseId: string | undefined;
  readonly after: ClickTotals | undefined;
  readonly removedBytes: number;
  /** Bytes on the disk still to be ingested; `undefined` when that could not be found out. */
  readonly pendingBytes: number | undefined;
  /** Time of the last click ingested by this step, ms since 1970. */
  readonly newestMs: number | undefined;
  /** Whether there may be more to ingest at once. */
  readonly hasMore: boolean;
  /** Whether all that was written before this step has been read. */
  readonly isAtEnd: boolean;
  /** Whether nothing is left of a journal whose writer is no more. */
  readonly isGone: boolean;
  /** Whether what is left of such a journal is for another database, or for a newer server. */
  readonly isForOthers: boolean;
  /** Clicks in it that wait for another database; `undefined` when nobody looked. */
  readonly elsewhere: number | undefined;
  /** Why nothing could be ingested; to be tried again later. */
  readonly failure?: string;
}

/** The outcome of a step in which nothing was done. */
export const nothingIngested: IngestOutcome = {
  before: undefined,
  databaseId: undefined,
  after: undefined,
  removedBytes: 0,
  pendingBytes: 0,
  newestMs: undefined,
  hasMore: false,
  isAtEnd: false,
  isGone: false,
  isForOthers: false,
  elsewhere: undefined,
};
