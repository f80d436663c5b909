import type { JournalPosition } from '../journal/position.js';
import type { JournalProgress } from '../stream/journal-progress.js';

/** One step of streaming a journal. */
export interface StreamJob {
  readonly folder: string;
  readonly journalId: string;
  /** How far a living gateway has written; `undefined` for a journal whose writer is gone. */
  readonly written: JournalPosition | undefined;
  /** Whether this server has made it: then no earlier server can have left clicks out. */
  readonly isOwn: boolean;
}

export interface StreamOutcome {
  /** How far the journal is in Kafka; `undefined` if that is unknown. */
  readonly progress: JournalProgress | undefined;
  /** Bytes on the disk that are not in Kafka; `undefined` if that could not be determined. */
  readonly pendingBytes: number | undefined;
  /** Whether there may be more to send at once. */
  readonly hasMore: boolean;
  /** Whether everything written before this step is in Kafka. */
  readonly isAtEnd: boolean;
  /** Why nothing could be sent; it is tried again later. */
  readonly failure?: string;
}
