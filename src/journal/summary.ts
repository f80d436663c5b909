import path from 'node:path';
import { FIRST_VERSION } from './format.js';
import { scanFrames } from './frame-scan.js';
import { WORDS_PER_CLICK } from './frames.js';
import { scanRecords } from './record-scan.js';
import { CLASS_SHIFT, kindOf, RecordKind } from './records.js';
import { type SegmentState, stateOf } from './segment-state.js';
import { listSegments, withSegment } from './segments.js';

/** The content of a journal. */
export interface JournalSummary {
  readonly journalId: string;
  readonly segments: number;
  readonly bytes: number;
  /** Event-loop turns with clicks. */
  readonly turns: number;
  readonly clicks: number;
  /** Definitions; a link has one in each segment in which it was clicked. */
  readonly links: number;
  readonly texts: number;
  /** Times of the first and the last click, ms since 1970. */
  readonly firstMs: number | undefined;
  readonly lastMs: number | undefined;
  /** Databases whose links were clicked. */
  readonly databases: readonly string[];
  /** Segments made by a newer version of the server. */
  readonly newer: number;
  readonly damages: readonly { file: string; offset: number; bytes: number; reason: string }[];
}

interface Sums {
  bytes: number;
  turns: number;
  clicks: number;
  links: number;
  texts: number;
  newer: number;
  firstMs: number | undefined;
  lastMs: number | undefined;
  readonly databases: Set<string>;
  readonly damages: { file: string; offset: number; bytes: number; reason: string }[];
}

/** Reads a journal from its beginning to its end and changes nothing. */
export function summarise(
  folder: string,
  journalId: string,
  onRead: (bytes: number) => void,
): JournalSummary {
  const sums: Sums = {
    bytes: 0,
    turns: 0,
    clicks: 0,
    links: 0,
    texts: 0,
    newer: 0,
    firstMs: undefined,
    lastMs: undefined,
    databases: new Set(),
    damages: [],
  };
  const segments = listSegments(folder, journalId);
  for (const segment of segments) {
    addSegment(stateOf(segment), sums);
    sums.bytes += segment.size;
    onRead(segment.size);
  }
  return { ...sums, journalId, segments: segments.length, databases: [...sums.databases] };
}

function addSegment(state: SegmentState, sums: Sums): void {
  const { layout, file, size, end, first, trusted } = state;
  const tell = (offset: number, bytes: number, reason: string): void => {
    sums.damages.push({ file: path.basename(file), offset, bytes, reason });
  };
  if (layout === 'unused') return;
  if (layout === 'newer') {
    sums.newer += 1;
    return;
  }
  if ('reason' in layout) {
    tell(0, size, layout.reason);
    return;
  }
  if (layout.databaseId !== undefined) sums.databases.add(layout.databaseId);
  withSegment(file, (descriptor) => {
    if (layout.version === FIRST_VERSION) {
      addFrames(descriptor, first, end, sums, tell);
      return;
    }
    scanRecords(
      descriptor,
      layout.seed,
      { start: first, end, trusted },
      {
        onRecord: (words, at) => {
          addRecord(words, at, sums);
          return true;
        },
        onDamage: (offset, bytes) => tell(offset, bytes, 'no record'),
      },
    );
  });
}

function addRecord(words: Uint32Array, at: number, sums: Sums): void {
  const head = words[at + 1] as number;
  const kind = head >>> CLASS_SHIFT === 0 ? 0 : kindOf(head);
  if (kind === 0 || kind === RecordKind.VISIT) sums.clicks += 1;
  else if (kind === RecordKind.LINK) sums.links += 1;
  else if (kind === RecordKind.TEXT) sums.texts += 1;
  else if (kind === RecordKind.TURN) {
    sums.turns += 1;
    const timeMs = new Float64Array(new Uint32Array([words[at + 2] ?? 0, words[at + 3] ?? 0]).buffer)[0];
    sums.firstMs ??= timeMs;
    sums.lastMs = timeMs;
  }
}

function addFrames(
  descriptor: number,
  first: number,
  end: number,
  sums: Sums,
  tell: (offset: number, bytes: number, reason: string) => void,
): void {
  for (const scanned of scanFrames(descriptor, first, end)) {
    if (scanned.kind === 'damage') {
      tell(scanned.offset, scanned.bytes, scanned.reason);
      continue;
    }
    const { frame } = scanned;
    sums.turns += 1;
    sums.clicks += frame.words.length / WORDS_PER_CLICK[frame.form];
    sums.links += frame.links.length;
    sums.texts += frame.texts.length;
    sums.firstMs ??= frame.timeMs;
    sums.lastMs = frame.timeMs;
  }
}
