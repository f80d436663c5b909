import { readAt } from './file-bytes.js';
import {
  CLICKS_OFFSET,
  decodeHeader,
  END_OFFSET,
  HEADER_BYTES,
  MAPPED_HEADER_BYTES,
  type NoHeader,
  type SegmentHeader,
  SYNC_OFFSETS,
} from './format.js';
import { readSyncCell } from './sync-cell.js';

export function readHeader(descriptor: number): SegmentHeader | NoHeader {
  return decodeHeader(readAt(descriptor, 0, HEADER_BYTES));
}

/** The values of a mapped segment's own cells. */
export interface MappedCells {
  /** Where its records end in memory: exact as long as the system keeps running. */
  readonly end: number;
  readonly clicks: number;
  /** Where they ended before the last known sync. */
  readonly synced: number;
}

export function readCells(descriptor: number): MappedCells {
  const bytes = readAt(descriptor, 0, MAPPED_HEADER_BYTES);
  const [end, clicks] =
    bytes.length < MAPPED_HEADER_BYTES
      ? [0, 0]
      : [bytes.readUInt32LE(END_OFFSET), bytes.readUInt32LE(CLICKS_OFFSET)];
  const syncs = SYNC_OFFSETS.map((offset) => readSyncCell(bytes, offset));
  return { end, clicks, synced: Math.max(MAPPED_HEADER_BYTES, ...syncs) };
}
