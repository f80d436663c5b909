import type { ConflictRule, ImportedField, ImportedLink } from '../api/link-import.js';
import { isReserved } from '../api/registry.js';
import { formatTimestamp } from '../api/values.js';
import type { ErrorCode } from '../errors.js';
import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';
import { insertFrom, optionIn, optionNames, storedOptions } from './link-columns.js';
import { CODE_ATTEMPTS } from './link-create.js';
import { type LinkRow, links } from './link-table.js';
import { changeRefusal, updateDetails } from './link-update.js';
import type { LinkSettings } from './operation.js';
import { makeShortCode } from './short-codes.js';

/** A row of a file, checked by itself. No two of a batch choose one code. */
export interface ImportRow {
  readonly link: ImportedLink;
  readonly passwordHash: string | undefined;
}

export type ImportOutcome =
  | { readonly is: 'imported' | 'updated'; readonly shortCode: string }
  | { readonly is: 'skipped' }
  | { readonly is: 'failed'; readonly error: ErrorCode };

export interface ImportRules {
  readonly onConflict: ConflictRule;
  /** The columns that the file has; only these are changed. */
  readonly fields: ReadonlySet<ImportedField>;
  readonly settings: LinkSettings;
  /** The only user whose links are made and changed; `undefined` for all. */
  readonly owner: string | undefined;
}

const ownersStatement: Statement = {
  name: 'import_owners',
  text: 'SELECT id FROM users WHERE id = ANY ($1::bigint[]) ORDER BY id FOR KEY SHARE',
};

const insertStatement: Statement = {
  name: 'import_links',
  text: `
    WITH input AS (
      SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::boolean[],
                           $7::timestamp[], $8::timestamp[], $9::json[])
        AS input (user_id, original_url, title, is_active, short_code, is_chosen, created_at, updated_at, options)
    ), made AS (
      ${insertFrom('input', 'updated_at')}
      RETURNING id, user_id, short_code, original_url
    ), logged AS (
      INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
      SELECT id, user_id, 'created', $10::timestamp,
        ('{"short_code":' || to_json(short_code) || ',"original_url":' || to_json(original_url) || '}')::json
      FROM made
    )
    SELECT short_code FROM made`,
};

const lockStatement: Statement = {
  name: 'import_lock',
  text: `SELECT ${links.columns}, password_hash FROM short_urls
         WHERE short_code = ANY ($1::text[]) AND ($2::bigint IS NULL OR user_id = $2) ORDER BY id FOR NO KEY UPDATE`,
};

const updateStatement: Statement = {
  name: 'import_update',
  text: `
    UPDATE short_urls SET user_id = (new->>'user_id')::bigint, original_url = new->>'original_url',
      title = new->>'title', is_active = (new->>'is_active')::boolean,
      created_at = (new->>'created_at')::timestamp, updated_at = (new->>'updated_at')::timestamp,
      ${optionNames.map((name) => `${name} = ${optionIn('new', name)}`).join(', ')},
      claimed_clicks = CASE WHEN max_clicks IS NULL AND new->>'max_clicks' IS NOT NULL THEN 0 ELSE claimed_clicks END,
      password_hash = coalesce(new->>'password_hash', password_hash)
    FROM unnest($1::bigint[], $2::json[]) AS changed (changed_id, new) WHERE id = changed_id
    RETURNING ${links.columns}, password_hash`,
};

const logStatement: Statement = {
  name: 'import_log_update',
  text: `INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
         SELECT id, user_id, 'updated', $3::timestamp, details
         FROM unnest($1::bigint[], $2::json[]) AS changed (id, details) JOIN short_urls USING (id)`,
};

/** A link made by an owner belongs to them. */
export function asOwner(link: ImportedLink, owner: string | undefined): ImportedLink {
  return owner === undefined || typeof link.user_id === 'string' ? link : { ...link, user_id: owner };
}

