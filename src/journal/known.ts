import { type JournalledLink, VisitKind } from './format.js';
import { DETAILED_FORM, type Frame, HEAD_FLAG, LINK_NUMBER_BITS, WORDS_PER_CLICK } from './frames.js';
import {
  CLASS_SHIFT,
  decodeLink,
  decodeText,
  isVisitKind,
  kindOf,
  LINK_NUMBER_MASK,
  RecordKind,
  TURN_WORDS,
  VISIT_WORDS,
  wordsOf,
} from './records.js';

/** The details of a visit, where details are noted; empty for unknown. */
export interface JournalledVisit {
  readonly referrer: string;
  readonly userAgent: string;
  readonly country: string;
  readonly address: string;
  readonly kind: VisitKind;
}

/** A journalled click: which link, when, and how it was visited. */
export interface JournalledClick {
  readonly link: JournalledLink;
  readonly timeMs: number;
  readonly visit: JournalledVisit | undefined;
}

/** A segment has no more texts than this, which lets a part of a number identify each. */
const NUMBERS = 2 ** 17;
/** Number of visits to keep, some 150 bytes each. */
const MAX_VISITS = 10_000;

/** The links and texts of one segment, as far as it was read. */
export class Known {
  readonly segment: number;
  /** How far the segment has been read. */
  offset = 0;
  /** Clicks that were read, or are known to be lost. */
  clicks = 0;
  /** Where the last whole record ended. */
  lastRecord = 0;
  #timeMs: number;
  readonly #links: JournalledLink[] = [];
  readonly #texts: string[] = [''];
  /** Visits with the same facts are one object, which lets others derive things from it only once. */
  readonly #visits = new Map<number, Map<number, JournalledVisit>>();
  #visitsKept = 0;
  readonly #time = new Uint32Array(2);
  readonly #timeValue = new Float64Array(this.#time.buffer);

  constructor(segment: number, createdMs: number) {
    this.segment = segment;
    this.#timeMs = createdMs;
  }

  /** Whether the frame's clicks were read already: the file has the frame twice. */
  hasTaken(frame: Frame): boolean {
    return frame.firstClick < this.clicks;
  }

  /** @returns the number of unreadable clicks: lost in damage before this frame, or of undefined links. */
  takeFrame(frame: Frame, clicks: JournalledClick[]): number {
    const { form, words, timeMs } = frame;
    const stride = WORDS_PER_CLICK[form];
    const count = words.length / stride;
    let unreadable = Math.max(0, frame.firstClick - this.clicks);
    for (const [index, link] of frame.links.entries()) this.#links[frame.firstLink + index] = link;
    for (const [index, text] of frame.texts.entries()) this.#texts[frame.firstText + index] = text;
    for (let start = 0; start < words.length; start += stride) {
      const word = words[start] as number;
      const link = this.#links[word & LINK_NUMBER_MASK];
      if (link === undefined) {
        unreadable += 1;
        continue;
      }
      const isHead = ((word >>> LINK_NUMBER_BITS) & HEAD_FLAG) !== 0;
      const kind = isHead ? VisitKind.HEAD : VisitKind.CLICK;
      const visit = form === DETAILED_FORM ? this.#visit(words, start + 1, kind) : undefined;
      clicks.push({ link, timeMs, visit });
    }
    this.clicks = frame.firstClick + count;
    return unreadable;
  }

  /**
   * Processes a whole record. Skips kinds that this version does not know.
   * @returns the number of clicks found to be unreadable.
   */
  takeRecord(words: Uint32Array, at: number, bytes: () => Buffer, clicks: JournalledClick[]): number {
    const head = words[at + 1] as number;
    if (head >>> CLASS_SHIFT === 0) {
      this.clicks += 1;
      const link = this.#links[head];
      if (link === undefined) return 1;
      clicks.push({ link, timeMs: this.#timeMs, visit: undefined });
      return 0;
    }
    switch (kindOf(head)) {
      case RecordKind.TURN:
        return wordsOf(head) < TURN_WORDS ? 0 : this.#turn(words, at);
      case RecordKind.LINK: {
        const [number, link] = decodeLink(bytes()) ?? [];
        if (number !== undefined && link !== undefined) this.#links[number] = link;
        return 0;
      }
      case RecordKind.TEXT: {
        const [number, text] = decodeText(bytes()) ?? [];
        if (number !== undefined && text !== undefined) this.#texts[number] = text;
        return 0;
      }
      case RecordKind.VISIT: {
        if (wordsOf(head) < VISIT_WORDS) return 0;
        this.clicks += 1;
        const link = this.#links[words[at + 2] as number];
        if (link === undefined) return 1;
        const kind = words[at + 3] as number;
        const visit = this.#visit(words, at + 4, isVisitKind(kind) ? kind : VisitKind.CLICK);
        clicks.push({ link, timeMs: this.#timeMs, visit });
        return 0;
      }
      default:
        return 0;
    }
  }

  #turn(words: Uint32Array, at: number): number {
    this.#time[0] = words[at + 2] as number;
    this.#time[1] = words[at + 3] as number;
    this.#timeMs = this.#timeValue[0] as number;
    const lost = Math.max(0, (words[at + 4] as number) - this.clicks);
    this.clicks += lost;
    return lost;
  }

  #visit(words: Uint32Array, at: number, kind: VisitKind): JournalledVisit {
    const one = words[at] ?? 0;
    const two = words[at + 1] ?? 0;
    const three = words[at + 2] ?? 0;
    const four = words[at + 3] ?? 0;
    const isKeepable = one < NUMBERS && two < NUMBERS && three < NUMBERS && four < NUMBERS;
    if (!isKeepable) return this.#newVisit(one, two, three, four, kind);
    const key = (one * NUMBERS + two) * NUMBERS + three;
    const rest = four * 4 + kind;
    const known = this.#visits.get(key)?.get(rest);
    if (known !== undefined) return known;
    const visit = this.#newVisit(one, two, three, four, kind);
    if (this.#visitsKept === MAX_VISITS) {
      this.#visits.clear();
      this.#visitsKept = 0;
    }
    const alike = this.#visits.get(key) ?? new Map<number, JournalledVisit>();
    alike.set(rest, visit);
    this.#visits.set(key, alike);
    this.#visitsKept += 1;
    return visit;
  }

  #newVisit(one: number, two: number, three: number, four: number, kind: VisitKind): JournalledVisit {
    const texts = this.#texts;
    return {
      referrer: texts[one] ?? '',
      userAgent: texts[two] ?? '',
      country: texts[three] ?? '',
      address: texts[four] ?? '',
      kind,
    };
  }
}
