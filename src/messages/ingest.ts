import type { ClickTotals } from '../journal/click-totals.js';
import type { Keep } from '../journal/kept-segments.js';
import type { JournalPosition } from '../journal/position.js';
import type { JournalProgress } from '../stream/journal-progress.js';

/** One step of ingesting a journal. */
export interface IngestJob {
  readonly folder: string;
  readonly journalId: string;
  /** How far a living gateway has written; `undefined` for a journal whose writer is gone. */
  readonly written: JournalPosition | undefined;
  /** How to keep ingested segments; without it they are removed at once. */
  readonly keep?: Keep;
  /** Whether the database may have fallen back, and must be asked how far it has the journal. */
  readonly mustAsk?: boolean;
  /** How far Kafka has it, where PostgreSQL gets its clicks from there. */
  readonly streamed?: JournalProgress;
}

export interface IngestOutcome {
  /**
   * What had become of the journal's clicks before and after this step; `undefined` when PostgreSQL
   * could not be asked. Totals, not differences: a step may have been done and yet never reported.
   */
  readonly before: ClickTotals | undefined;
  /** How many of its clicks Kafka has, where PostgreSQL gets them from there: the totals are not known then. */
  readonly streamedClicks?: number;
  /** The database that said so. */
  readonly databaseId: string | undefined;
  readonly after: ClickTotals | undefined;
  /** The largest totals that this database had of the journal, as noted before this step. */
  readonly noted: ClickTotals | undefined;
  /** Bytes in segments that were ingested to their end for the first time. */
  readonly removedBytes: number;
  /** Bytes of ingested segments that are kept. */
  readonly keptBytes: number;
  /** In how many ms a kept segment may be removed; `undefined` when there is none. */
  readonly keptForMs: number | undefined;
  /** Bytes on the disk still to be ingested; `undefined` if that could not be determined. */
  readonly pendingBytes: number | undefined;
  /** Time of the last click ingested by this step, ms since 1970. */
  readonly newestMs: number | undefined;
  /** Whether there may be more to ingest at once. */
  readonly hasMore: boolean;
  /** Whether everything written before this step has been read. */
  readonly isAtEnd: boolean;
  /** Whether nothing is left of a journal whose writer is gone. */
  readonly isGone: boolean;
  /** Whether everything left of such a journal is ingested, and kept in case the database falls back. */
  readonly isKept: boolean;
  /** Whether the rest of such a journal is for another database, or for a newer server. */
  readonly isForOthers: boolean;
  /** Clicks in it that wait for another database; `undefined` if not determined. */
  readonly elsewhere: number | undefined;
  /** Why nothing could be ingested; it is tried again later. */
  readonly failure?: string;
}

/** The outcome of a step in which nothing was done. */
export const nothingIngested: IngestOutcome = {
  before: undefined,
  databaseId: undefined,
  after: undefined,
  noted: undefined,
  removedBytes: 0,
  keptBytes: 0,
  keptForMs: undefined,
  pendingBytes: 0,
  newestMs: undefined,
  hasMore: false,
  isAtEnd: false,
  isGone: false,
  isKept: false,
  isForOthers: false,
  elsewhere: undefined,
};
