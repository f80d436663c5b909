import type { Link } from './links.js';
import { busyness, END } from './moments.js';
import { at, cumulate, type Random } from './random.js';
import type { EventRow, UrlRow } from './rows.js';

type Draft = Omit<EventRow, 'id'>;

/** A stretch of time, Unix seconds, both ends included. */
type Span = readonly [from: number, to: number];

/** Links that are clicked at all. */
const CLICKED = 360;
/** Ranks skipped at the head of the Zipf weights, so that the first link does not take a fifth of all clicks. */
const HEAD = 2;

/**
 * Exactly `count` events of `links`, in time order: the creations, updates and deletions that the links imply, and
 * clicks for the rest.
 */
export function makeEvents(random: Random, links: readonly Link[], count: number): EventRow[] {
  const known = links.flatMap(lifeOf);
  const clicks = makeClicks(random, links, count - known.length);
  return [...known, ...clicks]
    .sort((a, b) => a.timestamp - b.timestamp || a.urlId - b.urlId)
    .map((draft, i) => ({ id: i + 1, ...draft }));
}

/** A link's events without clicks. A deletion is an update to inactive and, in the same second, its reason. */
function lifeOf({ row, updates, deletion }: Link): Draft[] {
  const of = { urlId: row.id, userId: row.userId };
  const events: Draft[] = [{ ...of, type: 'created', timestamp: row.createdAt, details: identity(row) }];
  for (const { at: timestamp, title, isActive } of updates) {
    events.push({ ...of, type: 'updated', timestamp, details: { title, is_active: isActive } });
  }
  if (deletion !== null) {
    events.push({ ...of, type: 'deleted', timestamp: row.updatedAt, details: { reason: deletion } });
  }
  return events;
}

/** `count` clicks, Zipf-like over CLICKED links: the n-th most popular has a weight of 1 / (n + HEAD). */
function makeClicks(random: Random, links: readonly Link[], count: number): Draft[] {
  const popular = random.shuffle(links).slice(0, CLICKED);
  const sums = cumulate(popular.map((_, i) => 1 / (i + 1 + HEAD)));
  return Array.from({ length: count }, () => {
    const link = at(popular, random.weighted(sums));
    const timestamp = clickMoment(random, activeSpans(link));
    const { row } = link;
    return { urlId: row.id, userId: row.userId, type: 'click', timestamp, details: identity(row) };
  });
}

/** When a link was active, without the seconds of its own events. */
function activeSpans({ row, updates }: Link): Span[] {
  const states = [{ at: row.createdAt, isActive: true }, ...updates];
  return states.flatMap((state, i): Span[] =>
    state.isActive ? [[state.at + 1, (states[i + 1]?.at ?? END + 1) - 1]] : [],
  );
}

/** A second in one of `spans`, more likely early in a link's life and in working hours. */
function clickMoment(random: Random, spans: readonly Span[]): number {
  const total = spans.reduce((sum, [from, to]) => sum + to - from + 1, 0);
  for (;;) {
    const moment = secondOf(spans, Math.floor(random.next() * random.next() * total));
    if (random.chance(0.1) || random.chance(busyness(moment))) return moment;
  }
}

/** The `offset`-th second (from 0) of `spans` laid end to end. */
function secondOf(spans: readonly Span[], offset: number): number {
  let left = offset;
  for (const [from, to] of spans) {
    if (from + left <= to) return from + left;
    left -= to - from + 1;
  }
  throw new RangeError(`no second ${offset} in ${spans.length} spans`);
}

function identity(row: UrlRow): { short_code: string; original_url: string } {
  return { short_code: row.shortCode, original_url: row.originalUrl };
}
