import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Load } from '../support/clients/load.js';
import type { TestDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import type { TestServer } from '../support/server/server.js';

/** `npm run torture` runs the same tests with more rounds. */
const isLong = process.env.TORTURE === 'long';

export function rounds(short: number, long: number): number {
  return isLong ? long : short;
}

/** Time for a test whose rounds take about so long each. */
export function timeout(roundsOfIt: number, secondsEach: number): { timeout: number } {
  return { timeout: 60_000 + roundsOfIt * secondsEach * 1000 };
}

/** The run's seed: TORTURE_SEED, or a random one that is printed with the results. */
export const seed = Number(process.env.TORTURE_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** Numbers from the seed, the same for the same test. (mulberry32) */
export class Random {
  #state: number;

  constructor(test: string) {
    this.#state = [...test].reduce((sum, letter) => (Math.imul(sum, 31) + letter.charCodeAt(0)) | 0, seed);
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let value = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `low` to `high`. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.next() * list.length)] as T;
  }
}

/** What a run found; one row of the table in the end. */
export interface Accounts {
  readonly run: string;
  /** Kills, cuts or other faults. */
  readonly faults: number;
  /** 302 that were received whole. */
  readonly redirects: number;
  /** Requests whose connection broke: answered or not, nobody knows. */
  readonly unknown: number;
  /** Click events in the database. */
  readonly clicks: number;
  /** Counted as lost, dropped or rejected. */
  readonly lost: number;
  /** Clicks beyond all that were or may have been answered. */
  readonly twice: number;
}

export function report(accounts: Accounts): void {
  const file = process.env.TORTURE_REPORT;
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ ...accounts, seed })}\n`);
}

export interface Counted {
  readonly counter: number;
  readonly events: number;
}

/** Each link's counter and click events, by short code. */
export async function countClicks(database: TestDatabase): Promise<Map<string, Counted>> {
  const rows = await database.query<{ short_code: string; click_count: string; events: string }>(
    `SELECT short_code, click_count, coalesce(clicks.n, 0) AS events FROM short_urls LEFT JOIN
       (SELECT url_id, count(*) AS n FROM events WHERE event_type = 'click' GROUP BY url_id) AS clicks
       ON clicks.url_id = short_urls.id`,
  );
  return new Map(
    rows.map((row) => [row.short_code, { counter: Number(row.click_count), events: Number(row.events) }]),
  );
}

export function totalOf(counted: ReadonlyMap<string, Counted>): number {
  return [...counted.values()].reduce((sum, { events }) => sum + events, 0);
}

/** Waits until the number of clicks has not changed for a while, and reaches `atLeast`. */
export async function settled(database: TestDatabase, atLeast: number): Promise<Map<string, Counted>> {
  let last = -1;
  let since = Date.now();
  return eventually(
    async () => {
      const counted = await countClicks(database);
      const total = totalOf(counted);
      if (total !== last) {
        last = total;
        since = Date.now();
      }
      if (total >= atLeast && Date.now() - since > 700) return counted;
      // To count takes longer the more there are, and the ingest needs the time.
      await sleep(150);
      return undefined;
    },
    60_000,
    () => `${atLeast} clicks in the database (there are ${last})`,
  );
}

/**
 * Waits until the turns that answered these redirects are over, which on a busy machine may be long after
 * their answers arrived: then their clicks are in the journal.
 * @param answered By this server since its start.
 */
export async function turnsAreOver(server: TestServer, answered: number): Promise<void> {
  await eventually(
    async () => {
      const text = await (await server.fetch('/metrics')).text();
      const lines = text.matchAll(/^switchyard_clicks_journalled_total(?:\{[^}]*\})? (\d+)/gm);
      return [...lines].reduce((sum, [, count]) => sum + Number(count), 0) >= answered;
    },
    20_000,
    `${answered} clicks in the journal`,
  );
}

/** Sums up what several loads have seen. */
export class Seen {
  readonly #redirects = new Map<string, number>();
  #broken = 0;
  readonly statuses = new Set<number>();

  add(load: Load): void {
    for (const [code, count] of load.redirects)
      this.#redirects.set(code, (this.#redirects.get(code) ?? 0) + count);
    this.#broken += load.statuses.get(0) ?? 0;
    for (const status of load.statuses.keys()) this.statuses.add(status);
  }

  of(code: string): number {
    return this.#redirects.get(code) ?? 0;
  }

  get total(): number {
    return [...this.#redirects.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Requests whose connection broke. */
  get broken(): number {
    return this.#broken;
  }
}
