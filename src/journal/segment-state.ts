import { bootId } from './boot-id.js';
import { readAt } from './file-bytes.js';
import { FIRST_VERSION, type NoHeader, type SegmentHeader } from './format.js';
import { scanFrames } from './frame-scan.js';
import { Known } from './known.js';
import type { JournalPosition } from './position.js';
import { scanRecords } from './record-scan.js';
import { type MappedCells, readCells, readHeader } from './segment-cells.js';
import { type SegmentFile, withSegment } from './segments.js';

const WINDOW_BYTES = 256 * 1024;
const zeros = Buffer.alloc(WINDOW_BYTES);
/** Larger than any setting allows a segment. */
const MAX_BYTES = 2 ** 30 + 2 ** 24;

export type Layout = SegmentHeader | NoHeader;

/** The present state of a segment. */
export interface SegmentState extends SegmentFile {
  readonly layout: Layout;
  /** Its writer has moved on to another segment, or is gone. */
  readonly isComplete: boolean;
  /** Where the records begin. */
  readonly first: number;
  /** Where its readable bytes end: beyond that, a write may be in progress. */
  readonly end: number;
  /** Before this every byte belongs to a record; beyond, each record proves itself. */
  readonly trusted: number;
  /** Journalled bytes, as far as known; its file may be larger. */
  readonly journalled: number;
  readonly cells: MappedCells | undefined;
}

/** A segment that has no writer any more. */
export function stateOf(segment: SegmentFile): SegmentState {
  return new Layouts().stateOf(segment, undefined);
}

/** The known state of a journal's segments, to read each header only once. */
export class Layouts {
  readonly #layouts = new Map<number, Layout>();
  readonly #counts = new Map<number, { end: number; clicks: number }>();

  /** @param written How far a living writer has got; `undefined` for a journal whose writer is gone. */
  stateOf(segment: SegmentFile, written: JournalPosition | undefined): SegmentState {
    const { number, size } = segment;
    const isComplete = written === undefined || number < written.segment;
    const reached = number === written?.segment ? Math.min(size, written.offset) : 0;
    // Ignore what a living writer has not reached yet; it may be storing a header at this moment.
    const layout = isReached(number, written) ? this.#layoutOf(segment) : 'unused';
    const header = isHeader(layout) ? layout : undefined;
    const first = header?.headerBytes ?? 0;
    const cells = header?.isMapped ? safely(() => withSegment(segment.file, readCells)) : undefined;
    const inside = (position: number): number => Math.min(size, Math.max(first, position));
    if (!isComplete) {
      return {
        ...segment,
        layout,
        isComplete,
        first,
        end: reached,
        trusted: reached,
        journalled: reached,
        cells,
      };
    }
    if (cells === undefined) {
      const journalled = layout === 'unused' || layout === 'newer' ? 0 : size;
      return { ...segment, layout, isComplete, first, end: size, trusted: size, journalled, cells };
    }
    // Either the system that stored them still runs, or its successor does, and unsynced memory is gone.
    const trusted = inside(isOfThisBoot(layout) ? cells.end : cells.synced);
    return {
      ...segment,
      layout,
      isComplete,
      first,
      end: size,
      trusted,
      journalled: inside(cells.end),
      cells,
    };
  }

  /** Clicks in a segment, read only to count them. */
  countClicks(state: SegmentState): number {
    const { number, file, end, trusted, first, layout } = state;
    if (typeof layout === 'string' || 'reason' in layout || end <= first) return 0;
    const counted = this.#counts.get(number);
    if (counted?.end === end) return counted.clicks;
    const known = new Known(number, 0);
    safely(() =>
      withSegment(file, (descriptor) => {
        if (layout.version === FIRST_VERSION) {
          for (const scanned of scanFrames(descriptor, first, end))
            if (scanned.kind === 'frame') known.takeFrame(scanned.frame, []);
          return;
        }
        scanRecords(
          descriptor,
          layout.seed,
          { start: first, end, trusted },
          {
            onRecord: (words, at, bytes) => {
              known.takeRecord(words, at, bytes, []);
              return true;
            },
            onDamage: () => undefined,
          },
        );
      }),
    );
    this.#counts.set(number, { end, clicks: known.clicks });
    return known.clicks;
  }

  #layoutOf({ number, file, size }: SegmentFile): Layout {
    const known = this.#layouts.get(number);
    if (known !== undefined) return known;
    const layout = safely(() => withSegment(file, (descriptor) => readLayout(descriptor, size))) ?? 'unused';
    // A segment that is not in use yet may be used later.
    if (layout !== 'unused') this.#layouts.set(number, layout);
    return layout;
  }
}

/** Whether a segment's writer, if it has a living one, has published something in it, or has left it. */
function isReached(segment: number, written: JournalPosition | undefined): boolean {
  if (written === undefined || segment < written.segment) return true;
  return segment === written.segment && written.offset > 0;
}

function readLayout(descriptor: number, size: number): Layout {
  const layout = readHeader(descriptor);
  if (layout !== 'unused') return layout;
  // A missing header with bytes after it was lost with the machine.
  if (size > MAX_BYTES) return { reason: 'not a click journal: larger than a segment' };
  for (let offset = 0; offset < size; offset += WINDOW_BYTES) {
    const bytes = readAt(descriptor, offset, Math.min(WINDOW_BYTES, size - offset));
    if (!bytes.equals(zeros.subarray(0, bytes.length))) return { reason: 'segment header lost' };
  }
  return layout;
}

/** A segment may be removed during the look. */
function safely<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Clicks stored after the last readable one: the segment's cells still have their number. */
export function missingAtEnd({ cells }: SegmentState, known: Known): number {
  if (cells === undefined) return 0;
  return Math.max(0, Math.min(cells.clicks - known.clicks, Math.floor((cells.end - known.lastRecord) / 8)));
}

/** Whether the end of the records is known, because the system that stored them still runs. */
export function isExact({ layout, cells }: SegmentState): boolean {
  return cells !== undefined && isOfThisBoot(layout);
}

function isOfThisBoot(layout: Layout): boolean {
  return isHeader(layout) && layout.bootId !== undefined && layout.bootId === bootId();
}

export function isHeader(layout: Layout): layout is SegmentHeader {
  return typeof layout === 'object' && 'headerBytes' in layout;
}

/** Whether a position has not passed the segment. */
export function isUnread(segment: SegmentState, position: JournalPosition): boolean {
  if (segment.number < position.segment) return false;
  const start = segment.number === position.segment ? position.offset : 0;
  if (segment.isComplete) return segment.number > position.segment || start < segment.end;
  return Math.max(segment.first, start) < segment.end;
}
