import { bulkAnswer } from '../api/bulk-answer.js';
import type { InputFor } from '../api/registry.js';
import type { OperationResult } from '../api/results.js';
import { formatTimestamp } from '../api/values.js';
import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';
import { hashPassword } from '../runtime/password-hash.js';
import { deleteLockedLinks } from './deleted-links.js';
import { type LinkRow, linkJson, links } from './link-table.js';
import { changedColumns, changeRefusal, type LinkChange, updateDetails } from './link-update.js';
import { failed, nothingToShow, type OperationContext } from './operation.js';
import { targetRefusal } from './target-rules.js';

const lockStatement: Statement = {
  name: 'links_lock',
  text: `SELECT ${links.columns}, password_hash FROM short_urls
         WHERE id = ANY ($1::bigint[]) AND ($2::bigint IS NULL OR user_id = $2) ORDER BY id FOR NO KEY UPDATE`,
};

const logStatement: Statement = {
  name: 'links_log_update',
  text: `INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
         SELECT id, user_id, 'updated', updated_at, details
         FROM unnest($1::bigint[], $2::json[]) AS changed (id, details) JOIN short_urls USING (id)`,
};

const lockForDeleteStatement: Statement = {
  name: 'links_lock_for_delete',
  text: `SELECT id, short_code, is_chosen FROM short_urls
         WHERE id = ANY ($1::bigint[]) AND ($2::bigint IS NULL OR user_id = $2) ORDER BY id FOR UPDATE`,
};

/** Makes one change to many links; the bulk form of `updateLink`. */
export async function updateLinks(
  connection: Connection,
  { ids, set, atomic: isAtomic = false }: InputFor<'updateLinks'>,
  context: OperationContext,
): Promise<OperationResult> {
  const target = set.original_url;
  const refusal = target === undefined ? undefined : await targetRefusal(target, context);
  if (refusal !== undefined) return failed(refusal);
  const hash = typeof set.password === 'string' ? await hashPassword(set.password) : set.password;
  const rows = new Map<number, LinkRow>();
  const results = await inTransaction(connection, async () => {
    await limitStatements(connection, context);
    const found = await links.rows(connection, lockStatement, [usable(ids), context.owner ?? null]);
    const before = new Map(found.map((row) => [Number(links.value(row, 'id')), row]));
    const judged = ids.map((id): OperationResult => {
      const row = before.get(id);
      const reason = row === undefined ? 'URL_NOT_FOUND' : changeRefusal(set, row);
      return reason === undefined ? nothingToShow : failed(reason);
    });
    if (isAtomic && judged.some(({ ok }) => !ok)) return judged;
    const toChange = ids.filter((_, index) => judged[index]?.ok === true);
    for (const row of await store(connection, set, hash, toChange, before)) {
      rows.set(Number(links.value(row, 'id')), row);
    }
    return judged;
  });
  for (const row of rows.values()) context.invalidate(links.value(row, 'short_code'));
  const shown = results.map((result, index): OperationResult => {
    const row = rows.get(ids[index] as number);
    return row === undefined ? result : { ok: true, body: linkJson(row, context.origin) };
  });
  return bulkAnswer('updated', shown, { isAtomic, ids });
}

/**
 * @returns the links as they are now. A change without our fields leaves them as they were, without an event.
 */
async function store(
  connection: Connection,
  set: LinkChange,
  passwordHash: string | null | undefined,
  ids: readonly number[],
  before: ReadonlyMap<number, LinkRow>,
): Promise<LinkRow[]> {
  const columns = changedColumns(set, passwordHash);
  const names = Object.keys(columns);
  if (ids.length === 0 || names.length === 0) return ids.map((id) => before.get(id) as LinkRow);
  const assignments = names.map((name, index) => `${name} = $${index + 3}`);
  // A new limit starts at zero; a changed one keeps the count.
  if (typeof set.max_clicks === 'number')
    assignments.push('claimed_clicks = CASE WHEN max_clicks IS NULL THEN 0 ELSE claimed_clicks END');
  const { rows } = await connection.query<(string | null)[]>({
    text: `UPDATE short_urls SET updated_at = greatest(updated_at, $2), ${assignments.join(', ')}
           WHERE id = ANY ($1::bigint[]) RETURNING ${links.columns}, password_hash`,
    values: [ids, formatTimestamp(Date.now()), ...names.map((name) => columns[name])],
    rowMode: 'array',
  });
  const changed = rows as readonly (readonly (string | null)[])[] as LinkRow[];
  const details = changed.map((row) => {
    const old = before.get(Number(links.value(row, 'id'))) as LinkRow;
    return JSON.stringify(updateDetails(old, row));
  });
  await rowsOf(connection, logStatement, [changed.map((row) => links.value(row, 'id')), details]);
  return changed;
}

/** Deletes many links with their events. */
export async function deleteLinks(
  connection: Connection,
  { ids, atomic: isAtomic = false }: InputFor<'deleteLinks'>,
  context: OperationContext,
): Promise<OperationResult> {
  const gone: string[] = [];
  let isChosen = false;
  const results = await inTransaction(connection, async () => {
    await limitStatements(connection, context);
    const rows = await rowsOf<[string, string, string]>(connection, lockForDeleteStatement, [
      usable(ids),
      context.owner ?? null,
    ]);
    const known = new Map(rows.map(([id, code]) => [Number(id), code]));
    const judged = ids.map((id) => (known.has(id) ? nothingToShow : failed('URL_NOT_FOUND')));
    if (known.size === 0 || (isAtomic && known.size < ids.length)) return judged;
    await deleteLockedLinks(connection, [...known.keys()]);
    gone.push(...known.values());
    isChosen = rows.some((row) => row[2] === 't');
    return judged;
  });
  for (const code of gone) context.invalidate(code);
  if (isChosen) context.noteChosenCode();
  return bulkAnswer('deleted', results, { isAtomic, ids });
}

/** Ids that a row can have; an inexact number is none. */
function usable(ids: readonly number[]): number[] {
  return ids.filter((id) => Number.isSafeInteger(id) && id >= 1);
}

/** Its duration depends on the data, until the caller stops waiting. */
async function limitStatements(connection: Connection, { deadlineMs }: OperationContext): Promise<void> {
  await connection.query(`SET LOCAL statement_timeout = ${Math.max(1, Math.ceil(deadlineMs))}`);
}