/** A row's results that need no database. */
export function rowRefusal(
  { short_code: code, has_password: has, password, user_id: userId }: ImportedLink,
  owner: string | undefined,
): ErrorCode | undefined {
  if (owner !== undefined && userId !== owner) return 'USER_NOT_FOUND';
  if (code !== undefined && isReserved(code)) return 'SHORT_CODE_RESERVED';
  // A protected link must never become public.
  return has === true && typeof password !== 'string' ? 'PASSWORD_LOST' : undefined;
}

/** Stores a batch of rows, within a transaction. @returns in the order of the rows. */
export async function importBatch(
  connection: Connection,
  rows: readonly ImportRow[],
  rules: ImportRules,
): Promise<ImportOutcome[]> {
  const outcomes: (ImportOutcome | undefined)[] = [];
  // In the order of the whole store: users, then links.
  const wanted = [...new Set(rows.flatMap(({ link }) => link.user_id ?? []))];
  const owners = new Set(
    wanted.length === 0
      ? []
      : (await rowsOf<[string]>(connection, ownersStatement, [wanted])).map(([id]) => id),
  );
  for (const [index, { link }] of rows.entries()) {
    if (typeof link.user_id === 'string' && !owners.has(link.user_id))
      outcomes[index] = { is: 'failed', error: 'USER_NOT_FOUND' };
  }
  const open = [...rows.keys()].filter((index) => outcomes[index] === undefined);
  const hasTarget = (index: number): boolean => rows[index]?.link.original_url !== undefined;
  const taken = await insert(connection, rows, open.filter(hasTarget), rules, outcomes);
  const existing = [...taken, ...open.filter((index) => !hasTarget(index))];
  if (rules.onConflict === 'update') {
    await update(connection, rows, existing, rules, outcomes);
  } else {
    for (const index of existing) {
      if (!hasTarget(index)) outcomes[index] = { is: 'failed', error: 'INVALID_ORIGINAL_URL' };
      else if (rules.onConflict === 'skip') outcomes[index] = { is: 'skipped' };
      else outcomes[index] = { is: 'failed', error: 'SHORT_CODE_TAKEN' };
    }
  }
  return rows.map((_, index) => outcomes[index] ?? { is: 'failed', error: 'UNAVAILABLE' });
}

/** @returns those whose chosen code exists already. */
async function insert(
  connection: Connection,
  rows: readonly ImportRow[],
  indexes: readonly number[],
  { settings }: ImportRules,
  outcomes: (ImportOutcome | undefined)[],
): Promise<number[]> {
  const taken: number[] = [];
  const now = formatTimestamp(Date.now());
  let open = indexes;
  for (let attempt = 0; attempt < CODE_ATTEMPTS && open.length > 0; attempt += 1) {
    const batch = open.map((index) => rows[index] as ImportRow);
    const codes = codesFor(batch, settings.codeLength);
    const created = batch.map(({ link }) => link.created_at ?? now);
    const made = await rowsOf<[string]>(connection, insertStatement, [
      batch.map(({ link }) => link.user_id),
      batch.map(({ link }) => link.original_url),
      batch.map(({ link }) => link.title ?? ''),
      batch.map(({ link }) => link.is_active ?? true),
      codes,
      batch.map(({ link }) => link.short_code !== undefined),
      created,
      batch.map(({ link }, order) => link.updated_at ?? created[order]),
      batch.map(({ link, passwordHash }) => storedOptions(link, passwordHash, settings.redirectStatus)),
      now,
    ]);
    const known = new Set(made.map(([code]) => code));
    const again: number[] = [];
    for (const [order, index] of open.entries()) {
      const code = codes[order] as string;
      if (known.has(code)) outcomes[index] = { is: 'imported', shortCode: code };
      else if (rows[index]?.link.short_code === undefined) again.push(index);
      else taken.push(index);
    }
    open = again;
  }
  return taken;
}

