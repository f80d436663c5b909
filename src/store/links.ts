import { addLink, noLinks, type ResolvedLinks } from '../api/redirect-link.js';
import type { InputFor } from '../api/registry.js';
import type { OperationResult } from '../api/results.js';
import { formatTimestamp } from '../api/values.js';
import { type Connection, inTransaction, type Statement } from '../postgres/pool.js';
import { selectList } from './lists.js';
import {
  type BatchItem,
  type BatchOperation,
  failed,
  type ListOperation,
  nothingToShow,
  type OperationContext,
} from './operation.js';
import { makeShortCodes } from './short-codes.js';
import { type Row, Table } from './table.js';

const links = new Table('short_urls', {
  id: { as: 'number' },
  user_id: { as: 'number', isNullable: true },
  short_code: { as: 'text' },
  original_url: { as: 'text' },
  title: { as: 'text' },
  is_active: { as: 'boolean' },
  created_at: { as: 'time' },
  updated_at: { as: 'time' },
  click_count: { as: 'number' },
});

type LinkRow = typeof links extends Table<infer C> ? Row<C> : never;

/** What a redirect needs, before the options of links that have any. */
const redirectColumns = new Table('short_urls', {
  short_code: { as: 'text' },
  id: { as: 'number' },
  user_id: { as: 'number', isNullable: true },
  original_url: { as: 'text' },
});

