import { type JournalledLink, MAPPED_HEADER_BYTES, PAGE_BYTES, type VisitKind } from './format.js';
import {
  CLICK_WORDS,
  checkOf,
  clickCheck,
  encodeLink,
  encodeText,
  headOf,
  linkBytesAtMost,
  RecordKind,
  TURN_WORDS,
  textBytesAtMost,
  UNIT_WORDS,
  VISIT_WORDS,
} from './records.js';

/** What a request says of a visit beside the link; empty for unknown. */
export interface Visit {
  readonly referrer: string;
  readonly userAgent: string;
  readonly country: string;
  readonly address: string;
  readonly kind: VisitKind;
}

/** A link that can remember its number in a segment of the journal; segment 0 for none. */
export interface NumberedLink extends JournalledLink {
  readonly createdMs: number;
  readonly journalSegment: number;
  readonly journalRef: number;
  setJournalRef(segment: number, ref: number): void;
}

/** Where a segment's records are stored. */
export interface RecordMemory {
  readonly segment: number;
  readonly seed: number;
  /** All of it; records begin on multiples of 8 bytes. */
  readonly bytes: Buffer;
  readonly words: Uint32Array;
  /** Where the first record goes in it, and where that is in the segment's file. */
  readonly start: number;
  readonly fileOffset: number;
  /** Two words: where the records end in the file, and how many clicks there are, stored after each click. */
  readonly cells: Uint32Array;
}

/**
 * Stores records into memory: that of a mapped segment, where they are as safe as in the file, or a buffer
 * that is to be written. A link carries its number with the segment's, which makes looking it up free.
 *
 * The bytes of a record come first and the end of all records after them, in one aligned store: whenever
 * the process is killed, what lies before the end is whole.
 */
export class Recorder {
  #memory: RecordMemory;
  #words: Uint32Array;
  #cells: Uint32Array;
  #seed: number;
  #segment: number;
  /** Index in `#words` of the next record. */
  #at: number;
  /** Bytes from an index's place in memory to its place in the file. */
  #shift: number;
  #isTurnOpen = false;
  #timeMs = 0;
  #links = 0;
  #clicks = 0;
  #texts = new Map<string, number>();
  readonly #time = new Float64Array(1);
  readonly #timeWords = new Uint32Array(this.#time.buffer);

  constructor(memory: RecordMemory) {
    this.#memory = memory;
    this.#words = memory.words;
    this.#cells = memory.cells;
    this.#seed = memory.seed;
    this.#segment = memory.segment;
    this.#at = memory.start / 4;
    this.#shift = memory.fileOffset - memory.start;
    this.startSegment(memory);
  }

