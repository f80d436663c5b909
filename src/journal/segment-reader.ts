import type { DamageFiles } from './damage-files.js';
import { FIRST_VERSION, HEADER_BYTES } from './format.js';
import { scanFrames } from './frame-scan.js';
import { type JournalledClick, Known } from './known.js';
import type { JournalPosition } from './position.js';
import { type RecordSink, scanRecords } from './record-scan.js';
import { isHeader, type Layout, missingAtEnd, type SegmentState } from './segment-state.js';
import { withSegment } from './segments.js';

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

/** What becomes of bytes that are no record. */
export type DamageKeeper = Pick<DamageFiles, 'keepAside' | 'putAway'>;

/** A segment that this version can read, or sees to be damaged. */
export type ReadableSegment = SegmentState & { readonly layout: Exclude<Layout, 'newer'> };

export function isReadable(segment: SegmentState): segment is ReadableSegment {
  return segment.layout !== 'newer';
}

/** Reads the clicks of one segment after the other, and remembers the links and texts of the last one. */
export class SegmentReader {
  readonly #damage: DamageKeeper;
  #known = new Known(-1, 0);

  constructor(damage: DamageKeeper) {
    this.#damage = damage;
  }

  /** Reads from a position that is in or before the segment. */
  read(segment: ReadableSegment, from: JournalPosition, maxClicks: number): JournalPiece {
    return withSegment(segment.file, (descriptor) => this.#read(descriptor, segment, from, maxClicks));
  }

  #read(
    descriptor: number,
    segment: ReadableSegment,
    from: JournalPosition,
    maxClicks: number,
  ): JournalPiece {
    const { layout } = segment;
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
    const stretch = { start, end: segment.end };
    let unreadable = take(descriptor, segment, stretch, known, clicks, isFull, damage);
    if (!isFull() && segment.isComplete) unreadable += missingAtEnd(segment, known);
    const to = { segment: segment.number, offset: known.offset };
    return { from, to, clicks, unreadable, isFull: isFull(), isGap: false, databaseId: layout.databaseId };
  }

  #knownBefore(descriptor: number, segment: SegmentState, start: number): Known {
    if (this.#known.segment === segment.number && this.#known.offset === start) return this.#known;
    const { layout } = segment;
    const known = new Known(segment.number, isHeader(layout) ? layout.createdMs : 0);
    const begin = segment.first;
    known.offset = begin;
    if (start > begin) {
      const ignore = (): undefined => undefined;
      take(descriptor, segment, { start: begin, end: start }, known, [], () => false, ignore);
    }
    this.#known = known;
    return known;
  }
}

/** Reads a stretch of a segment into `known` and `clicks`. @returns the number of unreadable clicks. */
function take(
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
