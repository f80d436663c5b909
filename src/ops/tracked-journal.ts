import type { ClickTotals } from '../journal/click-totals.js';
import type { JournalSlot } from '../memory/journal-slots.js';
import type { JournalTurn } from './ingest-policy.js';

/** A journal that is being ingested: of a gateway of ours, or left behind by a server that is no more. */
export interface TrackedJournal {
  readonly journalId: string;
  readonly folder: string;
  slot: JournalSlot | undefined;
  /** Its slot's number, as long as that is shared with the gateways. */
  slotIndex: number | undefined;
  /** Whether its writer is alive. */
  isLive: boolean;
  readonly turn: JournalTurn;
  /** Bytes not ingested at the last look, and what its writer had written in all by then. */
  pendingBytes: number;
  writtenBytesThen: number;
  /** What became of its clicks, as far as is known, by the database that said it. */
  readonly totals: Map<string, ClickTotals>;
  /** The most of each that was ever said: what a database lost by falling back is counted once. */
  readonly counted: Map<string, ClickTotals>;
  /** Clicks that were written and are nowhere to be read. */
  missing: number;
  /** Clicks that wait for another database. */
  elsewhere: number;
  /** What is left of it is for another database, or for a newer server: it is looked at again then. */
  othersUntilMs: number;
  /** Whether all that is left of it is ingested, and kept for a database that falls back. */
  isKept: boolean;
  keptBytes: number;
  /** When the next of its kept segments may be removed. */
  keptUntilMs: number;
  /** Whether the database may have fallen back since it was asked how far it has the journal. */
  mustAsk: boolean;
  /** Segments before this number are ingested. */
  clearedTo: number;
  /** Since when there has been something to ingest, ms since 1970. */
  behindSinceMs: number | undefined;
}

/** @param slot Of a gateway of ours; without one the journal was left behind, and there is something to ingest. */
export function trackJournal(
  journalId: string,
  folder: string,
  turn: JournalTurn,
  slot: JournalSlot | undefined,
): TrackedJournal {
  return {
    journalId,
    folder,
    slot,
    slotIndex: undefined,
    isLive: false,
    turn,
    pendingBytes: 0,
    writtenBytesThen: 0,
    totals: new Map(),
    counted: new Map(),
    missing: 0,
    elsewhere: 0,
    othersUntilMs: 0,
    isKept: false,
    keptBytes: 0,
    keptUntilMs: Number.POSITIVE_INFINITY,
    mustAsk: false,
    clearedTo: 1,
    behindSinceMs: slot === undefined ? Date.now() : undefined,
  };
}

/** Whether there may be something to ingest, to ask or to remove. */
export function hasWork(journal: TrackedJournal): boolean {
  const now = performance.now();
  if (journal.mustAsk || now >= journal.keptUntilMs) return true;
  if (journal.isKept || now < journal.othersUntilMs) return false;
  if (!journal.isLive || journal.behindSinceMs !== undefined || journal.slot === undefined) return true;
  return journal.slot.pending > 0 || journal.slot.written.segment > journal.clearedTo;
}
