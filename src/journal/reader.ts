import { closeSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import {
  DETAILED_FORM,
  decodeSegmentHeader,
  type Frame,
  HEAD_FLAG,
  type JournalledLink,
  LINK_NUMBER_BITS,
  LINK_NUMBER_MASK,
  SEGMENT_HEADER_BYTES,
  WORDS_PER_CLICK,
} from './format.js';
import type { JournalPosition } from './position.js';
import { readAt, scanFrames } from './scan.js';
import { copyStretch, listSegments, openSegment, syncFolder } from './segments.js';

/** What was noted of a visit, where visits are noted; empty for unknown. */
export interface JournalledVisit {
  readonly referrer: string;
  readonly userAgent: string;
  readonly country: string;
  readonly address: string;
  readonly isHead: boolean;
}

/** A click as it was journalled: who was sent where, and when. */
export interface JournalledClick {
  readonly link: JournalledLink;
  readonly timeMs: number;
  readonly visit: JournalledVisit | undefined;
}

/** The clicks between two positions of a journal. */
export interface JournalPiece {
  readonly from: JournalPosition;
  readonly to: JournalPosition;
  readonly clicks: readonly JournalledClick[];
  /** Clicks that the frames' counts tell were here and can't be read. */
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

interface Segment {
  readonly number: number;
  readonly file: string;
  readonly size: number;
  /** Where its bytes end for us: what is beyond may still be being written. */
  readonly end: number;
  /** Its writer has gone on to another segment, or is no more. */
  readonly isComplete: boolean;
}

/**
 * Reads one journal from a position on. A position lies between two frames; links that were defined
 * before it in its segment are read again where they are not known.
 *
 * Up to the point that a living writer says it has reached, and everywhere in a journal whose writer
 * is no more, every byte must belong to a whole frame. What does not is damage: it is kept aside in a
 * file of its own and told.
 */
export class JournalReader {
  readonly folder: string;
  readonly journalId: string;
  readonly #onDamage: (damage: Damage) => void;
  #position: JournalPosition | undefined;
  #known = new KnownLinks(-1);
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

  seek(position: JournalPosition | undefined): void {
    this.#position = position;
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
      const start = startIn(segment.number, from);
      if (start >= segment.end && !isStump(segment, from)) continue;
      return this.#readSegment(segment, from, start, mostClicks);
    }
    return undefined;
  }

  /** Removes the complete segments that lie before the position. @returns the bytes they took. */
  removeIngested(written: JournalPosition | undefined): number {
    const position = this.#position;
    if (position === undefined) return 0;
    let removed = 0;
    for (const segment of this.#segments(written)) {
      if (!segment.isComplete || startIn(segment.number, position) < segment.size) continue;
      rmSync(segment.file, { force: true });
      removed += segment.size;
    }
    return removed;
  }

  /** Bytes on the disk that are still to be taken in. */
  pendingBytes(): number {
    const position = this.#position ?? { segment: 0, offset: 0 };
    return this.#segments(undefined).reduce(
      (sum, { number, size }) => sum + Math.max(0, size - startIn(number, position)),
      0,
    );
  }

  /** Whether no segment is left. @throws when that can't be found out. */
  get isGone(): boolean {
    return this.#segments(undefined).length === 0;
  }

  /**
   * Makes the removal of the segments outlive a loss of power.
   * @returns whether their folder is there: when it is not, they may come back with it.
   */
  syncRemovals(): boolean {
    return syncFolder(this.folder);
  }

  #segments(written: JournalPosition | undefined): Segment[] {
    return listSegments(this.folder, this.journalId).map(({ number, file, size }) => {
      const isComplete = written === undefined || number < written.segment;
      const reached = number === written?.segment ? written.offset : 0;
      return { number, file, size, isComplete, end: isComplete ? size : Math.min(size, reached) };
    });
  }

  #readSegment(segment: Segment, from: JournalPosition, start: number, mostClicks: number): JournalPiece {
    const descriptor = openSegment(segment.file);
    try {
      const header = decodeSegmentHeader(readAt(descriptor, 0, SEGMENT_HEADER_BYTES));
      if (typeof header === 'string') {
        // An empty file is one whose writer was ended between opening and writing it.
        if (segment.size > 0 && segment.isComplete) this.#putAway(segment, header);
        else if (segment.end > 0)
          this.#keepAside(descriptor, segment, { offset: 0, bytes: segment.end, reason: header });
        const to = { segment: segment.number, offset: Math.max(SEGMENT_HEADER_BYTES, segment.end) };
        return { from, to, clicks: [], unreadable: 0, isFull: false };
      }
      const known = this.#knownBefore(descriptor, segment.number, start);
      const clicks: JournalledClick[] = [];
      let unreadable = 0;
      let offset = start;
      for (const scanned of scanFrames(descriptor, start, segment.end)) {
        if (scanned.kind === 'damage') {
          this.#keepAside(descriptor, segment, scanned);
          offset = scanned.offset + scanned.bytes;
          continue;
        }
        const { bytes } = scanned.frame;
        offset = scanned.offset + bytes;
        if (known.hasTaken(scanned.frame)) {
          this.#keepAside(descriptor, segment, { offset: scanned.offset, bytes, reason: 'frame repeated' });
          continue;
        }
        unreadable += known.take(scanned.frame, clicks);
        if (clicks.length >= mostClicks) break;
      }
      known.offset = offset;
      const to = { segment: segment.number, offset };
      return { from, to, clicks, unreadable, isFull: clicks.length >= mostClicks };
    } finally {
      closeSync(descriptor);
    }
  }

  #knownBefore(descriptor: number, segment: number, start: number): KnownLinks {
    if (this.#known.segment === segment && this.#known.offset === start) return this.#known;
    const known = new KnownLinks(segment);
    for (const scanned of scanFrames(descriptor, SEGMENT_HEADER_BYTES, start)) {
      if (scanned.kind === 'frame' && !known.hasTaken(scanned.frame)) known.take(scanned.frame, []);
    }
    this.#known = known;
    return known;
  }

  /** Keeps damaged bytes in a file of their own. */
  #keepAside(
    descriptor: number,
    segment: Segment,
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
  #putAway(segment: Segment, reason: string): void {
    const file = path.basename(segment.file);
    const keptAs = `${file}.0.damaged`;
    renameSync(segment.file, path.join(this.folder, keptAs));
    this.#onDamage({ file, offset: 0, bytes: segment.size, reason, keptAs });
  }
}

