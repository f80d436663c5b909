import { connection, Refused } from '../api/call.js';
import { readStatistics } from '../api/stats.js';
import type { Link } from '../api/types.js';
import { ownZone } from '../parts/time.js';

/** Clicks on each of the last 30 days, oldest first. */
export type Days = readonly number[];

interface Job {
  readonly link: Link;
  readonly done: (days: Days) => void;
}

/** Browsers open six connections to a host: the list and its actions keep half of them. */
const AT_ONCE = 3;
const KEPT = 1000;
/** Statistics may be some seconds behind the counter that the list shows. */
const FRESH_MS = 30_000;
const SINCE_MS = 30 * 86_400_000;
/** After a refusal there are no requests for a while, because they would be refused too. */
const REFUSED_MS = 60_000;

const kept = new Map<string, { readonly days: Days; readonly at: number }>();
const waiting = new Set<Job>();
let running = 0;
let refusedUntil = 0;

connection.listen(({ wantsKey }) => {
  // Another key sees other links.
  if (!wantsKey) return;
  kept.clear();
  refusedUntil = 0;
});

const nameOf = ({ id, click_count: clicks }: Link): string => `${id} ${clicks}`;

/** What is already known of a link's days; a link without clicks needs no request. */
export function knownDays(link: Link): Days | undefined {
  if (link.click_count === 0) return [];
  const known = kept.get(nameOf(link));
  return known === undefined || Date.now() - known.at > FRESH_MS ? undefined : known.days;
}

/** Requests a link's days, a few links at a time. @returns a function that cancels it. */
export function readDays(link: Link, done: (days: Days) => void): () => void {
  const job = { link, done };
  waiting.add(job);
  next();
  return () => waiting.delete(job);
}

function next(): void {
  const [job] = waiting;
  if (job === undefined || running >= AT_ONCE || Date.now() < refusedUntil) return;
  waiting.delete(job);
  running += 1;
  void read(job).finally(() => {
    running -= 1;
    next();
  });
}

async function read({ link, done }: Job): Promise<void> {
  const from = new Date(Date.now() - SINCE_MS).toISOString().slice(0, 19);
  try {
    const { series } = await readStatistics(String(link.id), { from, interval: 'day', timezone: ownZone });
    const days = series.map(({ clicks }) => clicks);
    keep(nameOf(link), days);
    done(days);
  } catch (error) {
    // The list says what is wrong; a missing line needs no message. A link that is gone is not a refusal.
    if (error instanceof Refused && error.status !== 404) refusedUntil = Date.now() + REFUSED_MS;
  }
}

function keep(name: string, days: Days): void {
  const [oldest] = kept.keys();
  if (kept.size >= KEPT && oldest !== undefined) kept.delete(oldest);
  kept.set(name, { days, at: Date.now() });
}
