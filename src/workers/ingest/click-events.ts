import type { JournalledLink } from '../../journal/format.js';
import type { JournalledClick, JournalledVisit } from '../../journal/known.js';
import { sortByLink } from './click-order.js';
import { isVisit, visitFacts } from './visit-details.js';

const CHUNK_BYTES = 128 * 1024;

/** The event of a visit, and of a request that only looked: a HEAD, a link preview, a crawler. */
const CLICK = 'click';
const PREVIEW = 'preview';

/** What PostgreSQL counts the microseconds of a timestamp from. */
const EPOCH_MS = Date.UTC(2000, 0, 1);
const HIGH_WORD = 2 ** 32;
/** A gateway's clock may be wrong by so much; a click of later than that is one of now, by our own. */
const CLOCK_SKEW_MS = 300_000;

/** Visits whose details are kept ready, some 200 bytes each: with addresses every visit may be another. */
const MOST_ENDS = 10_000;

const COLUMNS = 5;
const NULL_LENGTH = -1;

/** Whether a click is a visit, which its link's counter counts. Where visits are not noted, all are. */
export function isCounted({ visit }: JournalledClick): boolean {
  return visit === undefined || isVisit(visit);
}

/** All of a row but its time and, where there are facts of the visit, the end of its details. */
interface RowStart {
  readonly bytes: Buffer;
  /** Where its time stands; the length of the details follows. */
  readonly timeAt: number;
  readonly detailsBytes: number;
}

/**
 * The events of clicks as rows of a binary COPY: url_id, user_id, event_type, timestamp, details. Those of a link
 * come one after the other, in the order of their times, so that neighbours in the database's indexes are stored
 * together. What rows have in common is made once and copied: of a plain click all but its time is.
 */
export function* copyRows(clicks: readonly JournalledClick[]): Generator<Buffer> {
  const latestMs = Date.now() + CLOCK_SKEW_MS;
  const ends = new Map<JournalledVisit, Buffer>();
  let link: JournalledLink | undefined;
  let starts: Partial<Record<'plain' | typeof CLICK | typeof PREVIEW, RowStart>> = {};
  let chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  let used = 0;
  for (const click of sortByLink(clicks)) {
    if (click.link !== link) {
      link = click.link;
      starts = {};
    }
    const { visit } = click;
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
        if (ends.size === MOST_ENDS) ends.clear();
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
    writeTime(chunk, used + start.timeAt, Math.min(click.timeMs, latestMs));
    if (end !== undefined) {
      chunk.writeInt32BE(start.detailsBytes + endBytes, used + start.timeAt + 8);
      chunk.set(end, used + start.bytes.length);
    }
    used += size;
  }
  if (used > 0) yield chunk.subarray(0, used);
}

/** @param detailsEnd What closes the details, if nothing follows. */
function rowStart(link: JournalledLink, type: string, detailsEnd: '}' | ''): RowStart {
  const known = JSON.stringify({ short_code: link.shortCode, original_url: link.target });
  const details = Buffer.from(known.slice(0, -1) + detailsEnd);
  const columns = Buffer.alloc(2);
  columns.writeInt16BE(COLUMNS);
  const beforeTime = Buffer.concat([
    columns,
    idField(link.urlId),
    link.userId === null ? lengthOf(NULL_LENGTH) : idField(link.userId),
    lengthOf(type.length),
    Buffer.from(type),
    lengthOf(8),
  ]);
  return {
    bytes: Buffer.concat([beforeTime, Buffer.alloc(8), lengthOf(details.length), details]),
    timeAt: beforeTime.length,
    detailsBytes: details.length,
  };
}

function idField(id: string): Buffer {
  const field = Buffer.alloc(12);
  field.writeInt32BE(8);
  field.writeBigInt64BE(BigInt(id), 4);
  return field;
}

function lengthOf(bytes: number): Buffer {
  const field = Buffer.alloc(4);
  field.writeInt32BE(bytes);
  return field;
}

/** The details that come from the visit, and their closing brace. */
function detailsEnd(visit: JournalledVisit): Buffer {
  const facts = JSON.stringify(visitFacts(visit)).slice(1);
  return Buffer.from(facts === '}' ? facts : `,${facts}`);
}

function writeTime(into: Buffer, at: number, timeMs: number): void {
  const micros = (Math.trunc(timeMs) - EPOCH_MS) * 1000;
  const high = Math.floor(micros / HIGH_WORD);
  into.writeInt32BE(high, at);
  into.writeUInt32BE(micros - high * HIGH_WORD, at + 4);
}
