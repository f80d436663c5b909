import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';
import { createdMs } from './link-table.js';

/** What distinguishes a link from all others of its database: another link may get its id, or its code, later. */
export interface LinkIdentity {
  readonly urlId: string;
  readonly shortCode: string;
  /** ms since 1970; `undefined` if unknown. */
  readonly createdMs: number | undefined;
  /** Its owner at the click, if known; it may have another one by now. */
  readonly userId: string | null;
}

/** Clicks on one link. */
interface Tally {
  readonly link: LinkIdentity;
  /** The link's owner; certain once the link is counted, which locks it. */
  owner: string | null;
  /** By how much to raise its counter; 0 if none of its clicks counts. */
  counted: number;
}

/**
 * Locks links in the order of their ids, compares each with the one that was clicked and raises its counter, all in one
 * statement. Returns the places of links that are gone, and of those with another owner.
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
 * Settings for `countStatement`, within its transaction. A plan that looks up one link after the other locks them in
 * the order of the clicks; a plan that scans the table and joins would lock them in the table's order.
 */
export const countSettings = planSettings.map(([name, value]) => `SET LOCAL ${name} = ${value}`).join('; ');
/** Back to the usual plans for the triggers of events. */
const usualSettings = planSettings.map(([name]) => `SET LOCAL ${name} TO DEFAULT`).join('; ');

/** What a batch of clicks adds to the counters of their links. */
export class ClickTallies {
  readonly #tallies: Tally[] = [];
  /** Several objects for one link share a tally; a journal has several when the target changed. */
  readonly #byIdentity = new Map<string, Tally>();
  readonly #byLink = new Map<LinkIdentity, Tally>();
  readonly #missing = new Set<Tally>();

  add(link: LinkIdentity, isCounted: boolean): void {
    const tally = this.#byLink.get(link) ?? this.#newTally(link);
    if (isCounted) tally.counted += 1;
  }

  /** Whether the link was gone when the clicks were counted. */
  isMissing(link: LinkIdentity): boolean {
    const tally = this.#byLink.get(link);
    return tally !== undefined && this.#missing.has(tally);
  }

  /** The owner of a link that this transaction has counted; nobody can change it before the transaction ends. */
  ownerOf(link: LinkIdentity): string | null {
    const tally = this.#byLink.get(link);
    if (tally === undefined || this.#missing.has(tally))
      throw new Error(`link ${link.urlId} was not counted`);
    return tally.owner;
  }

  /**
   * Raises the counters and notes which links are missing. Call it within a transaction.
   * @returns whether all links are there.
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

  /** Subtracts counts that this transaction has added. */
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
      // An UPDATE changes a row only once.
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

/** An array as PostgreSQL's text; pg's own conversion takes several times as long. */
function arrayOf(tallies: readonly Tally[], element: (tally: Tally) => string): string {
  return `{${tallies.map(element).join()}}`;
}

function quoted(text: string): string {
  return `"${/["\\]/.test(text) ? text.replaceAll(/["\\]/g, '\\$&') : text}"`;
}
