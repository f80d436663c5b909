import type { InputFor } from '../api/registry.js';
import type { Connection, Statement } from '../postgres/pool.js';
import { optionIn, optionNames } from './link-columns.js';
import { type LinkRow, links } from './link-table.js';

/** Columns that a link must have as they were given. */
const comparedColumns = ['title', 'short_code', ...optionNames] as const;

/**
 * The oldest link of the same owner and target in which every given field has the given value, without
 * expired, protected or inactive links. The target's hash index finds it.
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

type Wanted = InputFor<'createLink'>;

/** The lock key that two searches for the same link share: the owner and the target. */
export function findKey({ user_id: owner, original_url: target }: Wanted): string {
  return `find_if_exists ${owner ?? ''} ${target}`;
}

/** The condition that a column has the given value, if one is given; null is a value. */
function isAsGiven(column: (typeof comparedColumns)[number]): string {
  const value =
    column === 'title' || column === 'short_code' ? `given->>'${column}'` : optionIn('given', column);
  return `(given->'${column}' IS NULL OR ${column} IS NOT DISTINCT FROM ${value})`;
}

const findManyStatement: Statement = {
  name: 'links_find',
  text: `
    SELECT ${links.columnsOf('found')}, wanted.place
    FROM unnest($1::integer[], $2::text[], $3::bigint[], $4::json[]) AS wanted (place, target, owner, given)
    CROSS JOIN LATERAL (
      SELECT ${links.columns} FROM short_urls
      WHERE original_url = target AND user_id IS NOT DISTINCT FROM owner AND is_active
        AND password_hash IS NULL AND (expires_at IS NULL OR expires_at > now() AT TIME ZONE 'utc')
        AND ${comparedColumns.map(isAsGiven).join('\n        AND ')}
      ORDER BY id LIMIT 1
    ) AS found`,
};

/** As `findLink`, for many in one statement. @returns each at its input's index. */
export async function findLinks(
  connection: Connection,
  inputs: readonly Wanted[],
): Promise<ReadonlyMap<number, LinkRow>> {
  const places = [...inputs.keys()].filter((place) => {
    const { is_active: isActive, password } = inputs[place] as Wanted;
    return isActive !== false && typeof password !== 'string';
  });
  const wanted = places.map((place) => inputs[place] as Wanted);
  const rows = await links.rows(connection, findManyStatement, [
    places,
    wanted.map((input) => input.original_url),
    wanted.map((input) => input.user_id),
    wanted.map((input) => JSON.stringify(givenOf(input))),
  ]);
  return new Map(rows.map((row) => [Number(links.extra(row, 0)), row]));
}

function givenOf(input: Wanted): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    comparedColumns.flatMap((column) => {
      const value = input[column];
      if (value === undefined) return [];
      return [[column, column === 'title' ? (value ?? '') : value]];
    }),
  );
}
