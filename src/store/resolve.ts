import { addLink, noLinks, type ResolvedLinks } from '../api/redirect-link.js';
import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';
import { createdMs } from './link-table.js';

type Row = readonly [
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

const columns = `short_code, id, user_id, original_url, is_active,
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
  text: `SELECT short_code, ${columns} FROM short_urls WHERE short_code = ANY ($1::text[])`,
};

/** Two of another letter case are enough to know that none of them is meant for certain. */
const forgivingStatement: Statement = {
  name: 'link_resolve_forgiving',
  text: `
    SELECT asked.code, found.* FROM unnest($1::text[], $2::text[]) AS asked (code, bare)
    CROSS JOIN LATERAL (
      SELECT ${columns} FROM short_urls WHERE asked.bare <> asked.code AND short_code = asked.bare
      UNION ALL
      (SELECT ${columns} FROM short_urls
       WHERE is_chosen AND lower(short_code) = lower(asked.bare) AND short_code <> asked.bare LIMIT 2)
    ) AS found`,
};

/** What people and programs put behind a link by mistake when they copy it out of a text. */
const trailingPunctuation = /[.,;:!?)\]}>'"]+$/;
const codePattern = /^[A-Za-z0-9_-]{1,128}$/;

/**
 * The active links of these codes, in no particular order. A code that nobody has is tried without the
 * punctuation behind it, and then in another letter case, where exactly one chosen code matches. A code that
 * exists is final, active or not.
 */
export async function resolveCodes(connection: Connection, codes: readonly string[]): Promise<ResolvedLinks> {
  const exact = await rowsOf<Row>(connection, exactStatement, [codes]);
  const existing = new Set(exact.map(([asked]) => asked));
  const missing = codes.flatMap((code) => {
    if (existing.has(code)) return [];
    const bare = code.replace(trailingPunctuation, '');
    return codePattern.test(bare) ? [{ code, bare }] : [];
  });
  const rows = exact.concat(await forgiven(connection, missing));
  const found = noLinks();
  for (const [asked, shortCode, urlId, userId, target, isActive, options, created, databaseId] of rows) {
    if (isActive !== 't') continue;
    const link = { asked, shortCode, urlId, userId, target, options };
    addLink(found, { ...link, createdMs: Number(created), databaseId });
  }
  return found;
}

async function forgiven(
  connection: Connection,
  missing: readonly { readonly code: string; readonly bare: string }[],
): Promise<Row[]> {
  if (missing.length === 0) return [];
  const found = await rowsOf<Row>(connection, forgivingStatement, [
    missing.map(({ code }) => code),
    missing.map(({ bare }) => bare),
  ]);
  if (found.length === 0) return [];
  return missing.flatMap(({ code, bare }) => {
    const own = found.filter(([asked]) => asked === code);
    const exact = own.find(([, shortCode]) => shortCode === bare);
    if (exact !== undefined) return [exact];
    return own.length === 1 ? own : [];
  });
}
