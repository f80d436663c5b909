import { redirectLinkIn } from '../api/redirect-link.js';
import type { ClaimAnswer, VisitInputs } from '../api/visits.js';
import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';
import type { BatchOperation } from './operation.js';
import { linkLines } from './resolve.js';

type ClaimInput = VisitInputs['claimClick'];

/** A link as it is now. */
interface Claimed {
  /** For `redirectLinkIn`. */
  readonly lines: string;
  /** Whether it is active and has begun. */
  readonly isOpen: boolean;
  readonly isExpired: boolean;
  readonly hasPassword: boolean;
  readonly hasLeft: boolean;
  /** How many claims of this batch are left for it. */
  granted: number;
}

type ClaimedRow = readonly [
  code: string,
  lines: string,
  isOpen: string,
  isExpired: string,
  hasPassword: string,
  leftClicks: string | null,
  granted: string,
];

/** Links begin and end at their second, by the database's clock. */
export const clock = `now() AT TIME ZONE 'utc'`;
export const isEarly = `coalesce(valid_since > ${clock}, false)`;
export const isExpired = `coalesce(expires_at <= ${clock}, false)`;

/**
 * Claims redirects of many links: for each as many as are left, at most as many as requested. Locks links in
 * the order of their ids, as everywhere in the store, and reads a link after it is locked.
 */
const claimStatement: Statement = {
  name: 'links_claim',
  text: `
    WITH wanted AS (
      SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS wanted (code, claims, authorized_claims)
    ), locked AS (
      SELECT wanted.code, id, ${linkLines()} AS lines,
        is_active AND NOT ${isEarly} AS is_open, ${isExpired} AS is_expired,
        password_hash IS NOT NULL AS has_password, greatest(0, max_clicks - claimed_clicks) AS left_clicks,
        CASE WHEN is_active AND NOT ${isEarly} AND NOT ${isExpired}
          THEN least(greatest(0, max_clicks - claimed_clicks),
                     CASE WHEN password_hash IS NULL THEN claims ELSE authorized_claims END)
          ELSE 0 END AS granted
      FROM wanted JOIN short_urls ON short_code = wanted.code
      ORDER BY id
      FOR NO KEY UPDATE OF short_urls
    ), claimed AS (
      UPDATE short_urls SET claimed_clicks = claimed_clicks + granted
      FROM locked WHERE short_urls.id = locked.id AND max_clicks IS NOT NULL AND granted > 0
    )
    SELECT code, lines, is_open, is_expired, has_password, left_clicks, granted FROM locked`,
};

/** Several visits to one link in a batch get a claim each, up to its limit. */
export const claimClick: BatchOperation<ClaimInput> = {
  kind: 'batch',
  maxSize: 512,
  sizeForAnother: 24,
  async runAll(connection, items) {
    const links = await claimAll(
      connection,
      items.map(({ input }) => input),
    );
    return items.map(({ input }) => {
      const link = links.get(input.shortCode);
      const answer: ClaimAnswer =
        link === undefined ? { state: 'unknown', link: null } : answerOf(link, input);
      return { ok: true, body: JSON.stringify(answer) };
    });
  },
};

async function claimAll(
  connection: Connection,
  inputs: readonly ClaimInput[],
): Promise<Map<string, Claimed>> {
  const wanted = new Map<string, { claims: number; authorized: number }>();
  for (const { shortCode, isAuthorized, isDry } of inputs) {
    const counts = wanted.get(shortCode) ?? { claims: 0, authorized: 0 };
    if (!isDry) counts.claims += 1;
    if (!isDry && isAuthorized) counts.authorized += 1;
    wanted.set(shortCode, counts);
  }
  const counts = [...wanted.values()];
  const rows = await rowsOf<ClaimedRow>(connection, claimStatement, [
    [...wanted.keys()],
    counts.map(({ claims }) => claims),
    counts.map(({ authorized }) => authorized),
  ]);
  return new Map(rows.map((row) => [row[0], claimedOf(row)]));
}

function claimedOf([, lines, isOpen, hasExpired, hasPassword, left, granted]: ClaimedRow): Claimed {
  return {
    lines,
    isOpen: isOpen === 't',
    isExpired: hasExpired === 't',
    hasPassword: hasPassword === 't',
    hasLeft: left !== '0',
    granted: left === null ? Number.POSITIVE_INFINITY : Number(granted),
  };
}

function answerOf(claimed: Claimed, { isAuthorized, isDry }: ClaimInput): ClaimAnswer {
  if (!claimed.isOpen) return { state: 'unknown', link: null };
  const link = redirectLinkIn(claimed.lines);
  if (claimed.isExpired) return { state: 'expired', link };
  if (claimed.hasPassword && !isAuthorized) return { state: 'protected', link };
  if (isDry) return { state: claimed.hasLeft ? 'claimed' : 'used_up', link };
  if (claimed.granted <= 0) return { state: 'used_up', link };
  claimed.granted -= 1;
  return { state: 'claimed', link };
}
