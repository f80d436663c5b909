import { csvOf, type Row, Table } from './table.js';

/**
 * When a link was created, in ms since 1970; 0 if no number can express it. `extract` would compute with numeric, which
 * costs a microsecond.
 */
export const createdMs = `(CASE WHEN isfinite(created_at) THEN date_part('epoch', created_at) * 1000 ELSE 0 END)::bigint`;

/** A link as the API shows it; `short_url`, which depends on the client, follows. */
export const links = new Table('short_urls', {
  id: { as: 'number' },
  user_id: { as: 'number', isNullable: true },
  short_code: { as: 'text' },
  original_url: { as: 'text' },
  title: { as: 'text' },
  is_active: { as: 'boolean' },
  created_at: { as: 'time' },
  updated_at: { as: 'time' },
  click_count: { as: 'number' },
  redirect_status: { as: 'number' },
  cache_seconds: { as: 'number', isNullable: true },
  valid_since: { as: 'time', isNullable: true },
  expires_at: { as: 'time', isNullable: true },
  expired_url: { as: 'text', isNullable: true },
  max_clicks: { as: 'number', isNullable: true },
  has_password: { as: 'boolean', sql: 'password_hash IS NOT NULL' },
  forward_query: { as: 'boolean' },
  tags: { as: 'list', sql: 'array_to_json(tags)' },
});

export type LinkRow = typeof links extends Table<infer C> ? Row<C> : never;

/** @param origin The origin of short URLs for this client: scheme and host. */
export function linkJson(row: LinkRow, origin: string): string {
  const shortUrl = JSON.stringify(shortUrlOf(links.value(row, 'short_code'), origin));
  return `${links.json(row).slice(0, -1)},"short_url":${shortUrl}}`;
}

export function shortUrlOf(shortCode: string, origin: string): string {
  // A code that did not come through our API may need it.
  return `${origin}/${encodeURIComponent(shortCode)}`;
}

/** A link as a line of a CSV file: the columns that the import accepts, and its short URL. */
export const linkCsv = csvOf(links, {
  short_url: (row, { origin }) => shortUrlOf(links.value(row, 'short_code'), origin),
});