const diskFull = new Set(['ENOSPC', 'EDQUOT']);

/** The links and texts of one segment as far as it has been read. */
class KnownLinks {
  readonly segment: number;
  /** How far the segment has been read. */
  offset = SEGMENT_HEADER_BYTES;
  readonly #links: JournalledLink[] = [];
  readonly #texts: string[] = [''];
  #clicks = 0;

  constructor(segment: number) {
    this.segment = segment;
  }

  /** Whether the frame's clicks come before what has been read: it stands in the file a second time. */
  hasTaken(frame: Frame): boolean {
    return frame.firstClick < this.#clicks;
  }

  /** @returns how many clicks can't be told: lost in damage before this frame, or of undefined links. */
  take(frame: Frame, clicks: JournalledClick[]): number {
    const { form, words, timeMs } = frame;
    const stride = WORDS_PER_CLICK[form];
    const count = words.length / stride;
    let unreadable = Math.max(0, frame.firstClick - this.#clicks);
    for (const [index, link] of frame.links.entries()) this.#links[frame.firstLink + index] = link;
    for (const [index, text] of frame.texts.entries()) this.#texts[frame.firstText + index] = text;
    for (let start = 0; start < words.length; start += stride) {
      const link = this.#links[(words[start] as number) & LINK_NUMBER_MASK];
      if (link === undefined) unreadable += 1;
      else
        clicks.push({ link, timeMs, visit: form === DETAILED_FORM ? this.#visit(words, start) : undefined });
    }
    this.#clicks = frame.firstClick + count;
    return unreadable;
  }

  #visit(words: Uint32Array, start: number): JournalledVisit {
    const textAt = (index: number): string => this.#texts[words[start + index] ?? 0] ?? '';
    return {
      referrer: textAt(1),
      userAgent: textAt(2),
      country: textAt(3),
      address: textAt(4),
      isHead: (((words[start] as number) >>> LINK_NUMBER_BITS) & HEAD_FLAG) !== 0,
    };
  }
}

/** A complete segment without a whole header, that nobody has looked at yet. */
function isStump(segment: Segment, from: JournalPosition): boolean {
  const isPassed = segment.number === from.segment && from.offset > 0;
  return segment.isComplete && segment.size < SEGMENT_HEADER_BYTES && !isPassed;
}

/** Where a segment is to be read from, given how far its journal has been taken in. */
function startIn(segment: number, position: JournalPosition): number {
  if (segment < position.segment) return Number.POSITIVE_INFINITY;
  return Math.max(SEGMENT_HEADER_BYTES, segment === position.segment ? position.offset : 0);
}
