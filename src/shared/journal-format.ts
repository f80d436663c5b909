import { crc32 } from 'node:zlib';

/**
 * The click journal's bytes, version 1. All numbers are little-endian.
 *
 * A journal is a run of segment files. A segment is a header of 64 bytes and then frames, each the
 * clicks of one event-loop turn of one gateway:
 *
 *     segment header    0  8 bytes  "SWYCLICK"
 *                       8  u32      version
 *                      12  u32      size of this header
 *                      16  16 bytes journal id (UUID)
 *                      32  f64      time of creation, ms since 1970
 *                      40  u32      segment number
 *                      44  u32      CRC-32 of bytes 0 to 43
 *
 *     frame header      0  4 bytes  "SWFR"
 *                       4  u32      size of the frame, header included; a multiple of 4
 *                       8  u32      CRC-32 of bytes 12 to the end of the frame
 *                      12  u32      form of the click records (0: one u32 each)
 *                      16  f64      time of the clicks, ms since 1970
 *                      24  u32      bytes of definitions
 *                      28  u32      number of the first link that is defined here
 *                      32  u32      clicks in this segment before this frame
 *                      36  u32      0
 *     definitions      40  one for each link clicked for the first time in this segment
 *     clicks               one record each: the number of the link in this segment
 *
 *     definition        0  u8       1: a link
 *                       1  u8       0
 *                       2  u16      bytes of the short code
 *                       4  u32      bytes of the target
 *                       8  u64      url id
 *                      16  u64      user id, 0 for none
 *                      24  the code, then the target as it was served, in UTF-8; zeros up to a
 *                          multiple of 4
 *
 * A segment explains itself: whatever a click refers to is defined before it in the same file. The
 * counts in a frame's header make a lost frame before it visible: neither is a later click given
 * to the wrong link, nor do the clicks that were lost go unnoticed.
 */
export const FORMAT_VERSION = 1;
export const SEGMENT_HEADER_BYTES = 64;
export const FRAME_HEADER_BYTES = 40;

const SEGMENT_MAGIC = Buffer.from('SWYCLICK', 'latin1');
export const FRAME_MAGIC = Buffer.from('SWFR', 'latin1').readUInt32LE(0);
const DEFINITION_HEADER_BYTES = 24;
const LINK_DEFINITION = 1;

/** No frame is larger: a longer length is damage. */
export const LARGEST_FRAME_BYTES = 64 * 1024 * 1024;

/** A link as a journal knows it; ids are decimal text. */
export interface JournalledLink {
  readonly urlId: string;
  readonly userId: string | null;
  readonly shortCode: string;
  readonly target: string;
}

export interface SegmentHeader {
  readonly journalId: string;
  readonly segment: number;
  readonly createdMs: number;
}

export interface Frame {
  /** Size of the whole frame in bytes. */
  readonly bytes: number;
  readonly timeMs: number;
  readonly firstLink: number;
  readonly firstClick: number;
  readonly links: readonly JournalledLink[];
  /** The numbers of the clicked links. */
  readonly clicks: Uint32Array;
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  SEGMENT_MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(FORMAT_VERSION, 8);
  bytes.writeUInt32LE(SEGMENT_HEADER_BYTES, 12);
  Buffer.from(header.journalId.replaceAll('-', ''), 'hex').copy(bytes, 16);
  bytes.writeDoubleLE(header.createdMs, 32);
  bytes.writeUInt32LE(header.segment, 40);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 44)), 44);
  return bytes;
}

/** @returns the header, or why these bytes are none. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | string {
  if (bytes.length < SEGMENT_HEADER_BYTES) return 'shorter than a segment header';
  if (!bytes.subarray(0, 8).equals(SEGMENT_MAGIC)) return 'not a click journal';
  if (bytes.readUInt32LE(44) !== crc32(bytes.subarray(0, 44))) return 'segment header damaged';
  const version = bytes.readUInt32LE(8);
  if (version !== FORMAT_VERSION) return `format version ${version} is unknown`;
  const hex = bytes.toString('hex', 16, 32);
  return {
    journalId: hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
    createdMs: bytes.readDoubleLE(32),
    segment: bytes.readUInt32LE(40),
  };
}

export function definitionBytes(codeBytes: number, targetBytes: number): number {
  return roundUp(DEFINITION_HEADER_BYTES + codeBytes + targetBytes);
}

/** Writes a definition at `offset` of a buffer with room for it. @returns the offset after it. */
export function encodeDefinition(into: Buffer, offset: number, link: JournalledLink): number {
  const code = into.write(link.shortCode, offset + DEFINITION_HEADER_BYTES, 'utf8');
  const target = into.write(link.target, offset + DEFINITION_HEADER_BYTES + code, 'utf8');
  into.writeUInt8(LINK_DEFINITION, offset);
  into.writeUInt8(0, offset + 1);
  into.writeUInt16LE(code, offset + 2);
  into.writeUInt32LE(target, offset + 4);
  into.writeBigUInt64LE(BigInt(link.urlId), offset + 8);
  into.writeBigUInt64LE(BigInt(link.userId ?? 0), offset + 16);
  const end = offset + DEFINITION_HEADER_BYTES + code + target;
  const padded = offset + roundUp(end - offset);
  into.fill(0, end, padded);
  return padded;
}

