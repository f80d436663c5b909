import { crc32 } from 'node:zlib';

/**
 * The click journal's files: their names, and what every segment begins with. All numbers are
 * little-endian. What follows the header depends on the version: frames.ts describes version 1,
 * records.ts version 2.
 *
 *     every version     0  8 bytes  "SWYCLICK"
 *                       8  u32      version
 *                      12  u32      size of the header: what is journalled begins there
 *                      16  16 bytes journal id (UUID)
 *                      32  f64      time of creation, ms since 1970
 *                      40  u32      segment number
 *                      44  u32      CRC-32 of bytes 0 to 43; from version 2 on, of bytes 48 to 127 as well
 *
 *     from version 2    48 16 bytes database id (UUID): whose links these are; zeros for unknown
 *                      64  16 bytes boot id (UUID) of the system it was written on; zeros for unknown
 *                      80  u32      seed of the records' checks
 *                      84  u32      flags; 1: mapped
 *                      88  40 bytes zeros
 *
 *     if it is mapped, in pages of 4,096 bytes of their own
 *                    4096  u32      where its records end, stored after each of them
 *                    4100  u32      clicks among them
 *                    8192  u32      where its records ended before a sync that has succeeded
 *                          u32      how many there had been, this one included
 *                          u32      check of both
 *                   12288           the same, of every second sync
 *
 * The first 128 bytes keep this form in every later version. An older reader can thereby tell a newer file
 * from a damaged one, and leaves it where it is.
 */
export const FORMAT_VERSION = 2;
export const FIRST_VERSION = 1;
export const FIRST_HEADER_BYTES = 64;
/** The header of a written segment, and the beginning of every header of this version. */
export const HEADER_BYTES = 128;
export const PAGE_BYTES = 4096;
export const MAPPED_HEADER_BYTES = 4 * PAGE_BYTES;
export const END_OFFSET = PAGE_BYTES;
export const CLICKS_OFFSET = PAGE_BYTES + 4;
export const SYNC_OFFSETS = [2 * PAGE_BYTES, 3 * PAGE_BYTES] as const;
const CRC_OFFSET = 44;
const MAPPED_FLAG = 1;

const MAGIC = Buffer.from('SWYCLICK', 'latin1');
export const NO_ID = '00000000-0000-0000-0000-000000000000';

/** The kind of a visit, as far as its gateway could tell. */
export const VisitKind = { CLICK: 0, PREVIEW: 1, HEAD: 2 } as const;
export type VisitKind = (typeof VisitKind)[keyof typeof VisitKind];

/**
 * A link as a journal knows it; ids are decimal text. Two links are the same if everything but owner and
 * target agrees.
 */
export interface JournalledLink {
  readonly urlId: string;
  readonly userId: string | null;
  readonly shortCode: string;
  readonly target: string;
  /** When it was created, ms since 1970; `undefined` in a journal of version 1. */
  readonly createdMs: number | undefined;
}

export interface SegmentHeader {
  readonly version: number;
  readonly headerBytes: number;
  readonly journalId: string;
  readonly segment: number;
  readonly createdMs: number;
  /** `undefined` in version 1, and if it was unknown. */
  readonly databaseId: string | undefined;
  readonly bootId: string | undefined;
  readonly seed: number;
  /** Whether records were stored in mapped memory; otherwise they were written. */
  readonly isMapped: boolean;
}

/** Writes the header of a segment of the current version, into memory that may be a mapping. */
export function encodeHeader(into: Buffer, header: Omit<SegmentHeader, 'version' | 'headerBytes'>): void {
  const bytes = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(FORMAT_VERSION, 8);
  bytes.writeUInt32LE(header.isMapped ? MAPPED_HEADER_BYTES : HEADER_BYTES, 12);
  writeId(bytes, 16, header.journalId);
  bytes.writeDoubleLE(header.createdMs, 32);
  bytes.writeUInt32LE(header.segment, 40);
  writeId(bytes, 48, header.databaseId ?? NO_ID);
  writeId(bytes, 64, header.bootId ?? NO_ID);
  bytes.writeUInt32LE(header.seed, 80);
  bytes.writeUInt32LE(header.isMapped ? MAPPED_FLAG : 0, 84);
  bytes.writeUInt32LE(checkOf(bytes), CRC_OFFSET);
  bytes.copy(into, 0);
}

/** What the beginning of a file shows that is no readable segment. */
export type NoHeader =
  /** Nothing was journalled in it yet: it is empty, or was made ready and never used. */
  | 'unused'
  /** A later version of this server made it. */
  | 'newer'
  | { readonly reason: string };

/** @param bytes The first `HEADER_BYTES` of a file, or all of a shorter one. */
export function decodeHeader(bytes: Buffer): SegmentHeader | NoHeader {
  if (bytes.every((byte) => byte === 0)) return 'unused';
  if (bytes.length < FIRST_HEADER_BYTES) return { reason: 'shorter than a segment header' };
  if (!bytes.subarray(0, 8).equals(MAGIC)) return { reason: 'not a click journal' };
  const version = bytes.readUInt32LE(8);
  const check = version === FIRST_VERSION ? crc32(bytes.subarray(0, CRC_OFFSET)) : checkOf(bytes);
  if (bytes.readUInt32LE(CRC_OFFSET) !== check) return { reason: 'segment header damaged' };
  if (version > FORMAT_VERSION) return 'newer';
  const isFirst = version === FIRST_VERSION;
  return {
    version,
    headerBytes: bytes.readUInt32LE(12),
    journalId: readId(bytes, 16),
    createdMs: bytes.readDoubleLE(32),
    segment: bytes.readUInt32LE(40),
    databaseId: isFirst ? undefined : knownId(bytes, 48),
    bootId: isFirst ? undefined : knownId(bytes, 64),
    seed: isFirst ? 0 : bytes.readUInt32LE(80),
    isMapped: !isFirst && (bytes.readUInt32LE(84) & MAPPED_FLAG) !== 0,
  };
}

function checkOf(bytes: Buffer): number {
  return crc32(bytes.subarray(CRC_OFFSET + 4, HEADER_BYTES), crc32(bytes.subarray(0, CRC_OFFSET)));
}

function writeId(bytes: Buffer, offset: number, id: string): void {
  Buffer.from(id.replaceAll('-', ''), 'hex').copy(bytes, offset);
}

function readId(bytes: Buffer, offset: number): string {
  return bytes
    .toString('hex', offset, offset + 16)
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function knownId(bytes: Buffer, offset: number): string | undefined {
  const id = readId(bytes, offset);
  return id === NO_ID ? undefined : id;
}

/** The file of a segment within its server's folder. */
export function segmentFile(journalId: string, segment: number): string {
  return `${journalId}.${String(segment).padStart(10, '0')}.clicks`;
}

/** @returns the journal and number of a segment's file, or `undefined` for any other file. */
export function parseSegmentFile(file: string): { journalId: string; segment: number } | undefined {
  const match = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(\d{10})\.clicks$/.exec(file);
  if (match === null) return undefined;
  return { journalId: match[1] ?? '', segment: Number(match[2]) };
}
