import { Scalar, type ThreadCounters } from '../memory/counters.js';
import { JournalCell, type JournalSlot } from '../memory/journal-slots.js';

// By number, because these are counted at every turn.
const { clicksJournalled, journalWrittenBytes, journalSizeBytes } = Scalar;
const { framed, writtenBytes, removedBytes } = JournalCell;

/** What a journal publishes to the ingest, and what it counts. */
export class JournalAccount {
  readonly #slot: JournalSlot;
  readonly #counters: ThreadCounters;
  readonly #cells: Float64Array;
  readonly #progress: Float64Array;
  readonly #onWritten: () => void;

  /** @param onWritten Called if the ingest sleeps and there are clicks for it. */
  constructor(slot: JournalSlot, counters: ThreadCounters, onWritten: () => void) {
    this.#slot = slot;
    this.#counters = counters;
    this.#cells = counters.cells;
    this.#progress = slot.cells;
    this.#onWritten = onWritten;
  }

  /** Publishes this many more clicks, up to this position. */
  publish(segment: number, end: number, bytes: number, clicks: number): void {
    const cells = this.#cells;
    const progress = this.#progress;
    progress[writtenBytes] = (progress[writtenBytes] as number) + bytes;
    cells[journalWrittenBytes] = (cells[journalWrittenBytes] as number) + bytes;
    cells[clicksJournalled] = (cells[clicksJournalled] as number) + clicks;
    this.#slot.setWritten(segment, end);
    progress[framed] = (progress[framed] as number) + clicks;
    this.wake();
  }

  /** Publishes that all earlier segments are complete, even while this one is empty. */
  beginSegment(segment: number): void {
    this.#slot.setWritten(segment, 0);
  }

  wake(): void {
    if (this.#slot.consumeWake()) this.#onWritten();
  }

  /** Whether the journal has at least this many bytes that are not ingested. */
  isFull(maxBytes: number): boolean {
    const size = (this.#progress[writtenBytes] as number) - (this.#progress[removedBytes] as number);
    this.#cells[journalSizeBytes] = size;
    return size >= maxBytes;
  }

  lose(clicks: number): void {
    this.#slot.add('lost', clicks);
    this.#counters.add('clicksLost', clicks);
  }
}
