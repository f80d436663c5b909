import { crc32 } from 'node:zlib';
import { FIRST_HEADER_BYTES, type JournalledLink } from './format.js';

/**
 * The content of a segment of version 1 after its header: frames, each with the clicks of one event-loop turn
 * of one gateway. Nothing writes this version any more; it is read to its end. All numbers are little-endian.
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
export const FIRST_FRAME = FIRST_HEADER_BYTES;
export const FRAME_HEADER_BYTES = 40;

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
export const MAX_FRAME_BYTES = 64 * 1024 * 1024;

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
  if (size < definitionEnd || size > MAX_FRAME_BYTES) return 'damaged';
  if (available < size) return 'incomplete';
  const frame = bytes.subarray(offset, offset + size);
  if (frame.readUInt32LE(8) !== crc32(frame.subarray(12))) return 'damaged';
  const form = frame.readUInt32LE(12);
  // A whole frame in a form that this version does not know can't be read either.
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
        createdMs: undefined,
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
