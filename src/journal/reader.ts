import { renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { FIRST_VERSION, HEADER_BYTES, type SegmentHeader } from './format.js';
import { scanFrames } from './frame-scan.js';
import { type JournalledClick, Known } from './known.js';
import type { JournalPosition } from './position.js';
import { type RecordSink, scanRecords } from './record-scan.js';
import { type Layout, Layouts, type SegmentState } from './segment-state.js';
import { copyStretch, listSegments, syncFolder, withSegment } from './segments.js';

/** The clicks between two positions of a journal. */
export interface JournalPiece {
  readonly from: JournalPosition;
  readonly to: JournalPosition;
  /** Whose links they are on; `undefined` where the journal does not say. */
  readonly databaseId: string | undefined;
  readonly clicks: readonly JournalledClick[];
  /** Clicks that are known to have been here and can't be read. */
  readonly unreadable: number;
  /** Whether the piece ended because it has as many clicks as were asked for. */
  readonly isFull: boolean;
}

/** What a reader found damaged and kept aside. */
export interface Damage {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  readonly reason: string;
  /** The file beside it that the damaged bytes were kept in; `undefined` when even that failed. */
  readonly keptAs: string | undefined;
}

/** Clicks that are not for the database that the journal is read for. */
export interface Elsewhere {
  readonly clicks: number;
  readonly databaseIds: readonly string[];
}

/**
 * Reads one journal from a position on, for one database. A position lies between two records, or frames;
 * links that were defined before it in its segment are read again where they are not known.
 *
 * Up to the point that a living writer says it has reached, and up to where a journal is known to end whose
 * writer is no more, every byte must belong to a whole record. What does not is damage: it is kept aside in
 * a file of its own and reported. Segments on another database's links are passed over and stay; at one of a
 * later version reading ends.
 */
export class JournalReader {
  readonly folder: string;
  readonly journalId: string;
  readonly #onDamage: (damage: Damage) => void;
  readonly #layouts = new Layouts();
  #position: JournalPosition | undefined;
  #databaseId: string | undefined;
  #known = new Known(-1, 0);
  /** Damage that has been kept and said: the names of its files, with their sizes in bytes. */
  readonly #kept = new Map<string, number>();

  constructor(folder: string, journalId: string, onDamage: (damage: Damage) => void) {
    this.folder = folder;
    this.journalId = journalId;
    this.#onDamage = onDamage;
  }

  get position(): JournalPosition | undefined {
    return this.#position;
  }

  /** @param databaseId Whose clicks are wanted; without it, whoever's they are. */
  seek(position: JournalPosition | undefined, databaseId?: string): void {
    this.#position = position;
    this.#databaseId = databaseId ?? this.#databaseId;
  }

  /**
   * Reads on from the position, to the end of the segment in which there is anything. It moves
   * nothing: `seek` to the piece's end once the piece is safe.
   * @param written How far a living writer has got; `undefined` for a journal whose writer is no more.
   * @returns `undefined` when there is nothing to read now.
   */
  read(mostClicks: number, written: JournalPosition | undefined): JournalPiece | undefined {
    const from = this.#position;
    if (from === undefined) throw new Error('a journal is read from a position');
    for (const segment of this.#segments(written)) {
      if (segment.layout === 'newer') return undefined;
      if (this.#isElsewhere(segment) || !isUnread(segment, from)) continue;
      return withSegment(segment.file, (descriptor) =>
        this.#readSegment(descriptor, segment, segment.layout as Exclude<Layout, 'newer'>, from, mostClicks),
      );
    }
    return undefined;
  }

  /** Removes the complete segments that lie before the position. @returns the bytes that were journalled in them. */
  removeIngested(written: JournalPosition | undefined): number {
    const position = this.#position;
    if (position === undefined) return 0;
    let removed = 0;
    for (const segment of this.#segments(written)) {
      if (segment.layout === 'newer') break;
      if (!segment.isComplete || this.#isElsewhere(segment) || isUnread(segment, position)) continue;
      rmSync(segment.file, { force: true });
      removed += segment.journalled;
    }
    return removed;
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

  /** Whether no segment is left. @throws when that can't be found out. */
  get isGone(): boolean {
    return listSegments(this.folder, this.journalId).length === 0;
  }

  /**
   * Makes the removal of the segments outlive a loss of power.
   * @returns whether their folder is there: when it is not, they may come back with it.
   */
  syncRemovals(): boolean {
    return syncFolder(this.folder);
  }

  /** Whether what is left of a journal whose writer is no more is not for this server and its database. */
  get isForOthers(): boolean {
    const segments = this.#segments(undefined);
    return segments.length > 0 && segments.every((one) => one.layout === 'newer' || this.#isElsewhere(one));
  }

  /** What waits for other databases. */
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
    return listSegments(this.folder, this.journalId).map((file) => this.#layouts.stateOf(file, written));
  }

  #readSegment(
    descriptor: number,
    segment: SegmentState,
    layout: Exclude<Layout, 'newer'>,
    from: JournalPosition,
    mostClicks: number,
  ): JournalPiece {
    const none = { from, clicks: [], unreadable: 0, isFull: false, databaseId: undefined };
    // One that its writer had not begun to use, or was ended between opening and writing.
    if (layout === 'unused') return { ...none, to: { segment: segment.number, offset: segment.end } };
    if ('reason' in layout) {
      const { reason } = layout;
      if (segment.isComplete) this.#putAway(segment, reason);
      else this.#keepAside(descriptor, segment, { offset: 0, bytes: segment.end, reason });
      return { ...none, to: { segment: segment.number, offset: Math.max(HEADER_BYTES, segment.end) } };
    }
    const start = Math.max(layout.headerBytes, segment.number === from.segment ? from.offset : 0);
    const known = this.#knownBefore(descriptor, segment, start);
    const clicks: JournalledClick[] = [];
    const isFull = (): boolean => clicks.length >= mostClicks;
    const damage = (offset: number, bytes: number, reason: string): void =>
      this.#keepAside(descriptor, segment, { offset, bytes, reason });
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
    return { from, to, clicks, unreadable, isFull: isFull(), databaseId: layout.databaseId };
  }

  /** Reads a stretch of a segment into `known` and `clicks`. @returns how many clicks can't be read. */
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

  /** Keeps damaged bytes in a file of their own. */
  #keepAside(
    descriptor: number,
    segment: SegmentState,
    { offset, bytes, reason }: { offset: number; bytes: number; reason: string },
  ): void {
    const file = path.basename(segment.file);
    const keptAs = `${file}.${offset}.damaged`;
    // A step that kept it may have failed later, and be tried again.
    if (this.#kept.get(keptAs) === bytes) return;
    try {
      copyStretch(descriptor, offset, bytes, path.join(this.folder, keptAs));
      this.#kept.set(keptAs, bytes);
      this.#onDamage({ file, offset, bytes, reason, keptAs });
    } catch (error) {
      // A full disk must not hold up the ingest, which is what makes room. Anything else is tried again.
      if (!diskFull.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
      this.#onDamage({ file, offset, bytes, reason, keptAs: undefined });
    }
  }

  /** Puts away a whole file that can't be one of ours, however large it is. */
  #putAway(segment: SegmentState, reason: string): void {
    const file = path.basename(segment.file);
    const keptAs = `${file}.0.damaged`;
    renameSync(segment.file, path.join(this.folder, keptAs));
    this.#onDamage({ file, offset: 0, bytes: segment.size, reason, keptAs });
  }
}

const diskFull = new Set(['ENOSPC', 'EDQUOT']);

/** Clicks that were stored behind the last that can be read: the segment's cells still tell how many there were. */
function missingAtEnd({ cells }: SegmentState, known: Known): number {
  if (cells === undefined) return 0;
  return Math.max(0, Math.min(cells.clicks - known.clicks, Math.floor((cells.end - known.lastRecord) / 8)));
}

function isHeader(layout: Layout): layout is SegmentHeader {
  return typeof layout === 'object' && 'headerBytes' in layout;
}

/** Whether a position has not passed the segment. */
function isUnread(segment: SegmentState, position: JournalPosition): boolean {
  if (segment.number < position.segment) return false;
  const start = segment.number === position.segment ? position.offset : 0;
  if (segment.isComplete) return segment.number > position.segment || start < segment.end;
  return Math.max(segment.first, start) < segment.end;
}
