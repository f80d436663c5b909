import { type JournalledLink, VisitKind } from './format.js';

/**
 * The content of a segment of version 2 after its header: consecutive records, each beginning on a multiple
 * of 8 bytes. All numbers are little-endian.
 *
 *     every record   0  u32      check, of the segment's seed, the record's place in the file and what
 *                                follows the check in the record; never 0
 *                    4  u32      a click: the number of its link in this segment (28 bits)
 *                                any other: 1 in the highest 4 bits, its kind in the next 8, its size in
 *                                units of 8 bytes in the lowest 20
 *
 *     turn (1)       8  f64      time of the clicks that follow, ms since 1970
 *                   16  u32      clicks in this segment before them
 *                   20  u32      0
 *     link (2)       8  u32      its number in this segment, from 0
 *                   12  u32      bytes of the short code
 *                   16  u32      bytes of the target
 *                   20  u32      0
 *                   24  u64      url id
 *                   32  u64      user id, 0 for none
 *                   40  f64      when it was created, ms since 1970
 *                   48           the code, then the target as it was served, in UTF-8
 *     text (3)       8  u32      its number in this segment, from 1
 *                   12  u32      bytes of the text
 *                   16           the text in UTF-8
 *     visit (4)      8  u32      number of the link
 *                   12  u32      0: a click, 1: a preview, 2: a HEAD
 *                   16  4 × u32  numbers of texts, 0 for none: referrer host, user agent, country, address
 *     gap (5)                    nothing; its check covers its first 8 bytes only
 *
 * A record may be longer than this version knows, or of an unknown kind: readers use the size to skip what
 * they don't know. A segment is self-contained: everything that a click refers to is defined before it in the
 * same file. A check proves a single record, whatever happened to the bytes around it; and because it depends
 * on the seed and the place, no bytes of another file or place pass.
 */
export const RecordKind = { TURN: 1, LINK: 2, TEXT: 3, VISIT: 4, GAP: 5 } as const;
export const UNIT_BYTES = 8;
export const UNIT_WORDS = 2;
export const LINK_NUMBER_MASK = 0x0fff_ffff;
/** Of the second word: everything but a click. */
export const OTHER = 0x1000_0000;
export const CLASS_SHIFT = 28;
const KIND_SHIFT = 20;
const SIZE_MASK = 0xf_ffff;

export const TURN_WORDS = 6;
export const VISIT_WORDS = 8;
export const CLICK_WORDS = 2;
const LINK_HEADER_BYTES = 48;
const TEXT_HEADER_BYTES = 16;

/** The second word of a record that is no click. */
export function headOf(kind: number, words: number): number {
  return OTHER | (kind << KIND_SHIFT) | (words / UNIT_WORDS);
}

export function kindOf(head: number): number {
  return (head >>> KIND_SHIFT) & 0xff;
}

/** The size of a record in words, from its second word. */
export function wordsOf(head: number): number {
  return head >>> CLASS_SHIFT === 0 ? CLICK_WORDS : (head & SIZE_MASK) * UNIT_WORDS;
}

/** No record but a gap is larger. */
const MAX_WORDS = 16_384;

/** Whether this can be a record's second word. */
export function isPossible(head: number): boolean {
  if (head >>> CLASS_SHIFT === 0) return true;
  const words = wordsOf(head);
  return (
    head >>> CLASS_SHIFT === 1 &&
    words >= UNIT_WORDS &&
    (words <= MAX_WORDS || kindOf(head) === RecordKind.GAP)
  );
}

/** The check of a click, made for storing one every few nanoseconds. */
export function clickCheck(seed: number, offset: number, head: number): number {
  let hash = Math.imul(seed ^ Math.imul(offset, 0x9e3779b1) ^ head, 0x85ebca6b);
  hash = (hash << 13) | (hash >>> 19);
  hash = Math.imul(hash ^ (hash >>> 16), 0xc2b2ae35);
  return ((hash ^ (hash >>> 13)) | 1) >>> 0;
}

