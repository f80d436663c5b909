import { rmSync } from 'node:fs';
import path from 'node:path';
import type { ClickTotals } from './click-totals.js';
import { type Damage, DamageFiles } from './damage-files.js';
import { segmentFile } from './format.js';
import { isSeen, type Keep, KeptSegments } from './kept-segments.js';
import type { JournalPosition } from './position.js';
import { isReadable, type JournalPiece, SegmentReader } from './segment-reader.js';
import { isExact, isHeader, isUnread, Layouts, type SegmentState } from './segment-state.js';
import { listSegments, shrinkSegment, syncFolder } from './segments.js';

/** Clicks for a database other than the reader's. */
export interface Elsewhere {
  readonly clicks: number;
  readonly databaseIds: readonly string[];
}

/**
 * Reads one journal from a position on, for one database. A position is between two records, or frames;
 * unknown links that were defined before it in its segment are read again.
 *
 * Up to the point that a living writer has published, or the known end of a journal whose writer is gone,
 * every byte must belong to a whole record. Other bytes are damage: the reader keeps them in a separate file
 * and reports them. It skips segments with another database's links, which stay; at a segment of a later
 * version it stops.
 */
export class JournalReader {
  readonly folder: string;
  readonly journalId: string;
  readonly #segmentReader: SegmentReader;
  readonly #layouts = new Layouts();
  readonly #kept: KeptSegments;
  #position: JournalPosition | undefined;
  #databaseId: string | undefined;
  #totals: ClickTotals | undefined;
  /** Of segments that were passed for the first time and not reported yet. */
  #passedBytes = 0;
  /** Of segments that were removed before the stream had them, not reported yet. */
  #unseenBytes = 0;
  /** Segments whose bytes are counted already: on a read-only disk no segment can be removed. */
  readonly #counted = new Set<number>();

  constructor(folder: string, journalId: string, onDamage: (damage: Damage) => void) {
    this.folder = folder;
    this.journalId = journalId;
    this.#segmentReader = new SegmentReader(new DamageFiles(folder, onDamage));
    this.#kept = new KeptSegments(folder, journalId);
  }

  get position(): JournalPosition | undefined {
    return this.#position;
  }

  /**
   * @param databaseId The database whose clicks to read; without it, all.
   * @param totals The fate of the clicks before the position.
   */
  seek(position: JournalPosition | undefined, databaseId?: string, totals?: ClickTotals): void {
    this.#position = position;
    this.#databaseId = databaseId ?? this.#databaseId;
    this.#totals = totals;
  }

