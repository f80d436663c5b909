import type { InputFor } from '../api/registry.js';
import type { Connection } from '../postgres/pool.js';
import { type LinkRow, links } from './link-table.js';

/** Columns that a link must have as they were given. */
const comparedColumns = [
  'title',
  'short_code',
  'redirect_status',
  'cache_seconds',
  'valid_since',
  'expires_at',
  'expired_url',
  'max_clicks',
  'forward_query',
  'tags',
] as const satisfies readonly (keyof InputFor<'createLink'>)[];

/**
 * The oldest link of the same owner and target in which every given field has the given value. Links that are
 * expired, protected or inactive don't count. The target's hash index finds it.
 */
export async function findLink(
  connection: Connection,
  input: InputFor<'createLink'>,
): Promise<LinkRow | undefined> {
  if (input.is_active === false || typeof input.password === 'string') return undefined;
  const values: unknown[] = [input.original_url, input.user_id];
  const conditions = comparedColumns.flatMap((column) => {
    const value = input[column];
    if (value === undefined) return [];
    values.push(column === 'title' ? (value ?? '') : value);
    return [`${column} IS NOT DISTINCT FROM $${values.length}`];
  });
  const { rows } = await connection.query<(string | null)[]>({
    text: `SELECT ${links.columns} FROM short_urls
           WHERE original_url = $1 AND user_id IS NOT DISTINCT FROM $2::bigint AND is_active
             AND password_hash IS NULL AND (expires_at IS NULL OR expires_at > now() AT TIME ZONE 'utc')
             ${conditions.map((condition) => `AND ${condition}`).join(' ')}
           ORDER BY id LIMIT 1`,
    values,
    rowMode: 'array',
  });
  return rows[0] as LinkRow | undefined;
}
