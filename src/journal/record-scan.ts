import { readAt } from './file-bytes.js';
import { CLICK_WORDS, checkedWords, checkOf, isPossible, UNIT_BYTES, wordsOf } from './records.js';

/**
 * A stretch of a segment's file. Before `trusted` every byte belongs to a record; beyond, other bytes don't
 * count.
 */
export interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly trusted: number;
}

export interface RecordSink {
  /**
   * A whole record.
   * @param words In which it begins at `at`. @param bytes The same memory, from the record's beginning to its end.
   * @param end Where it ends in the file.
   * @returns whether to continue.
   */
  readonly onRecord: (words: Uint32Array, at: number, bytes: () => Buffer, end: number) => boolean;
  /** Bytes that are no record. */
  readonly onDamage: (offset: number, bytes: number) => void;
}

const WINDOW_BYTES = 1024 * 1024;

/** @returns where it stopped: the end, or behind the last requested record. */
export function scanRecords(descriptor: number, seed: number, stretch: Stretch, sink: RecordSink): number {
  const { start, end } = stretch;
  const run = new BadRun(stretch.trusted, sink);
  let offset = start;
  let wanted = WINDOW_BYTES;
  while (offset < end) {
    const window = readAt(descriptor, offset, Math.min(wanted, end - offset));
    const whole = window.length - (window.length % UNIT_BYTES);
    const words = new Uint32Array(window.buffer, 0, whole / 4);
    const isLast = offset + window.length >= end || window.length < wanted;
    let at = 0;
    while (at < words.length) {
      const head = words[at + 1] as number;
      const size = wordsOf(head);
      const canBe = isPossible(head);
      const fits = at + size <= words.length;
      // Read more if a record seems to go beyond the window; beyond the end there is no more.
      if (canBe && !fits && !isLast) break;
      const place = offset + at * 4;
      const check = words[at] as number;
      const isRecord =
        check !== 0 && canBe && fits && check === checkOf(seed, place, words, at, at + checkedWords(head));
      if (!isRecord) {
        run.add(place, check !== 0 || head !== 0);
        at += CLICK_WORDS;
        continue;
      }
      run.end(place);
      const record = at;
      const recordEnd = place + size * 4;
      const bytes = (): Buffer => window.subarray(record * 4, (record + size) * 4);
      if (!sink.onRecord(words, record, bytes, recordEnd)) return recordEnd;
      at += size;
    }
    if (isLast) {
      const rest = offset + window.length;
      if (rest > offset + at * 4) run.add(offset + at * 4, true);
      run.end(rest);
      return Math.max(rest, end);
    }
    wanted = at === 0 ? wanted * 2 : WINDOW_BYTES;
    offset += at * 4;
  }
  run.end(end);
  return Math.max(offset, end);
}

/** A run of bytes that are no record. Zeros beyond the trusted part never were records. */
class BadRun {
  readonly #trusted: number;
  readonly #sink: RecordSink;
  #start = -1;
  #firstNonZero = -1;
  #lastNonZero = -1;

  constructor(trusted: number, sink: RecordSink) {
    this.#trusted = trusted;
    this.#sink = sink;
  }

  add(place: number, isNonZero: boolean): void {
    if (this.#start === -1) this.#start = place;
    if (!isNonZero) return;
    if (this.#firstNonZero === -1) this.#firstNonZero = place;
    this.#lastNonZero = place;
  }

  end(place: number): void {
    if (this.#start === -1) return;
    const isTrusted = this.#start < this.#trusted;
    const from = isTrusted ? this.#start : this.#firstNonZero;
    const nonZeroEnd = this.#lastNonZero === -1 ? 0 : Math.min(place, this.#lastNonZero + UNIT_BYTES);
    const until = Math.max(nonZeroEnd, isTrusted ? Math.min(place, this.#trusted) : 0);
    if (from !== -1 && until > from) this.#sink.onDamage(from, until - from);
    this.#start = -1;
    this.#firstNonZero = -1;
    this.#lastNonZero = -1;
  }
}