  /**
   * Reads from the position to the end of the first segment with content. It does not move the position:
   * `seek` to the piece's end once the piece is safe.
   * @param written How far a living writer has got; `undefined` for a journal whose writer is gone.
   * @returns `undefined` if there is nothing to read now.
   */
  read(maxClicks: number, written: JournalPosition | undefined): JournalPiece | undefined {
    const from = this.#position;
    if (from === undefined) throw new Error('a journal is read from a position');
    const gap = this.#totals && this.#kept.gap(from, this.#databaseId, this.#totals);
    if (gap !== undefined) {
      const to = { segment: gap.segment + 1, offset: 0 };
      const { clicks: unreadable } = gap;
      return { from, to, databaseId: this.#databaseId, clicks: [], unreadable, isFull: true, isGap: true };
    }
    for (const segment of this.#segments(written)) {
      if (!isReadable(segment)) return undefined;
      if (this.#isElsewhere(segment)) continue;
      if (isUnread(segment, from)) return this.#segmentReader.read(segment, from, maxClicks);
      this.#pass(segment, from);
    }
    return undefined;
  }

  /**
   * Removes complete segments before the position that have been kept for long enough.
   * @param keep `undefined`: none is kept.
   * @returns the journalled bytes of those that were passed for the first time.
   */
  removeIngested(written: JournalPosition | undefined, keep?: Keep): number {
    const position = this.#position;
    if (position === undefined) return 0;
    for (const segment of this.#segments(written)) {
      if (segment.layout === 'newer') break;
      if (this.#isElsewhere(segment) || isUnread(segment, position)) continue;
      if (this.#pass(segment, position)) {
        if (written === undefined && isExact(segment)) shrinkSegment(segment, segment.journalled);
        continue;
      }
      // Not to be kept for the database; the stream may still need it.
      const isNeeded = keep?.passed !== undefined && isUnread(segment, keep.passed);
      if (segment.isComplete && !isNeeded) this.#remove(segment.number, segment.journalled);
    }
    const kept = this.#kept;
    const expired = kept.expired(keep, position, this.#databaseId);
    for (const segment of expired) {
      kept.removed(segment, keep?.passed !== undefined);
      if (!isSeen(segment, keep)) this.#unseenBytes += segment.bytes;
    }
    // First, because its successors must know about a segment that is gone.
    if (keep !== undefined) kept.save();
    for (const { segment } of expired) this.#remove(segment, 0);
    const passedBytes = this.#passedBytes;
    this.#passedBytes = 0;
    return passedBytes;
  }

  /** Notes that a segment has been ingested. @returns whether it may be kept. */
  #pass(segment: SegmentState, position: JournalPosition): boolean {
    const { layout, number, end, size, first, journalled } = segment;
    const databaseId = isHeader(layout) ? layout.databaseId : undefined;
    // Without a database id, or without clicks, it would be useless.
    if (!segment.isComplete || databaseId === undefined || journalled <= first) return false;
    if (databaseId !== this.#databaseId) return false;
    // The totals are those after the latest ingest.
    const totals = number === position.segment ? this.#totals : undefined;
    const isNew = this.#kept.add({
      segment: number,
      end: isExact(segment) ? Math.min(end, journalled) : end,
      bytes: isExact(segment) ? journalled : size,
      databaseId,
      totals,
    });
    if (isNew && !this.#counted.has(number)) this.#passedBytes += journalled;
    this.#counted.add(number);
    return true;
  }

  #remove(segment: number, bytes: number): void {
    rmSync(path.join(this.folder, segmentFile(this.journalId, segment)), { force: true });
    this.#passedBytes += bytes;
    this.#counted.delete(segment);
  }

  /** Bytes that were removed before the stream had them, since the last call. */
  takeUnseenBytes(): number {
    const bytes = this.#unseenBytes;
    this.#unseenBytes = 0;
    return bytes;
  }

  /** Whether a segment has been kept for long enough. */
  hasExpired(keep: Keep | undefined): boolean {
    return this.#kept.expired(keep, this.#position, this.#databaseId).length > 0;
  }

  /** The kept bytes, and the time until the next segment has been kept for long enough. */
  keeps(keep: Keep): { readonly bytes: number; readonly msToNext: number | undefined } {
    const { bytes } = this.#kept;
    return { bytes, msToNext: this.#kept.msToNext(keep, this.#databaseId) };
  }

  /** The largest totals of this journal that a database is known to have had. */
  most(databaseId: string): ClickTotals | undefined {
    return this.#kept.most(databaseId);
  }

  /** Whether everything left of a journal whose writer is gone is kept in case the database falls back. */
  get isKept(): boolean {
    return !this.isGone && this.#segments(undefined).length === 0;
  }

  /** Removes the last trace of a journal that is gone. */
  forget(): void {
    this.#kept.forget();
  }

  /** Bytes on the disk that are still to be ingested. */
  pendingBytes(written: JournalPosition | undefined): number {
    const position = this.#position ?? { segment: 0, offset: 0 };
    return this.#segments(written).reduce((sum, segment) => {
      if (this.#isElsewhere(segment) || segment.number < position.segment) return sum;
      const start = segment.number === position.segment ? position.offset : 0;
      return sum + Math.max(0, segment.journalled - Math.max(start, segment.first));
    }, 0);
  }

  /** Whether no segment is left. @throws if that can't be determined. */
  get isGone(): boolean {
    return listSegments(this.folder, this.journalId).length === 0;
  }

  /**
   * Makes the removal of the segments survive a power failure.
   * @returns whether their folder exists: if not, they may come back with it.
   */
  syncRemovals(): boolean {
    return syncFolder(this.folder);
  }

  /** Whether the rest of a journal whose writer is gone is for another server version or database. */
  get isForOthers(): boolean {
    const segments = this.#segments(undefined);
    return segments.length > 0 && segments.every((one) => one.layout === 'newer' || this.#isElsewhere(one));
  }

  /** The clicks that wait for other databases. */
  elsewhere(written: JournalPosition | undefined): Elsewhere {
    const segments = this.#segments(written).filter((segment) => this.#isElsewhere(segment));
    const clicks = segments.reduce((sum, segment) => sum + this.#layouts.countClicks(segment), 0);
    const ids = segments.map(({ layout }) => (isHeader(layout) ? (layout.databaseId ?? '') : ''));
    return { clicks, databaseIds: [...new Set(ids)] };
  }

  #isElsewhere({ layout }: SegmentState): boolean {
    if (!isHeader(layout)) return false;
    return (
      this.#databaseId !== undefined &&
      layout.databaseId !== undefined &&
      layout.databaseId !== this.#databaseId
    );
  }

  #segments(written: JournalPosition | undefined): SegmentState[] {
    const isWanted = (segment: number): boolean =>
      !this.#kept.isBehind(segment, this.#position, this.#databaseId);
    return listSegments(this.folder, this.journalId, isWanted).map((file) =>
      this.#layouts.stateOf(file, written),
    );
  }
}
