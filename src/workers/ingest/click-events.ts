import type { JournalledLink } from '../../journal/format.js';
import { type IngestedClick, isVisit, type Visit, visitFacts } from './visit-details.js';

const CHUNK_BYTES = 128 * 1024;

/** The event types of a visit, and of a request that only looks: a link preview, a crawler. */
const CLICK = 'click';
const PREVIEW = 'preview';

/** The epoch of PostgreSQL's timestamps. */
const EPOCH_MS = Date.UTC(2000, 0, 1);
const HIGH_WORD = 2 ** 32;

/** PostgreSQL's binary form of a bigint, from its text. @returns where what follows begins. */
export function writeBigint(into: Buffer, at: number, text: string): number {
  const number = Number(text);
  if (number < 0 || number > Number.MAX_SAFE_INTEGER) return into.writeBigInt64BE(BigInt(text), at);
  const high = Math.floor(number / HIGH_WORD);
  return into.writeUInt32BE(number - high * HIGH_WORD, into.writeUInt32BE(high, at));
}
/** A gateway's clock may be ahead by this much; a later click counts as one of now, by our own clock. */
const CLOCK_SKEW_MS = 300_000;

/** The latest time that a click may have now, ms since 1970. A whole batch uses the same one. */
export function latestTime(): number {
  return Date.now() + CLOCK_SKEW_MS;
}

/**
 * Number of visits whose details are kept ready, some 200 bytes each: with addresses every visit may differ.
 */
const MAX_ENDS = 10_000;

const COLUMNS = 5;
const NULL_LENGTH = -1;

/** Whether a click is a visit, which its link's counter counts. Without details, all are. */
export function isCounted({ visit }: IngestedClick): boolean {
  return visit === undefined || isVisit(visit);
}

/** All of a row but its time and, if the visit has facts, the end of its details. */
interface RowStart {
  readonly bytes: Buffer;
  /** Where its time stands; the length of the details follows. */
  readonly timeAt: number;
  readonly detailsBytes: number;
}

/** The common beginning of one link's rows. */
interface LinkStarts {
  plain: RowStart | undefined;
  click: RowStart | undefined;
  preview: RowStart | undefined;
}

/**
 * The events of clicks as rows of a binary COPY: url_id, user_id, event_type, timestamp, details. The parts
 * that rows share are made once and copied: for a plain click, everything but its time.
 */
export function* copyRows(clicks: readonly IngestedClick[], latestMs = latestTime()): Generator<Buffer> {
  const links = new Map<JournalledLink, LinkStarts>();
  const ends = new Map<Visit, Buffer>();
  let chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  let used = 0;
  for (const { link, visit, timeMs } of clicks) {
    let starts = links.get(link);
    if (starts === undefined) {
      starts = { plain: undefined, click: undefined, preview: undefined };
      links.set(link, starts);
    }
    let start: RowStart;
    let end: Buffer | undefined;
    if (visit === undefined) {
      start = starts.plain ??= rowStart(link, CLICK, '}');
    } else {
      const type = isVisit(visit) ? CLICK : PREVIEW;
      start = starts[type] ??= rowStart(link, type, '');
      end = ends.get(visit);
      if (end === undefined) {
        end = detailsEnd(visit);
        if (ends.size === MAX_ENDS) ends.clear();
        ends.set(visit, end);
      }
    }
    const endBytes = end === undefined ? 0 : end.length;
    const size = start.bytes.length + endBytes;
    if (used + size > chunk.length) {
      if (used > 0) yield chunk.subarray(0, used);
      chunk = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, size));
      used = 0;
    }
    chunk.set(start.bytes, used);
    writeTime(chunk, used + start.timeAt, Math.min(timeMs, latestMs));
    if (end !== undefined) {
      chunk.writeInt32BE(start.detailsBytes + endBytes, used + start.timeAt + 8);
      chunk.set(end, used + start.bytes.length);
    }
    used += size;
  }
  if (used > 0) yield chunk.subarray(0, used);
}

/** A row but for its details: the number of columns, two ids, a type of up to 7 letters, the time, and lengths. */
const MAX_BYTES_BEFORE_DETAILS = 2 + 12 + 12 + 4 + 7 + 12 + 4;

/** Printable ASCII that JSON has as it is. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** @param detailsEnd Closes the details, if nothing follows. */
function rowStart(
  { urlId, userId, shortCode, target }: JournalledLink,
  type: typeof CLICK | typeof PREVIEW,
  detailsEnd: '}' | '',
): RowStart {
  const isPlain = PLAIN.test(target) && PLAIN.test(shortCode);
  const known = isPlain
    ? `{"short_code":"${shortCode}","original_url":"${target}"`
    : JSON.stringify({ short_code: shortCode, original_url: target }).slice(0, -1);
  const details = known + detailsEnd;
  const detailsBytes = isPlain ? details.length : Buffer.byteLength(details);
  const bytes = Buffer.allocUnsafe(MAX_BYTES_BEFORE_DETAILS + detailsBytes);
  let at = bytes.writeInt16BE(COLUMNS);
  at = writeId(bytes, at, urlId);
  at = userId === null ? bytes.writeInt32BE(NULL_LENGTH, at) : writeId(bytes, at, userId);
  at = bytes.writeInt32BE(type.length, at);
  at += bytes.write(type, at, 'latin1');
  at = bytes.writeInt32BE(8, at);
  const timeAt = at;
  at = bytes.writeInt32BE(detailsBytes, timeAt + 8);
  at += bytes.write(details, at, isPlain ? 'latin1' : 'utf8');
  return { bytes: bytes.subarray(0, at), timeAt, detailsBytes };
}

function writeId(into: Buffer, at: number, id: string): number {
  return writeBigint(into, into.writeInt32BE(8, at), id);
}

/** The details that come from the visit, and their closing brace. */
function detailsEnd(visit: Visit): Buffer {
  const facts = JSON.stringify(visitFacts(visit)).slice(1);
  return Buffer.from(facts === '}' ? facts : `,${facts}`);
}

/** A time as PostgreSQL's binary form has it. */
export function writeTime(into: Buffer, at: number, timeMs: number): void {
  const micros = (Math.trunc(timeMs) - EPOCH_MS) * 1000;
  const high = Math.floor(micros / HIGH_WORD);
  into.writeInt32BE(high, at);
  into.writeUInt32BE(micros - high * HIGH_WORD, at + 4);
}
