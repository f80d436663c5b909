import type { ClickTotals } from '../journal/click-totals.js';
import type { ThreadCounters } from '../memory/counters.js';
import type { IngestOutcome } from '../messages/ingest.js';
import type { Logger } from '../runtime/logger.js';
import type { TrackedJournal } from './tracked-journal.js';

const NOTHING: ClickTotals = { clicks: 0, dropped: 0, rejected: 0, unreadable: 0 };

/** What became of every click: ingested, dropped, rejected, or lost, in metrics and in the journals' slots. */
export class IngestAccount {
  readonly #counters: ThreadCounters;
  readonly #log: Logger;

  constructor(counters: ThreadCounters, log: Logger) {
    this.#counters = counters;
    this.#log = log;
  }

  /** Counts what an ingest of the journal did. */
  settle(journal: TrackedJournal, { before, after, databaseId = '', removedBytes }: IngestOutcome): void {
    const { slot } = journal;
    slot?.add('removedBytes', removedBytes);
    if (before === undefined || after === undefined) return;
    const known = journal.totals.get(databaseId) ?? (slot === undefined ? before : NOTHING);
    // The row is gone with the last file, and nobody said so; or the database is an older copy of itself.
    if (sumOf(after) < sumOf(known)) return;
    journal.totals.set(databaseId, after);
    const counters = this.#counters;
    counters.add('ingestedClicks', after.clicks - known.clicks);
    counters.add('ingestDropped', after.dropped - known.dropped);
    counters.add('ingestRejected', after.rejected - known.rejected);
    const all = [...journal.totals.values()];
    slot?.set(
      'ingested',
      all.reduce((sum, { clicks, dropped, rejected }) => sum + clicks + dropped + rejected, 0),
    );
    const unreadable = after.unreadable - known.unreadable;
    if (unreadable > 0) this.lose(journal, unreadable, 'can’t be read in the journal');
  }

  /** All that was there has been read, and yet more was written: somebody has removed a file. */
  settleMissing(journal: TrackedJournal, framed: number): void {
    const { slot, totals } = journal;
    if (slot === undefined) return;
    const unreadable = [...totals.values()].reduce((sum, total) => sum + total.unreadable, 0);
    const accounted = slot.get('ingested') + unreadable + journal.missing + journal.elsewhere;
    const missing = framed - accounted;
    if (missing <= 0) return;
    journal.missing += missing;
    this.lose(journal, missing, 'are gone with a file that was removed or cut short');
  }

  /** @param how Of the clicks, for the log. */
  lose({ slot }: TrackedJournal, clicks: number, how: string): void {
    slot?.add('lost', clicks);
    this.#counters.add('clicksLost', clicks);
    this.#log.error({ clicks }, `${clicks} clicks ${how}`);
  }
}

function sumOf({ clicks, dropped, rejected, unreadable }: ClickTotals): number {
  return clicks + dropped + rejected + unreadable;
}
