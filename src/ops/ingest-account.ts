import { type ClickTotals, noClicks, sumOf } from '../journal/click-totals.js';
import type { ThreadCounters } from '../memory/counters.js';
import type { JournalSlot } from '../memory/journal-slots.js';
import type { ServerState } from '../memory/server-state.js';
import type { IngestOutcome } from '../messages/ingest.js';
import type { Logger } from '../runtime/logger.js';
import type { TrackedJournal } from './tracked-journal.js';

/** The fate of every click: ingested, dropped, rejected, or lost, in metrics and in the journals' slots. */
export class IngestAccount {
  readonly #counters: ThreadCounters;
  readonly #log: Logger;
  readonly #state: Pick<ServerState, 'clicksInStream'>;

  constructor(counters: ThreadCounters, log: Logger, state: Pick<ServerState, 'clicksInStream'>) {
    this.#counters = counters;
    this.#log = log;
    this.#state = state;
  }

  /**
   * Counts the result of an ingest of the journal.
   * @returns whether the database has less of the journal than before: it has fallen back in time.
   */
  settle(
    journal: TrackedJournal,
    { before, after, noted, databaseId = '', removedBytes, isGone, streamedClicks }: IngestOutcome,
  ): boolean {
    const { slot } = journal;
    slot?.add('removedBytes', removedBytes);
    if (streamedClicks !== undefined && slot !== undefined) this.#sent(slot, streamedClicks);
    if (before === undefined || after === undefined) return false;
    let known = journal.totals.get(databaseId) ?? later(noted, slot === undefined ? before : noClicks);
    const hasFallenBack = sumOf(before) < sumOf(known);
    // The row was removed with the last file, without a report.
    if (hasFallenBack && isGone) return false;
    const counted = journal.counted.get(databaseId) ?? known;
    if (hasFallenBack) {
      this.#fallBack(journal, known, before);
      known = before;
    }
    journal.totals.set(databaseId, after);
    journal.counted.set(databaseId, most(counted, after));
    const counters = this.#counters;
    counters.add('ingestedClicks', Math.max(0, after.clicks - known.clicks));
    counters.add('ingestDropped', Math.max(0, after.dropped - counted.dropped));
    counters.add('ingestRejected', Math.max(0, after.rejected - counted.rejected));
    const all = [...journal.totals.values()];
    slot?.set(
      'ingested',
      all.reduce((sum, { clicks, dropped, rejected }) => sum + clicks + dropped + rejected, 0),
    );
    const unreadable = after.unreadable - counted.unreadable;
    if (unreadable > 0) this.lose(journal, unreadable, 'can’t be read in the journal');
    return hasFallenBack;
  }

  /** Kafka has so many of the journal's clicks; each is counted as one on its way to PostgreSQL before it is no longer pending. */
  #sent(slot: JournalSlot, clicks: number): void {
    this.#state.clicksInStream += Math.max(0, clicks - slot.get('ingested'));
    slot.set('ingested', clicks);
  }

  #fallBack({ journalId }: TrackedJournal, had: ClickTotals, has: ClickTotals): void {
    const clicks = sumOf(had) - sumOf(has);
    this.#counters.add('journalRewinds');
    this.#counters.add('clicksRewound', Math.max(0, had.clicks - has.clicks));
    this.#log.error(
      { journal: journalId, clicks },
      `the database has fallen back in time: it lacks ${clicks} clicks of a journal that it had; they are ingested again`,
    );
  }

  /** Everything there has been read, but more was written: somebody has removed a file. */
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

function later(one: ClickTotals | undefined, other: ClickTotals): ClickTotals {
  return one !== undefined && sumOf(one) > sumOf(other) ? one : other;
}

function most(one: ClickTotals, other: ClickTotals): ClickTotals {
  return {
    clicks: Math.max(one.clicks, other.clicks),
    dropped: Math.max(one.dropped, other.dropped),
    rejected: Math.max(one.rejected, other.rejected),
    unreadable: Math.max(one.unreadable, other.unreadable),
  };
}
