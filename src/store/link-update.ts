import type { InputFor } from '../api/registry.js';
import type { OperationResult } from '../api/results.js';
import { formatTimestamp } from '../api/values.js';
import type { ErrorCode } from '../errors.js';
import { type Connection, inTransaction, type Statement } from '../postgres/pool.js';
import { hashPassword } from '../runtime/password-hash.js';
import { optionNames } from './link-columns.js';
import { type LinkRow, linkJson, links } from './link-table.js';
import { failed, type OperationContext } from './operation.js';
import { targetRefusal } from './target-rules.js';

type Change = InputFor<'updateLink'>;
/** The requested change, for any link. */
export type LinkChange = Omit<Change, 'id'>;

/** Columns that are stored as given. */
const givenColumns = ['title', 'is_active', 'original_url', ...optionNames] as const;

const lockStatement: Statement = {
  name: 'link_lock',
  text: `SELECT ${links.columns}, password_hash FROM short_urls WHERE id = $1 AND ($2::bigint IS NULL OR user_id = $2) FOR NO KEY UPDATE`,
};

/** The update's result: the row, or why there is none. */
type Outcome = { readonly row: LinkRow } | { readonly refusal: OperationResult };

/**
 * Changes the given fields and stores an `updated` event, which shows the link's present state and names
 * other changed fields, without their values. A request without our fields gives the link as it is, without
 * an event.
 */
export async function updateLink(
  connection: Connection,
  change: Change,
  context: OperationContext,
): Promise<OperationResult> {
  const target = change.original_url;
  const refusal = target === undefined ? undefined : await targetRefusal(target, context);
  if (refusal !== undefined) return failed(refusal);
  const passwordHash =
    typeof change.password === 'string' ? await hashPassword(change.password) : change.password;
  const outcome = await inTransaction(connection, () =>
    update(connection, change, passwordHash, context.owner),
  );
  if ('refusal' in outcome) return outcome.refusal;
  context.invalidate(links.value(outcome.row, 'short_code'));
  return { ok: true, body: linkJson(outcome.row, context.origin) };
}

async function update(
  connection: Connection,
  change: Change,
  passwordHash: string | null | undefined,
  owner: string | undefined,
): Promise<Outcome> {
  const [before] = await links.rows(connection, lockStatement, [change.id, owner ?? null]);
  if (before === undefined) return { refusal: failed('URL_NOT_FOUND') };
  const refusal = changeRefusal(change, before);
  if (refusal !== undefined) return { refusal: failed(refusal) };
  const columns = changedColumns(change, passwordHash);
  if (Object.keys(columns).length === 0) return { row: before };
  // A new limit starts at zero; a changed one keeps the count.
  if (typeof change.max_clicks === 'number' && links.value(before, 'max_clicks') === null)
    columns.claimed_clicks = 0;
  return { row: await store(connection, change.id, columns, before) };
}

/** Why this link can't be changed so. */
export function changeRefusal(
  change: Pick<LinkChange, 'short_code' | 'valid_since' | 'expires_at'>,
  before: LinkRow,
): ErrorCode | undefined {
  const code = links.value(before, 'short_code');
  if (change.short_code !== undefined && change.short_code !== code) return 'SHORT_CODE_FIXED';
  const since = change.valid_since === undefined ? links.value(before, 'valid_since') : change.valid_since;
  const until = change.expires_at === undefined ? links.value(before, 'expires_at') : change.expires_at;
  // Both are UTC in one format: they sort as text.
  return since !== null && until !== null && until <= since ? 'EXPIRES_BEFORE_VALID' : undefined;
}

/** The columns that a change sets, with their values. */
export function changedColumns(
  change: LinkChange,
  passwordHash: string | null | undefined,
): Record<string, unknown> {
  const columns: Record<string, unknown> = Object.fromEntries(
    givenColumns.flatMap((column) => (change[column] === undefined ? [] : [[column, change[column]]])),
  );
  if (passwordHash !== undefined) columns.password_hash = passwordHash;
  return columns;
}

async function store(
  connection: Connection,
  id: string,
  columns: Readonly<Record<string, unknown>>,
  before: LinkRow,
): Promise<LinkRow> {
  const names = Object.keys(columns);
  const assignments = names.map((name, index) => `${name} = $${index + 3}`).join(', ');
  const { rows } = await connection.query<(string | null)[]>({
    text: `UPDATE short_urls SET updated_at = greatest(updated_at, $2), ${assignments}
           WHERE id = $1 RETURNING ${links.columns}, password_hash`,
    values: [id, formatTimestamp(Date.now()), ...names.map((name) => columns[name])],
    rowMode: 'array',
  });
  const row = rows[0] as LinkRow;
  await connection.query({
    name: 'link_log_update',
    text: `INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
           SELECT id, user_id, 'updated', updated_at, $2 FROM short_urls WHERE id = $1`,
    values: [id, JSON.stringify(updateDetails(before, row))],
  });
  return row;
}

/** The details of an `updated` event. Both rows have the password's hash after their columns. */
export function updateDetails(before: LinkRow, after: LinkRow): Record<string, unknown> {
  const changed: string[] = optionNames.filter(
    (name) => links.value(before, name) !== links.value(after, name),
  );
  if (links.extra(before, 0) !== links.extra(after, 0)) changed.push('password');
  const target = links.value(after, 'original_url');
  return {
    title: links.value(after, 'title'),
    is_active: links.value(after, 'is_active') === 't',
    ...(target === links.value(before, 'original_url') ? {} : { original_url: target }),
    ...(changed.length === 0 ? {} : { changed }),
  };
}
