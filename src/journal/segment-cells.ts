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

/** What a mapped segment's own cells say of it. */
export interface MappedCells {
  /** Where its records end, as they are in memory: exact for as long as the system runs that they were stored on. */
  readonly end: number;
  readonly clicks: number;
  /** Where they ended before the last sync that is known of. */
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
