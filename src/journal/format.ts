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
 *                      12  u32      form of the click records, 0 or 1
 *                      16  f64      time of the clicks, ms since 1970
 *                      24  u32      bytes of definitions
 *                      28  u32      number of the first link that is defined here
 *                      32  u32      clicks in this segment before this frame
 *                      36  u32      number of the first text that is defined here
 *     definitions      40  one for each link and text that comes for the first time in this segment
 *     clicks               one record each
 *
 *     click, form 0     0  u32      number of the link in this segment, from 0
 *     click, form 1     0  u32      the same in the low 28 bits; flags in the high 4 (1: a HEAD)
 *                       4  4 × u32  numbers of texts in this segment, from 1; 0 for none:
 *                                   referrer host, user agent, country, address
 *
 *     link              0  u8       1
 *                       1  u8       0
 *                       2  u16      bytes of the short code
 *                       4  u32      bytes of the target
 *                       8  u64      url id
 *                      16  u64      user id, 0 for none
 *                      24  the code, then the target as it was served, in UTF-8; zeros up to a
 *                          multiple of 4
 *
 *     text              0  u8       2
 *                       1  3 × u8   0
 *                       4  u32      bytes of the text
 *                       8  the text in UTF-8; zeros up to a multiple of 4
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
const LINK_HEADER_BYTES = 24;
const TEXT_HEADER_BYTES = 8;
const LINK_KIND = 1;
const TEXT_KIND = 2;

/** The two forms of click records: only the link, or with the facts of a visit. */
export const PLAIN_FORM = 0;
export const DETAILED_FORM = 1;
export type ClickForm = typeof PLAIN_FORM | typeof DETAILED_FORM;

/** u32 words of a click record, by form. */
export const WORDS_PER_CLICK = [1, 5] as const;
export const LINK_NUMBER_BITS = 28;
export const LINK_NUMBER_MASK = 2 ** LINK_NUMBER_BITS - 1;
export const HEAD_FLAG = 1;

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
  readonly form: ClickForm;
  readonly timeMs: number;
  readonly firstLink: number;
  readonly firstText: number;
  readonly firstClick: number;
  readonly links: readonly JournalledLink[];
  readonly texts: readonly string[];
  /** The click records, `WORDS_PER_CLICK[form]` words each. */
  readonly words: Uint32Array;
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

/** The most bytes that the definition of such a link takes; a character takes 3 at most. */
export function linkBytesAtMost(link: JournalledLink): number {
  return roundUp(LINK_HEADER_BYTES + (link.shortCode.length + link.target.length) * 3);
}

export function textBytesAtMost(text: string): number {
  return roundUp(TEXT_HEADER_BYTES + text.length * 3);
}

/** Writes a link's definition at `offset` of a buffer with room for it. @returns the offset after it. */
export function encodeLink(into: Buffer, offset: number, link: JournalledLink): number {
  const code = into.write(link.shortCode, offset + LINK_HEADER_BYTES, 'utf8');
  const target = into.write(link.target, offset + LINK_HEADER_BYTES + code, 'utf8');
  into.writeUInt16LE(LINK_KIND, offset);
  into.writeUInt16LE(code, offset + 2);
  into.writeUInt32LE(target, offset + 4);
  into.writeBigUInt64LE(BigInt(link.urlId), offset + 8);
  into.writeBigUInt64LE(BigInt(link.userId ?? 0), offset + 16);
  return pad(into, offset + LINK_HEADER_BYTES + code + target);
}

/** As `encodeLink`, for a text. */
export function encodeText(into: Buffer, offset: number, text: string): number {
  const bytes = into.write(text, offset + TEXT_HEADER_BYTES, 'utf8');
  into.writeUInt32LE(TEXT_KIND, offset);
  into.writeUInt32LE(bytes, offset + 4);
  return pad(into, offset + TEXT_HEADER_BYTES + bytes);
}

/** Definitions begin on multiples of 4. */
function pad(into: Buffer, end: number): number {
  const padded = roundUp(end);
  into.fill(0, end, padded);
  return padded;
}