  /** From now on records go to another segment, whose links and texts are numbered anew. */
  startSegment(memory: RecordMemory): void {
    this.#memory = memory;
    this.#words = memory.words;
    this.#cells = memory.cells;
    this.#seed = memory.seed;
    this.#segment = memory.segment;
    this.#at = memory.start / 4;
    this.#shift = memory.fileOffset - memory.start;
    this.#links = 0;
    this.#clicks = 0;
    this.#isTurnOpen = false;
    if (this.#texts.size > 0) this.#texts = new Map();
  }

  /** Where the records end in the segment's file. */
  get end(): number {
    return this.#at * 4 + this.#shift;
  }

  /** Clicks in the segment. */
  get clicks(): number {
    return this.#clicks;
  }

  /** Texts that the segment knows; each is kept in memory until the segment ends. */
  get textCount(): number {
    return this.#texts.size;
  }

  /** Time of the turn's clicks, ms since 1970. */
  get timeMs(): number {
    return this.#timeMs;
  }

  /** The next click is of another turn, and begins it. */
  endTurn(): void {
    this.#isTurnOpen = false;
  }

  /** Stores a click. @returns whether there was room for it; if not, nothing is stored. */
  add(link: NumberedLink): boolean {
    if (
      !this.#isTurnOpen ||
      link.journalSegment !== this.#segment ||
      this.#at + CLICK_WORDS > this.#words.length
    ) {
      if (!this.#begin(link, CLICK_WORDS * 4)) return false;
    }
    const at = this.#at;
    const head = link.journalRef;
    const words = this.#words;
    words[at + 1] = head;
    words[at] = clickCheck(this.#seed, at * 4 + this.#shift, head);
    this.#at = at + CLICK_WORDS;
    this.#publishClick();
    return true;
  }

  /** As `add`, with what was noted of the visit. */
  addVisit(link: NumberedLink, visit: Visit): boolean {
    const { referrer, userAgent, country, address, kind } = visit;
    const textBytes =
      this.#newBytes(referrer) +
      this.#newBytes(userAgent) +
      this.#newBytes(country) +
      this.#newBytes(address);
    if (!this.#begin(link, VISIT_WORDS * 4 + textBytes)) return false;
    // What is new is stored before the visit.
    const referrerNumber = this.#numberOf(referrer);
    const agentNumber = this.#numberOf(userAgent);
    const countryNumber = this.#numberOf(country);
    const addressNumber = this.#numberOf(address);
    const at = this.#at;
    const words = this.#words;
    words[at + 1] = headOf(RecordKind.VISIT, VISIT_WORDS);
    words[at + 2] = link.journalRef;
    words[at + 3] = kind;
    words[at + 4] = referrerNumber;
    words[at + 5] = agentNumber;
    words[at + 6] = countryNumber;
    words[at + 7] = addressNumber;
    this.#seal(VISIT_WORDS);
    this.#publishClick();
    return true;
  }

  /**
   * Goes on at the next page: what has been stored is on pages that are not written to any more, and once
   * they are synced nothing that happens to later ones can harm them.
   */
  skipToPage(): void {
    const bytes = (PAGE_BYTES - (this.end % PAGE_BYTES)) % PAGE_BYTES;
    const words = Math.min(bytes / 4, this.#words.length - this.#at);
    if (words === 0) return;
    this.#words[this.#at + 1] = headOf(RecordKind.GAP, words);
    this.#words[this.#at] = checkOf(this.#seed, this.end, this.#words, this.#at, this.#at + UNIT_WORDS);
    this.#at += words;
    this.#cells[0] = this.end;
  }

  /** What was stored since it was taken last; for memory that is to be written. It is good until the next click. */
  takeBytes(): Buffer {
    const taken = this.#memory.bytes.subarray(this.#memory.start, this.#at * 4);
    this.#shift += this.#at * 4 - this.#memory.start;
    this.#at = this.#memory.start / 4;
    this.#isTurnOpen = false;
    return taken;
  }

  #publishClick(): void {
    this.#clicks += 1;
    this.#cells[1] = this.#clicks;
    this.#cells[0] = this.#at * 4 + this.#shift;
  }

  /** Stores what has to stand before a click on a link. @returns whether there is room for all of it. */
  #begin(link: NumberedLink, clickBytes: number): boolean {
    const isNew = link.journalSegment !== this.#segment;
    const needed = clickBytes + (this.#isTurnOpen ? 0 : TURN_WORDS * 4) + (isNew ? linkBytesAtMost(link) : 0);
    if (this.#at * 4 + needed > this.#words.length * 4) return false;
    if (!this.#isTurnOpen) this.#beginTurn();
    if (!isNew) return true;
    const words = encodeLink(this.#memory.bytes, this.#at * 4, this.#links, link);
    this.#seal(words);
    link.setJournalRef(this.#segment, this.#links);
    this.#links += 1;
    return true;
  }

  #beginTurn(): void {
    this.#timeMs = Date.now();
    this.#time[0] = this.#timeMs;
    const at = this.#at;
    const words = this.#words;
    words[at + 1] = headOf(RecordKind.TURN, TURN_WORDS);
    words[at + 2] = this.#timeWords[0] as number;
    words[at + 3] = this.#timeWords[1] as number;
    words[at + 4] = this.#clicks;
    words[at + 5] = 0;
    this.#seal(TURN_WORDS);
    this.#isTurnOpen = true;
  }

  /** Bytes that a text may take which the segment does not know. */
  #newBytes(text: string): number {
    return text === '' || this.#texts.has(text) ? 0 : textBytesAtMost(text);
  }

  /** The text's number in this segment, from 1; 0 for none. */
  #numberOf(text: string): number {
    if (text === '') return 0;
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    const number = this.#texts.size + 1;
    this.#seal(encodeText(this.#memory.bytes, this.#at * 4, number, text));
    this.#texts.set(text, number);
    return number;
  }

  #seal(size: number): void {
    const at = this.#at;
    this.#words[at] = checkOf(this.#seed, at * 4 + this.#shift, this.#words, at, at + size);
    this.#at = at + size;
  }
}

/** Memory for records that are to be written; it has room for any one click with all that stands before it. */
const BUFFER_BYTES = 256 * 1024;

/** A buffer's own memory, to be used again for every segment that is written. */
export class RecordBuffer {
  readonly #bytes = Buffer.from(new ArrayBuffer(BUFFER_BYTES));
  readonly #words = new Uint32Array(this.#bytes.buffer);
  readonly #cells = new Uint32Array(2);

  memory(segment: number, seed: number, fileOffset: number): RecordMemory {
    return {
      segment,
      seed,
      bytes: this.#bytes,
      words: this.#words,
      start: 0,
      fileOffset,
      cells: this.#cells,
    };
  }
}

/** The memory of a mapped segment. */
export function mappedMemory(segment: number, seed: number, mapping: ArrayBuffer): RecordMemory {
  return {
    segment,
    seed,
    bytes: Buffer.from(mapping),
    words: new Uint32Array(mapping),
    start: MAPPED_HEADER_BYTES,
    fileOffset: MAPPED_HEADER_BYTES,
    cells: new Uint32Array(mapping, PAGE_BYTES, 2),
  };
}
