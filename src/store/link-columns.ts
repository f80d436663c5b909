import type { InputFor } from '../api/registry.js';

interface OptionColumn {
  readonly type: 'smallint' | 'integer' | 'bigint' | 'boolean' | 'timestamp' | 'text' | 'text[]';
  /** What a link has that says nothing of it, in SQL; NULL where this is absent. */
  readonly otherwise?: string;
}

/**
 * What a link can do besides leading to its target, in the order of the API: the columns that are stored as they are
 * given. Creates, imports, changes and searches for an existing link take their lists from here.
 */
const columns = {
  redirect_status: { type: 'smallint', otherwise: '302' },
  cache_seconds: { type: 'integer' },
  valid_since: { type: 'timestamp' },
  expires_at: { type: 'timestamp' },
  expired_url: { type: 'text' },
  max_clicks: { type: 'bigint' },
  forward_query: { type: 'boolean', otherwise: 'false' },
  tags: { type: 'text[]', otherwise: `'{}'` },
} as const satisfies { readonly [Name in keyof InputFor<'createLink'>]?: OptionColumn };

export type OptionName = keyof typeof columns;
/** What is given of them. */
export type LinkOptions = Partial<Pick<InputFor<'createLink'>, OptionName>>;

export const optionNames = Object.keys(columns) as readonly OptionName[];

/** SQL of an option's value in a JSON object; NULL, or no tags, where it is not in it. */
export function optionIn(json: string, name: OptionName): string {
  const { type } = columns[name];
  if (type === 'text[]') return `ARRAY(SELECT json_array_elements_text(${json}->'${name}'))`;
  return type === 'text' ? `${json}->>'${name}'` : `(${json}->>'${name}')::${type}`;
}

/** SQL of a new link's value: `options` is a JSON object with what differs from a plain link, NULL where nothing does. */
function optionOfNew(name: OptionName): string {
  const column: OptionColumn = columns[name];
  const value = optionIn('options', name);
  // A plain link has no list to be read.
  if (column.type === 'text[]') return `CASE WHEN options IS NULL THEN ${column.otherwise} ELSE ${value} END`;
  return column.otherwise === undefined ? value : `coalesce(${value}, ${column.otherwise})`;
}

/**
 * SQL that inserts links, in the order of their codes, so that two statements never wait for each other. One whose
 * code is taken is left out.
 * @param source What follows FROM: rows with the columns that are named here, and `options`.
 * @param updatedAt SQL of the time of their last change.
 */
export function insertFrom(source: string, updatedAt: string): string {
  return `
    INSERT INTO short_urls (user_id, original_url, title, is_active, short_code, is_chosen, created_at, updated_at,
      password_hash, ${optionNames.join(', ')})
    SELECT user_id, original_url, title, is_active, short_code, is_chosen, created_at, ${updatedAt},
      options->>'password_hash', ${optionNames.map(optionOfNew).join(', ')}
    FROM ${source}
    ORDER BY short_code
    ON CONFLICT (short_code) DO NOTHING`;
}

/** `options` of a new link: what differs from a plain link's, as JSON; `null` for a plain link. */
export function storedOptions(
  given: LinkOptions,
  passwordHash: string | undefined,
  defaultStatus: number,
): string | null {
  const stored: Record<string, unknown> = {};
  for (const name of optionNames) {
    const value = given[name];
    if (name === 'redirect_status') {
      const status = value ?? defaultStatus;
      if (status !== 302) stored[name] = status;
    } else if (!isPlain(value)) stored[name] = value;
  }
  if (passwordHash !== undefined) stored.password_hash = passwordHash;
  return Object.keys(stored).length === 0 ? null : JSON.stringify(stored);
}

function isPlain(value: LinkOptions[OptionName]): boolean {
  if (value === undefined || value === null || value === false) return true;
  return Array.isArray(value) && value.length === 0;
}
