import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type ClickTotals, sumOf } from './click-totals.js';
import type { JournalPosition } from './position.js';

/** How long, and up to how many bytes of a journal, ingested segments are kept. */
export interface Keep {
  readonly ms: number;
  readonly bytes: number;
  /** How far the stream has the journal: what it lacks is kept for longer, up to the same bytes. Without a stream, `undefined`. */
  readonly passed?: JournalPosition;
}

/** A segment that a database has, and may lose again by falling back in time. */
export interface KeptSegment {
  readonly segment: number;
  /** Where its clicks end. */
  readonly end: number;
  /** Of its file. */
  readonly bytes: number;
  readonly databaseId: string;
  /** The journal's totals at its end; `undefined` if unknown. */
  readonly totals: ClickTotals | undefined;
}

/** How far a database had a journal when the last segment was removed. */
interface RemovedTo {
  readonly segment: number;
  readonly totals: ClickTotals;
  /** Whether there was a stream that should have had it. */
  readonly isStreamed?: boolean;
}

/** How many clicks of a journal were in the segments that are gone. */
export interface RemovedClicks {
  /** The last one. */
  readonly segment: number;
  readonly clicks: number;
  /** Whether there was a stream that should have had them. */
  readonly isStreamed: boolean;
}

/** Clicks that a database lacks and the journal no longer has. */
export interface Gap {
  /** The last segment that is gone. */
  readonly segment: number;
  readonly clicks: number;
}

interface Entry extends KeptSegment {
  /** By the monotonic clock; the file has the wall clock's time. */
  readonly sinceMs: number;
  readonly atMs: number;
}

/** `<journal id>.kept.json`, beside the segments. */
const SUFFIX = '.kept.json';

/** @returns the journal of a note's file, or `undefined` for any other file. */
export function parseKeptFile(file: string): string | undefined {
  return file.endsWith(SUFFIX) ? file.slice(0, -SUFFIX.length) : undefined;
}

/**
 * The ingested segments of a journal that are kept, and how far the removed ones went. A note in a file lets
 * the next owner of the journal continue. The note may be lost: then segments are kept longer, and missing
 * clicks before them are not counted.
 */
export class KeptSegments {
  readonly #file: string;
  #entries: Map<number, Entry> | undefined;
  #isChanged = false;
  readonly #removed = new Map<string, RemovedTo>();

  constructor(folder: string, journalId: string) {
    this.#file = path.join(folder, journalId + SUFFIX);
  }

  /** Of all kept segments. */
  get bytes(): number {
    return [...this.#all()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Whether a segment needs nothing: it was ingested, and this position does not need it. */
  isBehind(segment: number, position: JournalPosition | undefined, databaseId: string | undefined): boolean {
    const entry = this.#load().get(segment);
    if (entry === undefined) return false;
    if (databaseId !== undefined && entry.databaseId !== databaseId) return true;
    return position !== undefined && isPassed(entry, position);
  }

  /** Notes an ingested segment, for the first time or again. @returns whether it is new. */
  add(segment: KeptSegment): boolean {
    const entries = this.#load();
    const known = entries.get(segment.segment);
    if (known !== undefined && known.totals !== undefined && segment.totals === undefined) return false;
    entries.set(segment.segment, { ...segment, sinceMs: performance.now(), atMs: Date.now() });
    this.#isChanged = true;
    return known === undefined;
  }

  /** Segments that need not be kept any longer, oldest first. @param keep `undefined`: keep none. */
  expired(
    keep: Keep | undefined,
    position: JournalPosition | undefined,
    databaseId: string | undefined,
  ): readonly KeptSegment[] {
    if (position === undefined) return [];
    const now = performance.now();
    let { bytes } = this;
    return this.#of(databaseId).filter((entry) => {
      const isOver =
        keep === undefined || bytes > keep.bytes || (now - entry.sinceMs >= keep.ms && isSeen(entry, keep));
      if (!isOver || !isPassed(entry, position)) return false;
      bytes -= entry.bytes;
      return true;
    });
  }

  /** The time until the next one has been kept for long enough; `undefined` if there is none. */
  msToNext(keep: Keep, databaseId: string | undefined): number | undefined {
    const [oldest] = this.#of(databaseId)
      .filter((entry) => isSeen(entry, keep))
      .map(({ sinceMs }) => sinceMs + keep.ms - performance.now());
    return oldest === undefined ? undefined : Math.max(0, oldest);
  }

  /** Notes that a segment's file is removed. @param isStreamed Whether there is a stream that should have it. */
  removed(
    { segment, databaseId, totals }: Pick<KeptSegment, 'segment' | 'databaseId' | 'totals'>,
    isStreamed: boolean,
  ): void {
    this.#load().delete(segment);
    this.#isChanged = true;
    const before = this.#removed.get(databaseId);
    if (totals === undefined || (before !== undefined && before.segment > segment)) return;
    this.#removed.set(databaseId, { segment, totals, ...(isStreamed ? { isStreamed } : {}) });
  }

