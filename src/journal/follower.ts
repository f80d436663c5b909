import { type RemovedClicks, removedClicks } from './kept-segments.js';
import type { JournalPosition } from './position.js';
import { isReadable, type JournalPiece, SegmentReader } from './segment-reader.js';
import { isUnread, Layouts, type SegmentState } from './segment-state.js';
import { listSegments } from './segments.js';

/** Damaged bytes are the ingest's to keep aside and to log. */
const leaveDamage = { keepAside: () => undefined, putAway: () => undefined };

/**
 * Reads one journal beside its ingest, for all databases alike, from positions of its own. It changes nothing on
 * the disk; the ingest removes a segment only when both have passed it.
 */
export class JournalFollower {
  readonly #folder: string;
  readonly #journalId: string;
  readonly #layouts = new Layouts();
  readonly #segmentReader = new SegmentReader(leaveDamage);

  constructor(folder: string, journalId: string) {
    this.#folder = folder;
    this.#journalId = journalId;
  }

  /**
   * Reads from a position to the end of the first segment with content.
   * @param written How far a living writer has got; `undefined` for a journal whose writer is gone.
   * @returns `undefined` if there is nothing to read now.
   */
  read(
    from: JournalPosition,
    maxClicks: number,
    written: JournalPosition | undefined,
  ): JournalPiece | undefined {
    for (const segment of this.#segments(from, written)) {
      if (!isReadable(segment)) return undefined;
      if (isUnread(segment, from)) return this.#segmentReader.read(segment, from, maxClicks);
    }
    return undefined;
  }

  /** Bytes behind a position. */
  pendingBytes(from: JournalPosition, written: JournalPosition | undefined): number {
    return this.#segments(from, written).reduce((sum, segment) => {
      const start = segment.number === from.segment ? from.offset : 0;
      return sum + Math.max(0, segment.journalled - Math.max(start, segment.first));
    }, 0);
  }

  /** What the ingest has removed so far. */
  get removed(): RemovedClicks | undefined {
    return removedClicks(this.#folder, this.#journalId);
  }

  #segments(from: JournalPosition, written: JournalPosition | undefined): SegmentState[] {
    return listSegments(this.#folder, this.#journalId, (number) => number >= from.segment).map((file) =>
      this.#layouts.stateOf(file, written),
    );
  }
}
