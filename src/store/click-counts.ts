import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';
import { createdMs } from './link-table.js';

/** What tells a link from every other, in one database: another one may get its id, or its code, later. */
export interface LinkIdentity {
  readonly urlId: string;
  readonly shortCode: string;
  /** ms since 1970; `undefined` where it was not noted. */
  readonly createdMs: number | undefined;
  /** Whose it was, as far as is known; it may have another owner by now. */
  readonly userId: string | null;
}

/** Clicks on one link. */
interface Tally {
  readonly link: LinkIdentity;
  /** Whose the link is; known for sure once it is counted, which locks it. */
  owner: string | null;
  /** What its counter is to be raised by; 0 where none of its clicks counts. */
  counted: number;
}

/**
 * Raises counters, links being locked in the order of their ids. One statement locks a link, compares it with the one
 * that was clicked and counts. It gives the places of those that are not there, and of those with another owner.
 */
export const countStatement: Statement = {
  name: 'clicks_count',
  text: `
    WITH clicked AS (
      SELECT * FROM unnest($1::bigint[], $2::text[], $3::float8[], $4::bigint[], $5::bigint[])
        WITH ORDINALITY AS clicked (url_id, code, created_ms, n, owner, place)
      ORDER BY url_id
    ), counted AS (
      UPDATE short_urls SET click_count = click_count + n FROM clicked
      WHERE id = url_id AND short_code = code AND (created_ms IS NULL OR ${createdMs} = created_ms)
      RETURNING place, user_id, user_id IS DISTINCT FROM owner AS is_others
    )
    SELECT place, NULL, 't' FROM generate_series(1, cardinality($1::bigint[])::bigint) AS place
    WHERE place NOT IN (SELECT place FROM counted)
    UNION ALL
    SELECT place, user_id, 'f' FROM counted WHERE is_others`,
};

const planSettings = [
  ['enable_hashjoin', 'off'],
  ['enable_mergejoin', 'off'],
  ['enable_seqscan', 'off'],
  ['enable_bitmapscan', 'off'],
  ['plan_cache_mode', 'force_generic_plan'],
  ['jit', 'off'],
] as const;

/**
 * What `countStatement` is planned and run with, within its transaction. A plan that looks up one link after the
 * other locks them in the order of the clicks; one that reads the table and joins would lock them as they lie there.
 */
export const countSettings = planSettings.map(([name, value]) => `SET LOCAL ${name} = ${value}`).join('; ');
/** Triggers of events are planned as ever. */
const usualSettings = planSettings.map(([name]) => `SET LOCAL ${name} TO DEFAULT`).join('; ');

/** What a batch of clicks adds to the counters of their links. */
export class ClickTallies {
  readonly #tallies: Tally[] = [];
  /** Objects for the same link, as its journal has when the target changes, share a tally. */
  readonly #byIdentity = new Map<string, Tally>();
  readonly #byLink = new Map<LinkIdentity, Tally>();
  readonly #missing = new Set<Tally>();

  add(link: LinkIdentity, isCounted: boolean): void {
    const tally = this.#byLink.get(link) ?? this.#newTally(link);
    if (isCounted) tally.counted += 1;
  }

  /** Whether the link was not there when the clicks were counted. */
  isMissing(link: LinkIdentity): boolean {
    const tally = this.#byLink.get(link);
    return tally !== undefined && this.#missing.has(tally);
  }

  /** Whose a link is that was counted in this transaction: nobody else can give it away before its end. */
  ownerOf(link: LinkIdentity): string | null {
    const tally = this.#byLink.get(link);
    if (tally === undefined || this.#missing.has(tally))
      throw new Error(`link ${link.urlId} was not counted`);
    return tally.owner;
  }

  /**
   * Raises the counters, and finds out which links are missing. Call it within a transaction.
   * @returns whether none is.
   */
  async count(connection: Connection): Promise<boolean> {
    const tallies = this.#tallies;
    this.#missing.clear();
    await connection.query(countSettings);
    const rows = await rowsOf<[place: string, owner: string | null, isMissing: string]>(
      connection,
      countStatement,
      [
        arrayOf(tallies, ({ link }) => link.urlId),
        arrayOf(tallies, ({ link }) => quoted(link.shortCode)),
        arrayOf(tallies, ({ link }) => (link.createdMs === undefined ? 'NULL' : String(link.createdMs))),
        arrayOf(tallies, ({ counted }) => String(counted)),
        arrayOf(tallies, ({ link }) => link.userId ?? 'NULL'),
      ],
    );
    await connection.query(usualSettings);
    for (const tally of tallies) tally.owner = tally.link.userId;
    for (const [place, owner, isMissing] of rows) {
      const tally = tallies[Number(place) - 1] as Tally;
      if (isMissing === 't') this.#missing.add(tally);
      else tally.owner = owner;
    }
    return this.#missing.size === 0;
  }

  /** Takes counts off again that were added in this transaction. */
  async takeOff(connection: Connection, links: readonly LinkIdentity[]): Promise<void> {
    const counts = new Map<string, number>();
    for (const { urlId } of links) counts.set(urlId, (counts.get(urlId) ?? 0) + 1);
    if (counts.size === 0) return;
    await rowsOf(connection, takeOffStatement, [[...counts.keys()], [...counts.values()]]);
  }

  #newTally(link: LinkIdentity): Tally {
    const key = `${link.urlId} ${link.createdMs} ${link.shortCode}`;
    let tally = this.#byIdentity.get(key);
    if (tally === undefined) {
      tally = { link, owner: null, counted: 0 };
      this.#byIdentity.set(key, tally);
      this.#tallies.push(tally);
      const [first] = this.#tallies;
      // Both would be the same row, which an UPDATE changes once.
      if ((first?.link.createdMs === undefined) !== (link.createdMs === undefined))
        throw new Error('a batch has links with and without the time of their creation');
    }
    this.#byLink.set(link, tally);
    return tally;
  }
}

const takeOffStatement: Statement = {
  name: 'clicks_take_off',
  text: `UPDATE short_urls SET click_count = click_count - clicks.n
         FROM unnest($1::bigint[], $2::bigint[]) AS clicks (url_id, n) WHERE id = clicks.url_id`,
};

/** PostgreSQL's text of an array; pg's own takes several times as long. */
function arrayOf(tallies: readonly Tally[], element: (tally: Tally) => string): string {
  return `{${tallies.map(element).join()}}`;
}

function quoted(text: string): string {
  return `"${/["\\]/.test(text) ? text.replaceAll(/["\\]/g, '\\$&') : text}"`;
}