  /** The clicks that a database at this position lacks for good. */
  gap(position: JournalPosition, databaseId: string | undefined, totals: ClickTotals): Gap | undefined {
    this.#load();
    const removed = this.#removed.get(databaseId ?? '');
    if (removed === undefined || position.segment > removed.segment) return undefined;
    const clicks = sumOf(removed.totals) - sumOf(totals);
    return clicks > 0 ? { segment: removed.segment, clicks } : undefined;
  }

  /** The largest totals of the journal that a database is known to have had. */
  most(databaseId: string): ClickTotals | undefined {
    const known = this.#of(databaseId).map(({ totals }) => totals);
    known.push(this.#removed.get(databaseId)?.totals);
    return known.reduce((most, totals) => {
      if (totals === undefined) return most;
      return most === undefined || sumOf(totals) > sumOf(most) ? totals : most;
    }, undefined);
  }

  /** Writes the note if it has changed. */
  save(): void {
    if (!this.#isChanged) return;
    const note = {
      kept: [...this.#all()].map(({ sinceMs: _, ...entry }) => entry),
      removed: [...this.#removed].map(([databaseId, removed]) => ({ databaseId, ...removed })),
    };
    try {
      writeFileSync(`${this.#file}.tmp`, `${JSON.stringify(note)}\n`, { mode: 0o600 });
      renameSync(`${this.#file}.tmp`, this.#file);
      this.#isChanged = false;
    } catch {
      // A full disk must not block the ingest; the next note includes what is in memory.
    }
  }

  /** The journal is gone. */
  forget(): void {
    for (const file of [this.#file, `${this.#file}.tmp`]) rmSync(file, { force: true });
    this.#entries = undefined;
    this.#removed.clear();
  }

  #all(): Iterable<Entry> {
    return this.#load().values();
  }

  /** The segments of one database, in order. */
  #of(databaseId: string | undefined): Entry[] {
    return [...this.#all()]
      .filter((entry) => databaseId === undefined || entry.databaseId === databaseId)
      .sort((one, other) => one.segment - other.segment);
  }

  /** @throws if the note exists but can't be read, as without free descriptors. */
  #load(): Map<number, Entry> {
    if (this.#entries !== undefined) return this.#entries;
    const note = parse(readIfThere(this.#file));
    const entries = new Map<number, Entry>();
    for (const kept of note.kept) {
      // A clock that was set back must not make a segment's time later than now.
      const ageMs = Math.max(0, Date.now() - kept.atMs);
      entries.set(kept.segment, { ...kept, sinceMs: performance.now() - ageMs });
    }
    for (const { databaseId, ...removed } of note.removed) this.#removed.set(databaseId, removed);
    this.#entries = entries;
    return entries;
  }
}

/**
 * The clicks of a journal that were in segments which are gone, by its note; read anew at each call, because another
 * thread writes it.
 */
export function removedClicks(folder: string, journalId: string): RemovedClicks | undefined {
  const { removed } = parse(readIfThere(path.join(folder, journalId + SUFFIX)));
  if (removed.length === 0) return undefined;
  return {
    segment: Math.max(...removed.map(({ segment }) => segment)),
    clicks: removed.reduce((sum, { totals }) => sum + sumOf(totals), 0),
    isStreamed: removed.some(({ isStreamed }) => isStreamed === true),
  };
}

/** Whether the stream, if there is one, has all of a segment. */
export function isSeen(entry: KeptSegment, keep: Keep | undefined): boolean {
  return keep?.passed === undefined || isPassed(entry, keep.passed);
}

function isPassed({ segment, end }: KeptSegment, position: JournalPosition): boolean {
  return segment < position.segment || (segment === position.segment && end <= position.offset);
}

interface Note {
  readonly kept: readonly Omit<Entry, 'sinceMs'>[];
  readonly removed: readonly (RemovedTo & { readonly databaseId: string })[];
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

/** A note's content; nothing for a damaged or foreign one. */
function parse(text: string): Note {
  try {
    const { kept, removed } = JSON.parse(text) as Note;
    const isWhole =
      kept.every((one) => isPlace(one) && [one.end, one.bytes, one.atMs].every(Number.isFinite)) &&
      kept.every(({ totals }) => totals === undefined || isTotals(totals)) &&
      removed.every((one) => isPlace(one) && isTotals(one.totals));
    if (isWhole) return { kept, removed };
  } catch {
    // A truncated file can't be trusted either.
  }
  return { kept: [], removed: [] };
}

function isPlace({ segment, databaseId }: { segment: number; databaseId: string }): boolean {
  return Number.isSafeInteger(segment) && typeof databaseId === 'string';
}

function isTotals(totals: ClickTotals): boolean {
  return Number.isSafeInteger(sumOf(totals));
}
