import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';
import type { Cover } from './stats-cover.js';
import { COVER, restIn, wholesIn } from './stats-parts.js';
import { TOP_LINKS } from './stats-rollups.js';

/**
 * The links with the most clicks. For all links, each slot's list of its top links is read to a depth (Fagin's threshold
 * algorithm). A link in none of the lists has at most the sum of the next entries of all. If that is less than the last of
 * the requested links has, the answer is exact, and only the counts that decide it are looked up. Otherwise the lists are
 * read to their ends; if even that is not enough, all links are added up.
 */

/** Links that are gone share one value; each is looked up. */
const MAX_GONE = 100;
const MAX_CANDIDATES = 5000;
/** The counts of a link in a slot. */
const MAX_LOOKUPS = 10_000;
/** How far lists are read: at first, and to their ends. */
const DEPTHS = [256, TOP_LINKS];

const UNFOLDED = `AND NOT is_folded`;

/** `$7` is how many, `$8` the depth. The first column says whether that depth decides it; if not, nothing else is returned. */
export const topCodesStatement: Statement = {
  name: 'stats_top_codes',
  text: `
    WITH ${COVER}, lists AS MATERIALIZED (
      SELECT row_number() OVER () AS list, cover.step, at, keys[:$8] AS keys, clicks[:$8] AS clicks, previews[:$8] AS previews,
             is_all AND cardinality(keys) <= $8 AS is_read,
             -- What a link behind the depth has at most.
             CASE WHEN cardinality(keys) > $8 THEN clicks[$8 + 1]
                  WHEN is_all THEN 0 ELSE clicks[cardinality(clicks)] END AS most
      FROM cover JOIN stats_tops ON stats_tops.step = cover.step AND slot = at
    ), heads AS MATERIALIZED (
      SELECT list, unnest(keys) AS key, unnest(clicks) AS clicks, unnest(previews) AS previews, most FROM lists
    ), rest AS (
      ${wholesIn('l', UNFOLDED)} UNION ALL ${restIn('l')}
    ), seen AS MATERIALIZED (
      SELECT key, sum(clicks) AS clicks, sum(previews) AS previews, sum(most) AS most
      FROM (SELECT key, clicks, previews, most FROM heads
            UNION ALL SELECT key, clicks, previews, 0 FROM rest) AS parts
      GROUP BY key
    ), gone AS MATERIALIZED (
      SELECT url_id AS key FROM (SELECT url_id FROM stats_gone_links UNION SELECT link_id FROM deleted_links) AS deleted
      WHERE (SELECT id FROM short_urls WHERE id = url_id) IS NULL LIMIT ${MAX_GONE + 1}
    ), unseen AS (
      SELECT coalesce(sum(most), 0) AS most, coalesce(bool_and(is_read), true) AS is_nothing FROM lists
    ), least AS (
      SELECT (SELECT clicks FROM seen WHERE key NOT IN (SELECT key FROM gone) ORDER BY clicks DESC OFFSET $7 - 1 LIMIT 1) AS clicks
    ), candidates AS MATERIALIZED (
      SELECT key, seen.clicks, seen.previews FROM seen, unseen, least
      WHERE (least.clicks IS NULL OR seen.clicks + unseen.most - seen.most >= least.clicks)
        AND key NOT IN (SELECT key FROM gone) LIMIT ${MAX_CANDIDATES + 1}
    ), chosen AS MATERIALIZED (
      SELECT key, clicks, previews FROM candidates
      UNION ALL
      SELECT gone.key, coalesce(clicks, 0), coalesce(previews, 0) FROM gone LEFT JOIN seen USING (key)
    ), lookups AS MATERIALIZED (
      SELECT chosen.key, step, at FROM chosen CROSS JOIN lists
      WHERE NOT is_read AND (list, chosen.key) NOT IN (SELECT list, key FROM heads) LIMIT ${MAX_LOOKUPS + 1}
    ), verdict AS MATERIALIZED (
      SELECT (is_nothing OR least.clicks > unseen.most) IS TRUE
             AND (SELECT count(*) FROM candidates) <= ${MAX_CANDIDATES} AND (SELECT count(*) FROM gone) <= ${MAX_GONE}
             AND (SELECT count(*) FROM lookups) <= ${MAX_LOOKUPS} AS is_exact
      FROM unseen, least
    ), found AS (
      SELECT lookups.key, one.clicks[place] AS clicks, coalesce(one.previews[place], 0) AS previews
      FROM lookups CROSS JOIN LATERAL (
        SELECT clicks, previews, array_position(keys, lookups.key) AS place FROM stats_slots AS row
        WHERE row.kind = 'l' AND row.step = lookups.step AND row.slot = lookups.at AND is_folded AND first_key <= lookups.key
        ORDER BY first_key DESC LIMIT 1
      ) AS one WHERE place IS NOT NULL AND (SELECT is_exact FROM verdict)
    ), added AS (
      SELECT key, sum(clicks) AS clicks, sum(previews) AS previews
      FROM (SELECT * FROM chosen UNION ALL SELECT * FROM found) AS parts WHERE (SELECT is_exact FROM verdict) GROUP BY key
    ), coded AS (
      SELECT (SELECT short_code FROM short_urls WHERE id = key) AS value, clicks, previews FROM added
      WHERE clicks <> 0 OR previews <> 0
    )
    SELECT is_exact, 'l', value, clicks, previews
    FROM verdict LEFT JOIN (
      SELECT value, sum(clicks) AS clicks, sum(previews) AS previews FROM coded
      GROUP BY value ORDER BY clicks DESC, value COLLATE "C" LIMIT $7
    ) AS first ON true
    ORDER BY clicks DESC, value COLLATE "C"`,
};

