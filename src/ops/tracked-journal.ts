import type { ClickTotals } from '../journal/click-totals.js';
import { comparePositions } from '../journal/position.js';
import type { JournalSlot } from '../memory/journal-slots.js';
import type { JournalProgress } from '../stream/journal-progress.js';
import type { JournalTurn } from './ingest-policy.js';

/** A journal being ingested: of one of our gateways, or left behind by a server that is gone. */
export interface TrackedJournal {
  readonly journalId: string;
  readonly folder: string;
  slot: JournalSlot | undefined;
  /** Its slot's number, as long as it shares one with the gateways. */
  slotIndex: number | undefined;
  /** Whether its writer is alive. */
  isLive: boolean;
  /** Whether its writer is, or was, a gateway of this server. */
  readonly isOwn: boolean;
  /** How far the stream of clicks has it. */
  streamed: JournalProgress;
  readonly turn: JournalTurn;
  /** Bytes not ingested at the last look, and the bytes that its writer had written in all by then. */
  pendingBytes: number;
  writtenBytesThen: number;
  /** The known fate of its clicks, by the database that reported it. */
  readonly totals: Map<string, ClickTotals>;
  /** The largest reported value of each: clicks that a database lost by falling back count once. */
  readonly counted: Map<string, ClickTotals>;
  /** Clicks that were written but can't be read anywhere. */
  missing: number;
  /** Clicks that wait for another database. */
  elsewhere: number;
  /** The rest is for another database, or for a newer server: look at it again then. */
  othersUntilMs: number;
  /** Whether everything left of it is ingested, and kept in case the database falls back. */
  isKept: boolean;
  keptBytes: number;
  /** When the next of its kept segments may be removed. */
  keptUntilMs: number;
  /** Whether the database may have fallen back since the last check of how far it has the journal. */
  mustAsk: boolean;
  /** Segments before this number are ingested. */
  clearedTo: number;
  /** Since when there has been something to ingest, ms since 1970. */
  behindSinceMs: number | undefined;
}

/** @param slot Of one of our gateways; without one the journal was left behind, with something to ingest. */
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
    isOwn: slot !== undefined,
    streamed: { segment: 0, offset: 0, clicks: 0 },
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

/** The stream of clicks has the journal up to here: what was kept for it may go. */
export function passStream(journal: TrackedJournal, position: JournalProgress): void {
  const before = journal.streamed;
  journal.streamed = position;
  const isNews = journal.isLive ? position.segment > before.segment : comparePositions(position, before) > 0;
  if (isNews && journal.keptBytes > 0) journal.keptUntilMs = 0;
}

/** Whether there may be something to ingest, check or remove. */
export function hasWork(journal: TrackedJournal): boolean {
  const now = performance.now();
  if (journal.mustAsk || now >= journal.keptUntilMs) return true;
  if (journal.isKept || now < journal.othersUntilMs) return false;
  if (!journal.isLive || journal.behindSinceMs !== undefined || journal.slot === undefined) return true;
  return journal.slot.pending > 0 || journal.slot.written.segment > journal.clearedTo;
}