/** The options' times are whole seconds since 1970. */
const resolveStatement: Statement = {
  name: 'link_resolve',
  text: `SELECT ${redirectColumns.columns},
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
  name: 'link_get',
  text: `SELECT ${links.columns} FROM short_urls WHERE id = $1`,
};

/**
 * Many links and their `created` events in one statement and one commit. Owners are share-locked
 * first, so that none can be deleted meanwhile; a link whose owner is missing or whose code is taken
 * is left out, and the caller learns which it was.
 */
const createStatement: Statement = {
  name: 'links_create',
  text: `
    WITH input AS (
      SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::timestamp[], $7::json[])
        AS input (user_id, original_url, title, is_active, short_code, created_at, details)
    ), owners AS (
      SELECT id FROM users WHERE id = ANY ($1::bigint[]) ORDER BY id FOR KEY SHARE
    ), made AS (
      INSERT INTO short_urls (user_id, original_url, title, is_active, short_code, created_at, updated_at)
      SELECT user_id, original_url, title, is_active, short_code, created_at, created_at FROM input
      WHERE user_id IS NULL OR user_id IN (SELECT id FROM owners)
      ON CONFLICT (short_code) DO NOTHING
      RETURNING ${links.columns}
    ), logged AS (
      INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
      SELECT made.id, made.user_id, 'created', made.created_at, input.details
      FROM made JOIN input USING (short_code)
    )
    SELECT ${links.columnsOf('made')}, input.short_code, input.user_id IS NULL OR owners.id IS NOT NULL
    FROM input LEFT JOIN owners ON owners.id = input.user_id LEFT JOIN made USING (short_code)`,
};

/** The event says what the link is like now, and its target only where that is what changed. */
const updateStatement: Statement = {
  name: 'link_update',
  text: `
    WITH before AS (
      SELECT id AS link_id, original_url AS old_url FROM short_urls WHERE id = $1 FOR NO KEY UPDATE
    ), changed AS (
      UPDATE short_urls SET title = coalesce($2, title), is_active = coalesce($3, is_active),
        original_url = coalesce($4, original_url), updated_at = greatest(updated_at, $5)
      FROM before WHERE id = link_id RETURNING ${links.columns}, original_url <> old_url AS is_moved
    ), logged AS (
      INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
      SELECT id, user_id, 'updated', $5, CASE WHEN is_moved
        THEN json_build_object('title', title, 'is_active', is_active, 'original_url', original_url)
        ELSE json_build_object('title', title, 'is_active', is_active) END
      FROM changed
    )
    SELECT ${links.columns} FROM changed`,
};

/** The links of these codes that exist and are active, in no particular order. */
export async function resolveCodes(connection: Connection, codes: readonly string[]): Promise<ResolvedLinks> {
  const found = noLinks();
  for (const row of await redirectColumns.rows(connection, resolveStatement, [codes])) {
    addLink(found, {
      shortCode: redirectColumns.value(row, 'short_code'),
      urlId: redirectColumns.value(row, 'id'),
      userId: redirectColumns.value(row, 'user_id'),
      target: redirectColumns.value(row, 'original_url'),
      options: redirectColumns.extra(row, 0) ?? null,
    });
  }
  return found;
}

type NewLink = InputFor<'createLink'>;

/** New codes are tried so often; a second time is needed once in millions of links. */
const CODE_ATTEMPTS = 5;

const createLink: BatchOperation<NewLink> = {
  kind: 'batch',
  maxSize: 256,
  sizeForAnother: 24,
  async runAll(connection, items) {
    const results: OperationResult[] = items.map(() => failed('UNAVAILABLE'));
    let open = [...items.keys()];
    for (let attempt = 0; attempt < CODE_ATTEMPTS && open.length > 0; attempt += 1) {
      const made = await insertLinks(
        connection,
        open.map((index) => items[index] as BatchItem<NewLink>),
      );
      for (const [order, result] of made.entries()) {
        if (result !== 'taken') results[open[order] as number] = result;
      }
      open = open.filter((_, order) => made[order] === 'taken');
    }
    return results;
  },
};

/** @returns in the order of the items; `'taken'` where another link has the code that was made. */
async function insertLinks(
  connection: Connection,
  items: readonly BatchItem<NewLink>[],
): Promise<(OperationResult | 'taken')[]> {
  const codes = makeShortCodes(items.length);
  const createdAt = formatTimestamp(Date.now());
  const rows = await links.rows(connection, createStatement, [
    items.map(({ input }) => input.user_id),
    items.map(({ input }) => input.original_url),
    items.map(({ input }) => input.title),
    items.map(({ input }) => input.is_active),
    codes,
    items.map(() => createdAt),
    items.map(({ input }, index) =>
      JSON.stringify({ short_code: codes[index], original_url: input.original_url }),
    ),
  ]);
  const byCode = new Map(rows.map((row) => [links.extra(row, 0), row]));
  return items.map((item, index) => {
    const row = byCode.get(codes[index]);
    if (row === undefined || links.extra(row, 1) !== 't') return failed('USER_NOT_FOUND');
    return row[0] === null ? 'taken' : created(row, item);
  });
}

function created(row: LinkRow, { input, context }: BatchItem<NewLink>): OperationResult {
  const id = links.value(row, 'id');
  const code = links.value(row, 'short_code');
  // A gateway may believe the new code to be unknown.
  context.invalidate(code);
  if (input.answer === 'link') return { ok: true, body: links.json(row), id };
  const fields = {
    short_code: code,
    short_url: `${context.origin}/${code}`,
    original_url: input.original_url,
  };
  return { ok: true, body: `${JSON.stringify(fields).slice(0, -1)},"id":${id}}`, id };
}

async function getLink(connection: Connection, { id }: InputFor<'getLink'>): Promise<OperationResult> {
  const [row] = await links.rows(connection, getStatement, [id]);
  return row === undefined ? failed('URL_NOT_FOUND') : { ok: true, body: links.json(row) };
}

async function updateLink(
  connection: Connection,
  input: InputFor<'updateLink'>,
  { invalidate }: OperationContext,
): Promise<OperationResult> {
  const { id, title, is_active, original_url } = input;
  // Nothing of ours in it: the link as it is, and no `updated` event.
  if (title === undefined && is_active === undefined && original_url === undefined) {
    return getLink(connection, { id });
  }
  const values = [id, title ?? null, is_active ?? null, original_url ?? null, formatTimestamp(Date.now())];
  const [row] = await links.rows(connection, updateStatement, values);
  if (row === undefined) return failed('URL_NOT_FOUND');
  invalidate(links.value(row, 'short_code'));
  return { ok: true, body: links.json(row) };
}

/** Deletes a link, then its events. */
async function deleteLink(
  connection: Connection,
  { id }: InputFor<'deleteLink'>,
  { deadlineMs, invalidate }: OperationContext,
): Promise<OperationResult> {
  const code = await inTransaction(connection, async () => {
    await connection.query(`SET LOCAL statement_timeout = ${Math.ceil(deadlineMs)}`);
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
  if (code === undefined) return failed('URL_NOT_FOUND');
  invalidate(code);
  return nothingToShow;
}

const listLinks: ListOperation<InputFor<'listLinks'>> = {
  kind: 'list',
  table: links,
  select: (input, limit) =>
    selectList(links.columns, links.name, 'created_at DESC, id DESC', input, limit, {
      user_id: input.user_id,
      is_active: input.is_active === undefined ? undefined : String(input.is_active),
    }),
};

export const linkOperations = {
  createLink,
  getLink: { kind: 'read', run: getLink },
  updateLink: { kind: 'write', run: updateLink },
  deleteLink: { kind: 'long', run: deleteLink },
  listLinks,
} as const;