/** The `$7` links with the most clicks, with all links added up; `chosen` selects the links, by `url_id`. */
function codesStatement(name: string, before: string, chosen: string): Statement {
  return {
    name,
    text: `WITH ${COVER}, slots AS (
             SELECT key AS url_id, clicks, previews FROM (${wholesIn('l')} UNION ALL ${restIn('l')}) AS parts
           )${before}, added AS (
             SELECT url_id, sum(clicks) AS clicks, sum(previews) AS previews FROM ${chosen} GROUP BY url_id
           )
           SELECT 'l', short_code AS value, sum(clicks) AS clicks, sum(previews) AS previews
           FROM added LEFT JOIN short_urls ON id = url_id WHERE clicks <> 0 OR previews <> 0
           GROUP BY short_code ORDER BY clicks DESC, short_code COLLATE "C" LIMIT $7`,
  };
}

export const allCodesStatement = codesStatement('stats_all_codes', '', 'slots');

const ownCodesStatement = codesStatement(
  'stats_codes_of_owner',
  `, given_away AS (
     -- Links that got another owner, and the sums don't know yet.
     SELECT url_id, sum(changed.clicks + changed.previews) AS n
     FROM stats_queue, unnest(url_ids, owners, stats_queue.clicks, stats_queue.previews)
       AS changed (url_id, owner, clicks, previews)
     WHERE kind = 'owners' AND owner = $8 GROUP BY url_id
   ), owned AS (
     SELECT id AS url_id FROM short_urls
     WHERE user_id = $8 AND NOT EXISTS (SELECT FROM given_away WHERE url_id = id AND n > 0)
     UNION SELECT url_id FROM given_away WHERE n < 0
   )`,
  'slots JOIN owned USING (url_id)',
);

/** The parameters of a `Cover`. */
export function coverValues(
  { steps, slots, quarterDays, minuteFroms, minuteTos }: Cover,
  ends: readonly [first: number, last: number],
): unknown[] {
  return [steps, slots, quarterDays, ends, minuteFroms, minuteTos];
}

export type ValueRow = readonly [field: string, value: string | null, clicks: string, previews: string];

/** The links with the most clicks, of all or of one owner. `covered` are the `coverValues`. */
export async function topCodes(
  connection: Connection,
  covered: readonly unknown[],
  limit: number,
  owner: string | undefined,
): Promise<readonly ValueRow[]> {
  if (owner !== undefined) return rowsOf<ValueRow>(connection, ownCodesStatement, [...covered, limit, owner]);
  for (const depth of DEPTHS) {
    type Row = readonly [
      isExact: string,
      field: string,
      value: string | null,
      clicks: string | null,
      previews: string,
    ];
    const rows = await rowsOf<Row>(connection, topCodesStatement, [...covered, limit, depth]);
    if (rows[0]?.[0] !== 't') continue;
    return rows.flatMap(([, field, value, clicks, previews]): ValueRow[] =>
      clicks === null ? [] : [[field, value, clicks, previews]],
    );
  }
  return rowsOf<ValueRow>(connection, allCodesStatement, [...covered, limit]);
}
