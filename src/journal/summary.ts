import { closeSync } from 'node:fs';
import path from 'node:path';
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES, WORDS_PER_CLICK } from './format.js';
import { readAt, scanFrames } from './scan.js';
import { listSegments, openSegment } from './segments.js';

/** What a journal holds. */
export interface JournalSummary {
  readonly journalId: string;
  readonly segments: number;
  readonly bytes: number;
  readonly frames: number;
  readonly clicks: number;
  /** Definitions; a link has one in each segment in which it was clicked. */
  readonly links: number;
  readonly texts: number;
  /** Times of the first and the last click, ms since 1970. */
  readonly firstMs: number | undefined;
  readonly lastMs: number | undefined;
  readonly damages: readonly { file: string; offset: number; bytes: number; reason: string }[];
}

/** Reads a journal from its first to its last frame and changes nothing. */
export function summarise(
  folder: string,
  journalId: string,
  onRead: (bytes: number) => void,
): JournalSummary {
  const damages: { file: string; offset: number; bytes: number; reason: string }[] = [];
  let [bytes, frames, clicks, links, texts] = [0, 0, 0, 0, 0];
  let firstMs: number | undefined;
  let lastMs: number | undefined;
  const segments = listSegments(folder, journalId);
  for (const { file, size } of segments) {
    const name = path.basename(file);
    const descriptor = openSegment(file);
    try {
      const header = decodeSegmentHeader(readAt(descriptor, 0, SEGMENT_HEADER_BYTES));
      if (typeof header === 'string') damages.push({ file: name, offset: 0, bytes: size, reason: header });
      const start = typeof header === 'string' ? size : SEGMENT_HEADER_BYTES;
      for (const scanned of scanFrames(descriptor, start, size)) {
        if (scanned.kind === 'damage') {
          const { offset, bytes: damaged, reason } = scanned;
          damages.push({ file: name, offset, bytes: damaged, reason });
          continue;
        }
        const { frame } = scanned;
        frames += 1;
        clicks += frame.words.length / WORDS_PER_CLICK[frame.form];
        links += frame.links.length;
        texts += frame.texts.length;
        firstMs ??= frame.timeMs;
        lastMs = frame.timeMs;
      }
    } finally {
      closeSync(descriptor);
    }
    bytes += size;
    onRead(size);
  }
  return {
    journalId,
    segments: segments.length,
    bytes,
    frames,
    clicks,
    links,
    texts,
    firstMs,
    lastMs,
    damages,
  };
}
