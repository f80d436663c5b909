import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';

/** A row of `short_urls` as PostgreSQL's text; `isActive` is `t` or `f`. */
export type UrlRow = readonly [
  id: string,
  userId: string | null,
  shortCode: string,
  originalUrl: string,
  title: string,
  isActive: string,
  createdAt: string,
  updatedAt: string,
  clickCount: string,
];

export const urlColumns =
  'id, user_id, short_code, original_url, title, is_active, created_at, updated_at, click_count';

/** What a redirect needs of a link. */
export type ResolvedRow = readonly [
  shortCode: string,
  id: string,
  userId: string | null,
  originalUrl: string,
  /** JSON text of what the link does besides; `null` for a plain one. Times are whole seconds since 1970. */
  options: string | null,
];

export interface NewUrl {
  readonly userId: string | null;
  readonly originalUrl: string;
  readonly title: string;
  readonly shortCode: string;
  /** UTC, `YYYY-MM-DD HH:MM:SS.mmm`. */
  readonly createdAt: string;
}

const resolveStatement: Statement = {
  name: 'url_resolve',
  text: `SELECT short_code, id, user_id, original_url,
           CASE WHEN redirect_status <> 302 OR cache_seconds IS NOT NULL OR valid_since IS NOT NULL
                  OR expires_at IS NOT NULL OR max_clicks IS NOT NULL OR password_hash IS NOT NULL OR forward_query
                THEN json_build_object(
                  'status', redirect_status, 'cache', cache_seconds,
                  'since', floor(extract(epoch FROM valid_since)), 'until', floor(extract(epoch FROM expires_at)),
                  'expired_url', expired_url, 'limited', max_clicks IS NOT NULL,
                  'password', password_hash IS NOT NULL, 'query', forward_query) END
         FROM short_urls WHERE short_code = ANY ($1::text[]) AND is_active`,
};

const getStatement: Statement = {
  name: 'url_get',
  text: `SELECT ${urlColumns} FROM short_urls WHERE id = $1`,
};

const prefixed = urlColumns.replaceAll(/(\w+)/g, 'made.$1');

/**
 * Many links and their `created` events in one statement and one commit. Owners are share-locked
 * first, so that none can be deleted meanwhile; a link whose owner is missing or whose code is taken
 * is left out, and the caller learns which it was.
 */
const createStatement: Statement = {
  name: 'urls_create',
  text: `
    WITH input AS (
      SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::timestamp[], $6::json[])
        AS input (user_id, original_url, title, short_code, created_at, details)
    ), owners AS (
      SELECT id FROM users WHERE id = ANY ($1::bigint[]) ORDER BY id FOR KEY SHARE
    ), made AS (
      INSERT INTO short_urls (user_id, original_url, title, short_code, created_at, updated_at)
      SELECT user_id, original_url, title, short_code, created_at, created_at FROM input
      WHERE user_id IS NULL OR user_id IN (SELECT id FROM owners)
      ON CONFLICT (short_code) DO NOTHING
      RETURNING ${urlColumns}
    ), logged AS (
      INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
      SELECT made.id, made.user_id, 'created', made.created_at, input.details
      FROM made JOIN input USING (short_code)
    )
    SELECT input.short_code, input.user_id IS NULL OR owners.id IS NOT NULL, ${prefixed}
    FROM input LEFT JOIN owners ON owners.id = input.user_id LEFT JOIN made USING (short_code)`,
};

const updateStatement: Statement = {
  name: 'url_update',
  text: `
    WITH changed AS (
      UPDATE short_urls SET title = coalesce($2, title), is_active = coalesce($3, is_active),
        original_url = coalesce($4, original_url), updated_at = greatest(updated_at, $5)
      WHERE id = $1 RETURNING ${urlColumns}
    ), logged AS (
      INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
      SELECT id, user_id, 'updated', $5, json_build_object('title', title, 'is_active', is_active) FROM changed
    )
    SELECT ${urlColumns} FROM changed`,
};

/** The links of these codes that exist and are active, in no particular order. */
export async function resolveCodes(connection: Connection, codes: readonly string[]): Promise<ResolvedRow[]> {
  return rowsOf<ResolvedRow>(connection, resolveStatement, [codes]);
}

export async function getUrl(connection: Connection, id: string): Promise<UrlRow | undefined> {
  const [row] = await rowsOf<UrlRow>(connection, getStatement, [id]);
  return row;
}

/**
 * Creates links; their codes must differ from each other.
 * @returns in the order of `urls`: the row, `'no-user'`, or `'taken'` when another link has the code.
 */
export async function createUrls(
  connection: Connection,
  urls: readonly NewUrl[],
): Promise<(UrlRow | 'no-user' | 'taken')[]> {
  type Answer = readonly [shortCode: string, ownerExists: string, ...made: (string | null)[]];
  const answers = await rowsOf<Answer>(connection, createStatement, [
    urls.map((url) => url.userId),
    urls.map((url) => url.originalUrl),
    urls.map((url) => url.title),
    urls.map((url) => url.shortCode),
    urls.map((url) => url.createdAt),
    urls.map((url) => JSON.stringify({ short_code: url.shortCode, original_url: url.originalUrl })),
  ]);
  const byCode = new Map(answers.map((answer) => [answer[0], answer]));
  return urls.map(({ shortCode }) => {
    const [, ownerExists, ...made] = byCode.get(shortCode) ?? [shortCode, 'f'];
    if (ownerExists !== 't') return 'no-user';
    return made[0] === null || made.length === 0 ? 'taken' : (made as unknown as UrlRow);
  });
}

/** Changes what is given and logs an `updated` event; `undefined` when there is no such link. */
export async function updateUrl(
  connection: Connection,
  id: string,
  change: {
    title?: string | undefined;
    isActive?: boolean | undefined;
    originalUrl?: string | undefined;
    updatedAt: string;
  },
): Promise<UrlRow | undefined> {
  const values = [
    id,
    change.title ?? null,
    change.isActive ?? null,
    change.originalUrl ?? null,
    change.updatedAt,
  ];
  const [row] = await rowsOf<UrlRow>(connection, updateStatement, values);
  return row;
}

/** Deletes a link, then its events. @returns its short code, `undefined` when there is no such link. */
export async function deleteUrl(
  connection: Connection,
  id: string,
  statementMs: number,
): Promise<string | undefined> {
  return inTransaction(connection, async () => {
    await connection.query(`SET LOCAL statement_timeout = ${statementMs}`);
    const gone = await connection.query<{ short_code: string }>(
      'DELETE FROM short_urls WHERE id = $1 RETURNING short_code',
      [id],
    );
    const [row] = gone.rows;
    if (row === undefined) return undefined;
    // A new snapshot: clicks that an ingest committed while we waited for the link are seen, and
    // none can be added any more.
    await connection.query('DELETE FROM events WHERE url_id = $1', [id]);
    return row.short_code;
  });
}
