import {
  type ClickForm,
  DETAILED_FORM,
  encodeLink,
  encodeText,
  FRAME_HEADER_BYTES,
  HEAD_FLAG,
  type JournalledLink,
  LINK_NUMBER_BITS,
  linkBytesAtMost,
  sealFrame,
  textBytesAtMost,
  WORDS_PER_CLICK,
} from './format.js';

/** What a request tells of a visit beside the link; empty for unknown. */
export interface Visit {
  readonly referrer: string;
  readonly userAgent: string;
  readonly country: string;
  readonly address: string;
  readonly isHead: boolean;
}

/** A link that can remember its number in a segment of the journal; segment 0 for none. */
export interface NumberedLink extends JournalledLink {
  readonly journalSegment: number;
  readonly journalRef: number;
  setJournalRef(segment: number, ref: number): void;
}

/** Clicks of one turn; a turn with more makes more frames. */
const CLICKS_PER_FRAME = 16_384;
const FIRST_DEFINITION_BYTES = 64 * 1024;

/**
 * The clicks of the current turn, and the numbers that links and texts have in the current segment. A
 * link carries its number with the segment's, so that looking it up costs nothing.
 */
export class JournalFrame {
  readonly #form: ClickForm;
  readonly #words: Uint32Array;
  /** The same memory. */
  readonly #wordBytes: Buffer;
  #wordCount = 0;
  #definitions = Buffer.allocUnsafe(FIRST_DEFINITION_BYTES);
  #definitionBytes = 0;
  #timeMs = 0;

  #segment = 0;
  #linkCount = 0;
  #firstLink = 0;
  #segmentClicks = 0;
  #texts = new Map<string, number>();
  #firstText = 1;

  constructor(form: ClickForm) {
    this.#form = form;
    this.#words = new Uint32Array(CLICKS_PER_FRAME * WORDS_PER_CLICK[form]);
    this.#wordBytes = Buffer.from(this.#words.buffer);
  }

  /** Texts that the current segment knows; each is kept in memory until the segment ends. */
  get textCount(): number {
    return this.#texts.size;
  }

  get clickCount(): number {
    return this.#wordCount / WORDS_PER_CLICK[this.#form];
  }

  get isFull(): boolean {
    return this.#wordCount === this.#words.length;
  }

  /** Time of the turn's clicks, ms since 1970. */
  get timeMs(): number {
    return this.#timeMs;
  }

  /** From now on links and texts are numbered for another segment. The frame must be empty. */
  startSegment(segment: number): void {
    this.#segment = segment;
    this.#linkCount = 0;
    this.#firstLink = 0;
    this.#segmentClicks = 0;
    this.#texts = new Map();
    this.#firstText = 1;
  }

  /** Notes a click in the plain form. There must be room: see `isFull`. */
  add(link: NumberedLink): void {
    if (this.#wordCount === 0) this.#timeMs = Date.now();
    if (link.journalSegment !== this.#segment) this.#define(link);
    this.#words[this.#wordCount] = link.journalRef;
    this.#wordCount += 1;
  }

  /** Notes a click in the detailed form. */
  addVisit(link: NumberedLink, visit: Visit): void {
    if (this.#wordCount === 0) this.#timeMs = Date.now();
    if (link.journalSegment !== this.#segment) this.#define(link);
    const flags = visit.isHead ? HEAD_FLAG : 0;
    const words = this.#words;
    const start = this.#wordCount;
    words[start] = (link.journalRef | (flags << LINK_NUMBER_BITS)) >>> 0;
    words[start + 1] = this.#numberOf(visit.referrer);
    words[start + 2] = this.#numberOf(visit.userAgent);
    words[start + 3] = this.#numberOf(visit.country);
    words[start + 4] = this.#numberOf(visit.address);
    this.#wordCount = start + WORDS_PER_CLICK[DETAILED_FORM];
  }

  /** The turn's clicks as a frame; afterwards there are none. */
  seal(): Buffer {
    const clicksStart = FRAME_HEADER_BYTES + this.#definitionBytes;
    const frame = Buffer.allocUnsafe(clicksStart + this.#wordCount * 4);
    this.#definitions.copy(frame, FRAME_HEADER_BYTES, 0, this.#definitionBytes);
    this.#wordBytes.copy(frame, clicksStart, 0, this.#wordCount * 4);
    sealFrame(frame, {
      form: this.#form,
      timeMs: this.#timeMs,
      definitionBytes: this.#definitionBytes,
      firstLink: this.#firstLink,
      firstText: this.#firstText,
      firstClick: this.#segmentClicks,
    });
    this.#segmentClicks += this.clickCount;
    this.#firstLink = this.#linkCount;
    this.#firstText = this.#texts.size + 1;
    this.#definitionBytes = 0;
    this.#wordCount = 0;
    return frame;
  }

  #define(link: NumberedLink): void {
    this.#makeRoom(linkBytesAtMost(link));
    this.#definitionBytes = encodeLink(this.#definitions, this.#definitionBytes, link);
    link.setJournalRef(this.#segment, this.#linkCount);
    this.#linkCount += 1;
  }

  /** The text's number in this segment, from 1; 0 for none. */
  #numberOf(text: string): number {
    if (text === '') return 0;
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    this.#makeRoom(textBytesAtMost(text));
    this.#definitionBytes = encodeText(this.#definitions, this.#definitionBytes, text);
    const number = this.#texts.size + 1;
    this.#texts.set(text, number);
    return number;
  }

  #makeRoom(needed: number): void {
    if (this.#definitions.length - this.#definitionBytes >= needed) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#definitions.length * 2, this.#definitionBytes + needed));
    this.#definitions.copy(larger, 0, 0, this.#definitionBytes);
    this.#definitions = larger;
  }
}
