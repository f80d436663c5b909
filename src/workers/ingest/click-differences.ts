import type { JournalledLink } from '../../journal/format.js';
import { latestTime, writeBigint, writeTime } from './click-events.js';
import { type IngestedClick, isVisit, type Visit, visitFacts } from './visit-details.js';

const MINUTE_MS = 60_000;

/** Facts of a visit as the statistics have them: country, referrer, browser, os and device; null where unknown. */
type Facts = readonly (string | null)[];
const FACTS = 5;

/** Only the beginning of a longer value counts, in characters, as in `stats_fact`. */
const FACT_CHARACTERS = 255;

/** How `JSON.stringify` writes what PostgreSQL's text can't hold: NUL, and half of a surrogate pair. */
const ODD_ESCAPE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/;

/** The facts that `stats_facts` would find in the details of the visit's event; `undefined` if there are none. */
export function factsOf(visit: Visit): Facts | undefined {
  const found = visitFacts(visit);
  const { country, referrer, browser, os, device } = found;
  const facts = [country, referrer, browser, os, device].map((fact) => beginningOf(fact) ?? null);
  if (facts.every((fact) => fact === null) || ODD_ESCAPE.test(JSON.stringify(found))) return undefined;
  return facts;
}

function beginningOf(fact: string | undefined): string | undefined {
  if (fact === undefined || fact.length <= FACT_CHARACTERS) return fact;
  return [...fact].slice(0, FACT_CHARACTERS).join('');
}

/** Clicks and previews of one minute, by link and facts. */
class MinuteDifferences {
  readonly #startMs: number;
  #amount = 0;
  /** A place each for what has the same link and facts. */
  readonly #links: JournalledLink[] = [];
  readonly #facts: number[] = [];
  readonly #clicks: number[] = [];
  readonly #previews: number[] = [];
  /** Places by link, for each place of facts; 0 is that of no facts. */
  readonly #places: Map<JournalledLink, number>[] = [new Map()];
  readonly #known: Facts[] = [];
  readonly #factsOfVisit = new Map<Visit, number>();
  readonly #factsByText = new Map<string, number>();

  constructor(startMs: number) {
    this.#startMs = startMs;
  }

  add(link: JournalledLink, visit: Visit | undefined): void {
    const facts = visit === undefined ? 0 : (this.#factsOfVisit.get(visit) ?? this.#newVisit(visit));
    const places = this.#places[facts] as Map<JournalledLink, number>;
    let place = places.get(link);
    if (place === undefined) {
      place = this.#links.push(link) - 1;
      this.#facts.push(facts);
      this.#clicks.push(0);
      this.#previews.push(0);
      places.set(link, place);
    }
    const counts = visit === undefined || isVisit(visit) ? this.#clicks : this.#previews;
    counts[place] = (counts[place] as number) + 1;
    this.#amount += 1;
  }

  #newVisit(visit: Visit): number {
    const facts = factsOf(visit);
    const place = facts === undefined ? 0 : this.#placeOf(facts);
    this.#factsOfVisit.set(visit, place);
    return place;
  }

  #placeOf(facts: Facts): number {
    const text = JSON.stringify(facts);
    let place = this.#factsByText.get(text);
    if (place === undefined) {
      place = this.#known.push(facts);
      this.#places.push(new Map());
      this.#factsByText.set(text, place);
    }
    return place;
  }

  row(ownerOf: (link: JournalledLink) => string | null): Buffer {
    const start = Buffer.alloc(22);
    start.writeInt16BE(7 + FACTS, 0);
    start.writeInt32BE(4, 2);
    start.writeInt32BE(this.#amount, 6);
    start.writeInt32BE(8, 10);
    writeTime(start, 14, this.#startMs);
    return Buffer.concat([
      start,
      bigintArray(this.#links.map(({ urlId }) => urlId)),
      bigintArray(this.#links.map(ownerOf)),
      integerArray(this.#facts),
      integerArray(this.#clicks),
      integerArray(this.#previews),
      ...Array.from({ length: FACTS }, (_, field) =>
        textArray(this.#known.map((facts) => facts[field] as string | null)),
      ),
    ]);
  }
}

/**
 * What clicks add to the statistics, as rows of a binary COPY, one for each minute: amount, minute, url_ids,
 * owners, facts, clicks, previews, countries, referrers, browsers, systems, devices. A count over their
 * events would give the same.
 */
export function* differenceRows(
  clicks: readonly IngestedClick[],
  ownerOf: (link: JournalledLink) => string | null,
  latestMs = latestTime(),
): Generator<Buffer> {
  const minutes = new Map<number, MinuteDifferences>();
  let current: MinuteDifferences | undefined;
  let currentMs = Number.NaN;
  for (const { link, visit, timeMs } of clicks) {
    const startMs = Math.floor(Math.trunc(Math.min(timeMs, latestMs)) / MINUTE_MS) * MINUTE_MS;
    if (startMs !== currentMs || current === undefined) {
      currentMs = startMs;
      current = minutes.get(startMs) ?? new MinuteDifferences(startMs);
      minutes.set(startMs, current);
    }
    current.add(link, visit);
  }
  for (const minute of minutes.values()) yield minute.row(ownerOf);
}

const NULL_LENGTH = -1;
/** Length in bytes, number of dimensions, whether there are NULLs, type of the elements, their number, first index. */
const ARRAY_HEADER_BYTES = 24;
const Oid = { bigint: 20, integer: 23, text: 25 } as const;

/** PostgreSQL's binary form of an array, within memory that has room for it. */
function beginArray(into: Buffer, oid: number, elements: number, hasNulls: boolean): void {
  into.writeInt32BE(into.length - 4, 0);
  into.writeInt32BE(1, 4);
  into.writeInt32BE(hasNulls ? 1 : 0, 8);
  into.writeInt32BE(oid, 12);
  into.writeInt32BE(elements, 16);
  into.writeInt32BE(1, 20);
}

function integerArray(values: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(ARRAY_HEADER_BYTES + values.length * 8);
  beginArray(bytes, Oid.integer, values.length, false);
  let at = ARRAY_HEADER_BYTES;
  for (const value of values) at = bytes.writeInt32BE(value, bytes.writeInt32BE(4, at));
  return bytes;
}

function bigintArray(values: readonly (string | null)[]): Buffer {
  const bytes = Buffer.allocUnsafe(
    ARRAY_HEADER_BYTES + values.reduce((sum, value) => sum + (value === null ? 4 : 12), 0),
  );
  beginArray(bytes, Oid.bigint, values.length, values.includes(null));
  let at = ARRAY_HEADER_BYTES;
  for (const value of values) {
    if (value === null) {
      at = bytes.writeInt32BE(NULL_LENGTH, at);
      continue;
    }
    at = writeBigint(bytes, bytes.writeInt32BE(8, at), value);
  }
  return bytes;
}

/** If no element has a value, an empty array replaces one of NULLs. */
function textArray(values: readonly (string | null)[]): Buffer {
  const sizes = values.map((value) => (value === null ? 0 : Buffer.byteLength(value)));
  const bytes = Buffer.allocUnsafe(
    ARRAY_HEADER_BYTES + sizes.reduce((sum, size) => sum + size, 0) + values.length * 4,
  );
  beginArray(bytes, Oid.text, values.length, values.includes(null));
  let at = ARRAY_HEADER_BYTES;
  for (const [index, value] of values.entries()) {
    if (value === null) at = bytes.writeInt32BE(NULL_LENGTH, at);
    else {
      at = bytes.writeInt32BE(sizes[index] as number, at);
      at += bytes.write(value, at);
    }
  }
  return bytes;
}