export interface FrameHead {
  readonly timeMs: number;
  readonly definitionBytes: number;
  readonly firstLink: number;
  readonly firstClick: number;
}

/** Completes a frame whose definitions and clicks already stand behind the header's place. */
export function sealFrame(frame: Buffer, head: FrameHead): void {
  frame.writeUInt32LE(FRAME_MAGIC, 0);
  frame.writeUInt32LE(frame.length, 4);
  frame.writeUInt32LE(0, 12);
  frame.writeDoubleLE(head.timeMs, 16);
  frame.writeUInt32LE(head.definitionBytes, 24);
  frame.writeUInt32LE(head.firstLink, 28);
  frame.writeUInt32LE(head.firstClick, 32);
  frame.writeUInt32LE(0, 36);
  frame.writeUInt32LE(crc32(frame.subarray(12)), 8);
}

/**
 * Reads the frame that begins at `offset`.
 * @returns the frame; `'incomplete'` when the bytes end before it does; `'damaged'` when it is none.
 */
export function decodeFrame(bytes: Buffer, offset: number): Frame | 'incomplete' | 'damaged' {
  const available = bytes.length - offset;
  if (available < FRAME_HEADER_BYTES)
    return available === 0 || isPrefix(bytes, offset) ? 'incomplete' : 'damaged';
  const size = bytes.readUInt32LE(offset + 4);
  const definitions = bytes.readUInt32LE(offset + 24);
  if (bytes.readUInt32LE(offset) !== FRAME_MAGIC || size % 4 !== 0) return 'damaged';
  if (size < FRAME_HEADER_BYTES + definitions || size > LARGEST_FRAME_BYTES) return 'damaged';
  if (available < size) return 'incomplete';
  const frame = bytes.subarray(offset, offset + size);
  if (frame.readUInt32LE(8) !== crc32(frame.subarray(12))) return 'damaged';
  // A form this version does not know can't be read, however whole it is.
  if (frame.readUInt32LE(12) !== 0) return 'damaged';
  const links = decodeDefinitions(frame, FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + definitions);
  if (links === undefined) return 'damaged';
  const clicks = new Uint32Array((size - FRAME_HEADER_BYTES - definitions) / 4);
  for (let index = 0; index < clicks.length; index += 1) {
    clicks[index] = frame.readUInt32LE(FRAME_HEADER_BYTES + definitions + index * 4);
  }
  return {
    bytes: size,
    timeMs: frame.readDoubleLE(16),
    firstLink: frame.readUInt32LE(28),
    firstClick: frame.readUInt32LE(32),
    links,
    clicks,
  };
}

function decodeDefinitions(frame: Buffer, start: number, end: number): JournalledLink[] | undefined {
  const links: JournalledLink[] = [];
  let offset = start;
  while (offset < end) {
    if (end - offset < DEFINITION_HEADER_BYTES || frame[offset] !== LINK_DEFINITION) return undefined;
    const code = frame.readUInt16LE(offset + 2);
    const target = frame.readUInt32LE(offset + 4);
    const codeStart = offset + DEFINITION_HEADER_BYTES;
    offset += definitionBytes(code, target);
    if (offset > end) return undefined;
    const userId = frame.readBigUInt64LE(codeStart - 8);
    links.push({
      urlId: String(frame.readBigUInt64LE(codeStart - 16)),
      userId: userId === 0n ? null : String(userId),
      shortCode: frame.toString('utf8', codeStart, codeStart + code),
      target: frame.toString('utf8', codeStart + code, codeStart + code + target),
    });
  }
  return links;
}

function isPrefix(bytes: Buffer, offset: number): boolean {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(FRAME_MAGIC, 0);
  const length = Math.min(4, bytes.length - offset);
  return bytes.subarray(offset, offset + length).equals(magic.subarray(0, length));
}

function roundUp(bytes: number): number {
  return (bytes + 3) & ~3;
}

/** The file of a segment within its server's folder. */
export function segmentFile(journalId: string, segment: number): string {
  return `${journalId}.${String(segment).padStart(10, '0')}.clicks`;
}

/** @returns whose segment a file is, or `undefined` for any other file. */
export function parseSegmentFile(file: string): { journalId: string; segment: number } | undefined {
  const match = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(\d{10})\.clicks$/.exec(file);
  if (match === null) return undefined;
  return { journalId: match[1] ?? '', segment: Number(match[2]) };
}