/** @param start The record's index in `words`. @param end Where the part under the check ends. */
export function checkOf(
  seed: number,
  offset: number,
  words: Uint32Array,
  start: number,
  end: number,
): number {
  let hash = seed ^ Math.imul(offset, 0x9e3779b1);
  for (let index = start + 1; index < end; index += 1) {
    hash = Math.imul(hash ^ (words[index] as number), 0x85ebca6b);
    hash = (hash << 13) | (hash >>> 19);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0xc2b2ae35);
  return ((hash ^ (hash >>> 13)) | 1) >>> 0;
}

/** How much of a record its check covers, in words. */
export function checkedWords(head: number): number {
  return head >>> CLASS_SHIFT !== 0 && kindOf(head) === RecordKind.GAP ? UNIT_WORDS : wordsOf(head);
}

function padded(bytes: number): number {
  return Math.ceil(bytes / UNIT_BYTES) * UNIT_BYTES;
}

/** The maximum size of such a link's definition in bytes; a character takes at most 3. */
export function linkBytesAtMost(link: JournalledLink): number {
  return padded(LINK_HEADER_BYTES + (link.shortCode.length + link.target.length) * 3);
}

export function textBytesAtMost(text: string): number {
  return padded(TEXT_HEADER_BYTES + text.length * 3);
}

/** Writes a link's definition without its check. @returns its size in words. */
export function encodeLink(into: Buffer, offset: number, number: number, link: JournalledLink): number {
  const code = into.write(link.shortCode, offset + LINK_HEADER_BYTES, 'utf8');
  const target = into.write(link.target, offset + LINK_HEADER_BYTES + code, 'utf8');
  const size = pad(into, offset, LINK_HEADER_BYTES + code + target);
  into.writeUInt32LE(headOf(RecordKind.LINK, size / 4), offset + 4);
  into.writeUInt32LE(number, offset + 8);
  into.writeUInt32LE(code, offset + 12);
  into.writeUInt32LE(target, offset + 16);
  into.writeUInt32LE(0, offset + 20);
  into.writeBigUInt64LE(BigInt(link.urlId), offset + 24);
  into.writeBigUInt64LE(BigInt(link.userId ?? 0), offset + 32);
  into.writeDoubleLE(link.createdMs ?? 0, offset + 40);
  return size / 4;
}

/** As `encodeLink`, for a text. */
export function encodeText(into: Buffer, offset: number, number: number, text: string): number {
  const bytes = into.write(text, offset + TEXT_HEADER_BYTES, 'utf8');
  const size = pad(into, offset, TEXT_HEADER_BYTES + bytes);
  into.writeUInt32LE(headOf(RecordKind.TEXT, size / 4), offset + 4);
  into.writeUInt32LE(number, offset + 8);
  into.writeUInt32LE(bytes, offset + 12);
  return size / 4;
}

function pad(into: Buffer, offset: number, bytes: number): number {
  const size = padded(bytes);
  into.fill(0, offset + bytes, offset + size);
  return size;
}

/** @returns the number and the link; `undefined` if its lengths contradict each other. */
export function decodeLink(record: Buffer): [number: number, link: JournalledLink] | undefined {
  if (record.length < LINK_HEADER_BYTES) return undefined;
  const code = LINK_HEADER_BYTES + record.readUInt32LE(12);
  const end = code + record.readUInt32LE(16);
  if (end > record.length) return undefined;
  const userId = record.readBigUInt64LE(32);
  const link = {
    urlId: String(record.readBigUInt64LE(24)),
    userId: userId === 0n ? null : String(userId),
    shortCode: record.toString('utf8', LINK_HEADER_BYTES, code),
    target: record.toString('utf8', code, end),
    createdMs: record.readDoubleLE(40),
  };
  return [record.readUInt32LE(8), link];
}

export function decodeText(record: Buffer): [number: number, text: string] | undefined {
  if (record.length < TEXT_HEADER_BYTES) return undefined;
  const end = TEXT_HEADER_BYTES + record.readUInt32LE(12);
  if (end > record.length) return undefined;
  return [record.readUInt32LE(8), record.toString('utf8', TEXT_HEADER_BYTES, end)];
}

export function isVisitKind(value: number): value is VisitKind {
  return value === VisitKind.CLICK || value === VisitKind.PREVIEW || value === VisitKind.HEAD;
}
