import { addLink, noLinks, type RedirectLink, type ResolvedLinks } from '../api/redirect-link.js';
import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';
import { createdMs } from './link-table.js';

/** The code that was asked for, and `redirectColumns`. */
export type RedirectRow = readonly [
  asked: string,
  shortCode: string,
  id: string,
  userId: string | null,
  originalUrl: string,
  isActive: string,
  options: string | null,
  createdMs: string,
  databaseId: string | null,
];

/** Values of a RedirectRow. */
export const REDIRECT_COLUMNS = 9;

/** What a redirect needs of a link, for `redirectLinkOf`. */
export const redirectColumns = `short_code, id, user_id, original_url, is_active,
  CASE WHEN redirect_status <> 302 OR cache_seconds IS NOT NULL OR valid_since IS NOT NULL
         OR expires_at IS NOT NULL OR max_clicks IS NOT NULL OR password_hash IS NOT NULL OR forward_query
       THEN json_build_object(
         'status', redirect_status, 'cache', cache_seconds,
         'since', floor(extract(epoch FROM valid_since)), 'until', floor(extract(epoch FROM expires_at)),
         'expired_url', expired_url, 'limited', max_clicks IS NOT NULL,
         'password', password_hash IS NOT NULL, 'query', forward_query) END AS options,
  ${createdMs} AS created_ms, (SELECT id FROM switchyard_database) AS database_id`;

const exactStatement: Statement = {
  name: 'link_resolve',
  text: `SELECT short_code, ${redirectColumns} FROM short_urls WHERE short_code = ANY ($1::text[])`,
};

export function redirectLinkOf(row: RedirectRow): RedirectLink {
  const [asked, shortCode, urlId, userId, target, , options, created, databaseId] = row;
  return { asked, shortCode, urlId, userId, target, options, createdMs: Number(created), databaseId };
}

/** Two of another letter case are enough to know that none of them is meant for certain. */
const forgivingStatement: Statement = {
  name: 'link_resolve_forgiving',
  text: `
    SELECT asked.code, found.* FROM unnest($1::text[], $2::text[], $3::text[]) AS asked (code, slashless, bare)
    CROSS JOIN LATERAL (
      SELECT ${redirectColumns} FROM short_urls
      WHERE asked.bare <> asked.code AND short_code IN (asked.slashless, asked.bare)
      UNION ALL
      (SELECT ${redirectColumns} FROM short_urls
       WHERE is_chosen AND lower(short_code) = lower(asked.bare) AND short_code <> asked.bare LIMIT 2)
    ) AS found`,
};

/** What people and programs put behind a link by mistake when they copy it out of a text. */
const trailingPunctuation = /[.,;:!?)\]}>'"]+$/;
const codePattern = /^[A-Za-z0-9_-]{1,128}$/;

/**
 * The active links of these codes, in no particular order. A code that nobody has is tried without a
 * slash behind it, then without punctuation, and then in another letter case, where exactly one chosen code
 * matches. A code that exists is final, active or not.
 */
export async function resolveCodes(connection: Connection, codes: readonly string[]): Promise<ResolvedLinks> {
  const exact = await rowsOf<RedirectRow>(connection, exactStatement, [codes]);
  const existing = new Set(exact.map(([asked]) => asked));
  const missing = codes.flatMap((code) => {
    if (existing.has(code)) return [];
    const withoutSlash = code.replace(/\/$/, '');
    const bare = withoutSlash.replace(trailingPunctuation, '');
    return codePattern.test(bare) ? [{ code, withoutSlash, bare }] : [];
  });
  const rows = exact.concat(await forgiven(connection, missing));
  const found = noLinks();
  for (const row of rows) {
    const [, , , , , isActive] = row;
    if (isActive === 't') addLink(found, redirectLinkOf(row));
  }
  return found;
}

async function forgiven(
  connection: Connection,
  missing: readonly { readonly code: string; readonly withoutSlash: string; readonly bare: string }[],
): Promise<RedirectRow[]> {
  if (missing.length === 0) return [];
  const found = await rowsOf<RedirectRow>(connection, forgivingStatement, [
    missing.map(({ code }) => code),
    missing.map(({ withoutSlash }) => withoutSlash),
    missing.map(({ bare }) => bare),
  ]);
  if (found.length === 0) return [];
  return missing.flatMap(({ code, withoutSlash, bare }) => {
    const own = found.filter(([asked]) => asked === code);
    const exact =
      own.find(([, shortCode]) => shortCode === withoutSlash) ??
      own.find(([, shortCode]) => shortCode === bare);
    if (exact !== undefined) return [exact];
    return own.length === 1 ? own : [];
  });
}