/** A code for each row, chosen or generated, no two alike. */
function codesFor(rows: readonly ImportRow[], codeLength: number): string[] {
  const used = new Set(rows.flatMap(({ link }) => link.short_code ?? []));
  return rows.map(({ link }) => {
    if (link.short_code !== undefined) return link.short_code;
    for (;;) {
      const code = makeShortCode(link.code_length ?? codeLength);
      if (used.has(code)) continue;
      used.add(code);
      return code;
    }
  });
}

async function update(
  connection: Connection,
  rows: readonly ImportRow[],
  indexes: readonly number[],
  rules: ImportRules,
  outcomes: (ImportOutcome | undefined)[],
): Promise<void> {
  if (indexes.length === 0) return;
  const codeAt = (index: number): string | undefined => rows[index]?.link.short_code;
  const found = await links.rows(connection, lockStatement, [indexes.map(codeAt), rules.owner ?? null]);
  const before = new Map(found.map((row) => [links.value(row, 'short_code'), row]));
  const now = formatTimestamp(Date.now());
  const ids: string[] = [];
  const values: string[] = [];
  for (const index of indexes) {
    const row = rows[index] as ImportRow;
    const code = codeAt(index);
    const old = code === undefined ? undefined : before.get(code);
    if (old === undefined || code === undefined) {
      const error = row.link.original_url === undefined ? 'INVALID_ORIGINAL_URL' : 'SHORT_CODE_TAKEN';
      outcomes[index] = { is: 'failed', error };
      continue;
    }
    const change = changeOf(row.link, rules.fields);
    const refusal = changeRefusal(change, old);
    if (refusal !== undefined) {
      outcomes[index] = { is: 'failed', error: refusal };
      continue;
    }
    ids.push(links.value(old, 'id'));
    values.push(JSON.stringify({ ...storedValues(old, now), ...change, password_hash: row.passwordHash }));
    outcomes[index] = { is: 'updated', shortCode: code };
  }
  const changed = await links.rows(connection, updateStatement, [ids, values]);
  const details = changed.map((row) =>
    JSON.stringify(updateDetails(before.get(links.value(row, 'short_code')) as LinkRow, row)),
  );
  await rowsOf(connection, logStatement, [changed.map((row) => links.value(row, 'id')), details, now]);
}

/** The value of a field whose cell is empty; others stay as they are. */
const emptied = {
  title: '',
  user_id: null,
  cache_seconds: null,
  valid_since: null,
  expires_at: null,
  expired_url: null,
  max_clicks: null,
  tags: [],
} as const satisfies { readonly [Field in ImportedField]?: unknown };

const keptFields = [
  'original_url',
  'is_active',
  'created_at',
  'updated_at',
  'redirect_status',
  'forward_query',
] as const satisfies readonly ImportedField[];

/** What a row changes of an existing link: only the file's columns. */
function changeOf(link: ImportedLink, fields: ReadonlySet<ImportedField>): Partial<ImportedLink> {
  const change: Record<string, unknown> = {};
  for (const [field, empty] of Object.entries(emptied)) {
    if (fields.has(field as ImportedField)) change[field] = link[field as ImportedField] ?? empty;
  }
  for (const field of keptFields) {
    if (fields.has(field) && link[field] !== undefined) change[field] = link[field];
  }
  return change as Partial<ImportedLink>;
}

/** A link's columns in the form that the update takes. */
function storedValues(row: LinkRow, now: string): Readonly<Record<string, unknown>> {
  const updatedAt = links.value(row, 'updated_at');
  return {
    user_id: links.value(row, 'user_id'),
    original_url: links.value(row, 'original_url'),
    title: links.value(row, 'title'),
    is_active: links.value(row, 'is_active'),
    created_at: links.value(row, 'created_at'),
    updated_at: updatedAt > now ? updatedAt : now,
    ...Object.fromEntries(optionNames.map((name) => [name, links.value(row, name)])),
    tags: JSON.parse(links.value(row, 'tags')),
  };
}
