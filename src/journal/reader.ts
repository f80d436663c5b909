import { rmSync } from 'node:fs';
import path from 'node:path';
import type { ClickTotals } from './click-totals.js';
import { type Damage, DamageFiles } from './damage-files.js';
import { FIRST_VERSION, HEADER_BYTES, segmentFile } from './format.js';
import { scanFrames } from './frame-scan.js';
import { type Keep, KeptSegments } from './kept-segments.js';
import { type JournalledClick, Known } from './known.js';
import type { JournalPosition } from './position.js';
import { type RecordSink, scanRecords } from './record-scan.js';
import {
  isExact,
  isHeader,
  isUnread,
  type Layout,
  Layouts,
  missingAtEnd,
  type SegmentState,
} from './segment-state.js';
import { listSegments, shrinkSegment, syncFolder, withSegment } from './segments.js';

/** The clicks between two positions of a journal. */
export interface JournalPiece {
  readonly from: JournalPosition;
  readonly to: JournalPosition;
  /** The database of their links; `undefined` if the journal does not say. */
  readonly databaseId: string | undefined;
  readonly clicks: readonly JournalledClick[];
  /** Clicks that are known to have been here but can't be read. */
  readonly unreadable: number;
  /** Whether the piece ended because it has the requested number of clicks. */
  readonly isFull: boolean;
  /** Whether it replaces segments that are gone: the database has fallen back to before them. */
  readonly isGap: boolean;
}

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
  readonly #damage: DamageFiles;
  readonly #layouts = new Layouts();
  readonly #kept: KeptSegments;
  #position: JournalPosition | undefined;
  #databaseId: string | undefined;
  #totals: ClickTotals | undefined;
  /** Of segments that were passed for the first time and not reported yet. */
  #passedBytes = 0;
  /** Segments whose bytes are counted already: on a read-only disk no segment can be removed. */
  readonly #counted = new Set<number>();
  #known = new Known(-1, 0);

  constructor(folder: string, journalId: string, onDamage: (damage: Damage) => void) {
    this.folder = folder;
    this.journalId = journalId;
    this.#damage = new DamageFiles(folder, onDamage);
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
      if (segment.layout === 'newer') return undefined;
      if (this.#isElsewhere(segment)) continue;
      if (!isUnread(segment, from)) {
        this.#pass(segment, from);
        continue;
      }
      return withSegment(segment.file, (descriptor) =>
        this.#readSegment(descriptor, segment, segment.layout as Exclude<Layout, 'newer'>, from, maxClicks),
      );
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
      if (segment.isComplete) this.#remove(segment.number, segment.journalled);
    }
    const kept = this.#kept;
    const expired = kept.expired(keep, position, this.#databaseId);
    for (const segment of expired) kept.removed(segment);
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

  #readSegment(
    descriptor: number,
    segment: SegmentState,
    layout: Exclude<Layout, 'newer'>,
    from: JournalPosition,
    maxClicks: number,
  ): JournalPiece {
    const none = { from, clicks: [], unreadable: 0, isFull: false, isGap: false, databaseId: undefined };
    // A segment that its writer had not begun to use, or whose writer died between opening and writing.
    if (layout === 'unused') return { ...none, to: { segment: segment.number, offset: segment.end } };
    if ('reason' in layout) {
      const { reason } = layout;
      if (segment.isComplete) this.#damage.putAway(segment, reason);
      else this.#damage.keepAside(descriptor, segment, { offset: 0, bytes: segment.end, reason });
      return { ...none, to: { segment: segment.number, offset: Math.max(HEADER_BYTES, segment.end) } };
    }
    const start = Math.max(layout.headerBytes, segment.number === from.segment ? from.offset : 0);
    const known = this.#knownBefore(descriptor, segment, start);
    const clicks: JournalledClick[] = [];
    const isFull = (): boolean => clicks.length >= maxClicks;
    const damage = (offset: number, bytes: number, reason: string): void =>
      this.#damage.keepAside(descriptor, segment, { offset, bytes, reason });
    let unreadable = this.#take(
      descriptor,
      segment,
      { start, end: segment.end },
      known,
      clicks,
      isFull,
      damage,
    );
    if (!isFull() && segment.isComplete) unreadable += missingAtEnd(segment, known);
    const to = { segment: segment.number, offset: known.offset };
    return { from, to, clicks, unreadable, isFull: isFull(), isGap: false, databaseId: layout.databaseId };
  }

  /** Reads a stretch of a segment into `known` and `clicks`. @returns the number of unreadable clicks. */
  #take(
    descriptor: number,
    { layout, trusted }: SegmentState,
    { start, end }: { start: number; end: number },
    known: Known,
    clicks: JournalledClick[],
    isEnough: () => boolean,
    onDamage: (offset: number, bytes: number, reason: string) => void,
  ): number {
    if (!isHeader(layout)) return 0;
    let unreadable = 0;
    if (layout.version !== FIRST_VERSION) {
      const sink: RecordSink = {
        onRecord: (words, at, bytes, recordEnd) => {
          known.lastRecord = recordEnd;
          unreadable += known.takeRecord(words, at, bytes, clicks);
          return !isEnough();
        },
        onDamage: (offset, bytes) => onDamage(offset, bytes, 'no record'),
      };
      known.offset = scanRecords(descriptor, layout.seed, { start, end, trusted }, sink);
      return unreadable;
    }
    known.offset = Math.max(start, known.offset);
    for (const scanned of scanFrames(descriptor, start, end)) {
      if (scanned.kind === 'damage') {
        onDamage(scanned.offset, scanned.bytes, scanned.reason);
        known.offset = scanned.offset + scanned.bytes;
        continue;
      }
      const { bytes } = scanned.frame;
      known.offset = scanned.offset + bytes;
      if (known.hasTaken(scanned.frame)) onDamage(scanned.offset, bytes, 'frame repeated');
      else unreadable += known.takeFrame(scanned.frame, clicks);
      if (isEnough()) break;
    }
    return unreadable;
  }

  #knownBefore(descriptor: number, segment: SegmentState, start: number): Known {
    if (this.#known.segment === segment.number && this.#known.offset === start) return this.#known;
    const { layout } = segment;
    const known = new Known(segment.number, isHeader(layout) ? layout.createdMs : 0);
    const begin = segment.first;
    known.offset = begin;
    if (start > begin) {
      const ignore = (): undefined => undefined;
      this.#take(descriptor, segment, { start: begin, end: start }, known, [], () => false, ignore);
    }
    this.#known = known;
    return known;
  }
}