export interface FrameHead {
  readonly form: ClickForm;
  readonly timeMs: number;
  readonly definitionBytes: number;
  readonly firstLink: number;
  readonly firstText: number;
  readonly firstClick: number;
}

/** Completes a frame whose definitions and clicks already stand behind the header's place. */
export function sealFrame(frame: Buffer, head: FrameHead): void {
  frame.writeUInt32LE(FRAME_MAGIC, 0);
  frame.writeUInt32LE(frame.length, 4);
  frame.writeUInt32LE(head.form, 12);
  frame.writeDoubleLE(head.timeMs, 16);
  frame.writeUInt32LE(head.definitionBytes, 24);
  frame.writeUInt32LE(head.firstLink, 28);
  frame.writeUInt32LE(head.firstClick, 32);
  frame.writeUInt32LE(head.firstText, 36);
  frame.writeUInt32LE(crc32(frame.subarray(12)), 8);
}

/**
 * Reads the frame that begins at `offset`.
 * @returns the frame; `'incomplete'` when the bytes end before it does; `'damaged'` when it is none.
 */
export function decodeFrame(bytes: Buffer, offset: number): Frame | 'incomplete' | 'damaged' {
  const available = bytes.length - offset;
  if (available < FRAME_HEADER_BYTES) return isPrefix(bytes, offset) ? 'incomplete' : 'damaged';
  const size = bytes.readUInt32LE(offset + 4);
  const definitionEnd = FRAME_HEADER_BYTES + bytes.readUInt32LE(offset + 24);
  if (bytes.readUInt32LE(offset) !== FRAME_MAGIC || size % 4 !== 0) return 'damaged';
  if (size < definitionEnd || size > LARGEST_FRAME_BYTES) return 'damaged';
  if (available < size) return 'incomplete';
  const frame = bytes.subarray(offset, offset + size);
  if (frame.readUInt32LE(8) !== crc32(frame.subarray(12))) return 'damaged';
  const form = frame.readUInt32LE(12);
  // A form that this version does not know can't be read, however whole it is.
  if (form !== PLAIN_FORM && form !== DETAILED_FORM) return 'damaged';
  const definitions = decodeDefinitions(frame, FRAME_HEADER_BYTES, definitionEnd);
  const wordCount = (size - definitionEnd) / 4;
  if (definitions === undefined || wordCount % WORDS_PER_CLICK[form] !== 0) return 'damaged';
  const words = new Uint32Array(wordCount);
  for (let index = 0; index < wordCount; index += 1)
    words[index] = frame.readUInt32LE(definitionEnd + index * 4);
  return {
    bytes: size,
    form,
    timeMs: frame.readDoubleLE(16),
    firstLink: frame.readUInt32LE(28),
    firstText: frame.readUInt32LE(36),
    firstClick: frame.readUInt32LE(32),
    ...definitions,
    words,
  };
}

function decodeDefinitions(
  frame: Buffer,
  start: number,
  end: number,
): { links: JournalledLink[]; texts: string[] } | undefined {
  const links: JournalledLink[] = [];
  const texts: string[] = [];
  for (let offset = start; offset < end; ) {
    const kind = frame[offset];
    const header = kind === LINK_KIND ? LINK_HEADER_BYTES : TEXT_HEADER_BYTES;
    if ((kind !== LINK_KIND && kind !== TEXT_KIND) || end - offset < header) return undefined;
    const code = kind === LINK_KIND ? frame.readUInt16LE(offset + 2) : 0;
    const text = offset + header + code;
    const textEnd = text + frame.readUInt32LE(offset + 4);
    if (textEnd > end) return undefined;
    if (kind === LINK_KIND) {
      const userId = frame.readBigUInt64LE(offset + 16);
      links.push({
        urlId: String(frame.readBigUInt64LE(offset + 8)),
        userId: userId === 0n ? null : String(userId),
        shortCode: frame.toString('utf8', offset + header, text),
        target: frame.toString('utf8', text, textEnd),
      });
    } else {
      texts.push(frame.toString('utf8', text, textEnd));
    }
    offset = roundUp(textEnd);
  }
  return { links, texts };
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
