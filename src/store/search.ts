import type { Connection } from '../postgres/pool.js';
import type { Condition } from './lists.js';

/** Search in links: a substring of the code, the title or the target, in any letter case. */

export const SEARCH_INDEX = 'short_urls_by_search';

/** In each of them; a line break separates the end of one from the beginning of the next. */
const columns = ['short_code', 'title', 'original_url'] as const;

/** All of them in one text, whose trigrams are indexed. */
const indexed = `search_bytes(${columns.join(` || E'\\n' || `)})`;

/** `operators`: the schema of pg_trgm. */
export function searchIndexDefinition(operators: string): string {
  return `USING gin ((${indexed}) ${operators}.gin_trgm_ops)`;
}

/** The condition that one of the columns has the text: exact, but no index finds it. */
export function contains(q: string): Condition {
  return {
    value: q,
    sql: (text) =>
      `(${columns.map((column) => `strpos(search_fold(${column}), search_fold(${text}::text)) > 0`).join(' OR ')})`,
  };
}

/** What the index finds: all rows with the text, and some with a similar one. */
export function mayContain(q: string): Condition {
  return {
    value: q,
    // The text of bytes has no backslash, which is therefore free to escape % and _.
    sql: (text) =>
      `${indexed} LIKE '%' || regexp_replace(search_bytes(${text}::text), '([%_])', '\\\\\\1', 'g') || '%'`,
  };
}

/**
 * Whether the text has a trigram: three letters or digits, or a part of a word whose beginning or end is
 * known. Without one the whole index would be read.
 */
export function hasTrigrams(q: string): boolean {
  return /[^\0-\x7f]|[A-Z0-9]{3}|[A-Z0-9]{2}[^A-Z0-9]|[^A-Z0-9][A-Z0-9]/.test(q.toUpperCase());
}

/** @returns the schema of pg_trgm, quoted for SQL; `undefined` if the database lacks it. */
export async function trigramSchema(connection: Connection): Promise<string | undefined> {
  const { rows } = await connection.query<{ name: string }>(
    `SELECT quote_ident(nspname) AS name FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
     WHERE extname = 'pg_trgm'`,
  );
  return rows[0]?.name;
}

/**
 * For the rest of a transaction, the conditions' indexes find rows: for rare rows, an index of the order, or
 * the table itself, would be read from end to end.
 */
export async function findByConditions(connection: Connection): Promise<void> {
  await connection.query(
    `SELECT set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'off', true)`,
  );
}
