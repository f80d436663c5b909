import type { InputFor } from '../api/registry.js';
import { isReserved } from '../api/registry.js';
import type { OperationResult } from '../api/results.js';
import { formatTimestamp } from '../api/values.js';
import { errorCodeOf } from '../postgres/failures.js';
import { type Connection, inTransaction, type Statement } from '../postgres/pool.js';
import { hashPassword } from '../runtime/password-hash.js';
import { insertFrom, storedOptions } from './link-columns.js';
import { findKey, findLink } from './link-find.js';
import { type LinkRow, linkJson, links, shortUrlOf } from './link-table.js';
import { type BatchItem, type BatchOperation, failed } from './operation.js';
import { insertPlainLinks, isPlain } from './plain-links.js';
import { makeShortCode } from './short-codes.js';
import { targetRefusal } from './target-rules.js';

export type NewLink = InputFor<'createLink'>;
/** A link to be made; its password may have been hashed before. */
export interface NewLinkItem extends BatchItem<NewLink> {
  readonly passwordHash?: string | undefined;
}
type Item = NewLinkItem;
type Succeeded = Extract<OperationResult, { ok: true }>;

/** How often to try new codes; a second try is needed once in millions of links. */
export const CODE_ATTEMPTS = 5;

/**
 * Many links and their `created` events in one statement and one commit. Owners are share-locked first, so that
 * none can be deleted meanwhile. A link whose owner is missing or whose code is taken is left out, and the caller
 * learns which it was. Options are JSON, for most links have none.
 */
const createStatement: Statement = {
  name: 'links_create',
  text: `
    WITH input AS (
      SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::boolean[],
                           $7::timestamp[], $8::json[], $9::json[])
        AS input (user_id, original_url, title, is_active, short_code, is_chosen, created_at, options, details)
    ), owners AS (
      SELECT id FROM users WHERE id = ANY ($1::bigint[]) ORDER BY id FOR KEY SHARE
    ), made AS (
      ${insertFrom('input WHERE user_id IS NULL OR user_id IN (SELECT id FROM owners)', 'created_at')}
      RETURNING ${links.columns}
    ), logged AS (
      INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
      SELECT made.id, made.user_id, 'created', made.created_at, input.details
      FROM made JOIN input USING (short_code)
    )
    SELECT ${links.columnsOf('made')}, input.short_code, input.user_id IS NULL OR owners.id IS NOT NULL
    FROM input LEFT JOIN owners ON owners.id = input.user_id LEFT JOIN made USING (short_code)`,
};

export const createLink: BatchOperation<NewLink> = {
  kind: 'batch',
  maxSize: 256,
  sizeForAnother: 24,
  async runAll(connection, given) {
    const items = given.map(asOwner);
    const results: (OperationResult | undefined)[] = await Promise.all(items.map(refusalOf));
    const toFind = [...items.keys()].filter(
      (index) => results[index] === undefined && items[index]?.input.find_if_exists === true,
    );
    const toMake = [...items.keys()].filter(
      (index) => results[index] === undefined && items[index]?.input.find_if_exists !== true,
    );
    await insertAll(connection, items, toMake, results);
    for (const index of toFind) {
      const item = items[index] as Item;
      results[index] = await findOrInsert(connection, item).catch((error: unknown) =>
        failed(errorCodeOf(error)),
      );
    }
    return results.map((result) => result ?? failed('UNAVAILABLE'));
  },
};

/** What an owner makes is theirs. */
export function asOwner(item: Item): Item {
  const { owner } = item.context;
  if (owner === undefined || item.input.user_id !== null) return item;
  return { ...item, input: { ...item.input, user_id: owner } };
}

/** What can be said without the database. */
export async function refusalOf({ input, context }: Item): Promise<OperationResult | undefined> {
  if (context.owner !== undefined && input.user_id !== context.owner) return failed('USER_NOT_FOUND');
  if (input.short_code !== undefined && isReserved(input.short_code)) return failed('SHORT_CODE_RESERVED');
  const refusal = await targetRefusal(input.original_url, context);
  return refusal === undefined ? undefined : failed(refusal);
}

/**
 * Inserts what is open, again and again while codes that were made turn out to be taken. Once something is
 * committed a failure is no longer thrown: whoever throws is run again.
 */
async function insertAll(
  connection: Connection,
  items: readonly Item[],
  indexes: readonly number[],
  results: (OperationResult | undefined)[],
): Promise<void> {
  let open = indexes;
  for (let attempt = 0; attempt < CODE_ATTEMPTS && open.length > 0; attempt += 1) {
    try {
      const made = await insertLinks(
        connection,
        open.map((index) => items[index] as Item),
      );
      for (const [order, result] of made.entries()) {
        if (result !== 'again') results[open[order] as number] = result;
      }
      open = open.filter((_, order) => made[order] === 'again');
    } catch (error) {
      if (attempt === 0) throw error;
      for (const index of open) results[index] = failed(errorCodeOf(error));
      return;
    }
  }
}

/** @returns in the order of the items; `'again'` where another link has the code that was made for it. */
export async function insertLinks(
  connection: Connection,
  items: readonly Item[],
): Promise<(OperationResult | 'again')[]> {
  const codes = codesFor(items);
  const now = items.filter((_, index) => codes[index] !== undefined);
  const ownCodes = codes.filter((code) => code !== undefined);
  const createdAt = formatTimestamp(Date.now());
  if (items.every(isPlain)) return insertPlain(connection, items, ownCodes, createdAt);
  const options = await Promise.all(now.map((item) => optionsOf(item, item.context.links.redirectStatus)));
  const rows = await links.rows(connection, createStatement, [
    now.map(({ input }) => input.user_id),
    now.map(({ input }) => input.original_url),
    now.map(({ input }) => input.title ?? ''),
    now.map(({ input }) => input.is_active ?? true),
    ownCodes,
    now.map(({ input }) => input.short_code !== undefined),
    now.map(() => createdAt),
    options,
    now.map(({ input }, index) =>
      JSON.stringify({ short_code: ownCodes[index], original_url: input.original_url }),
    ),
  ]);
  const byCode = new Map(rows.map((row) => [links.extra(row, 0), row]));
  return items.map((item, index) => {
    const code = codes[index];
    const row = byCode.get(code ?? item.input.short_code ?? '');
    // An item before this one asked for the same code. It went without only if its owner is missing.
    if (code === undefined)
      return row === undefined || links.extra(row, 1) !== 't' ? 'again' : failed('SHORT_CODE_TAKEN');
    if (row === undefined || links.extra(row, 1) !== 't') return failed('USER_NOT_FOUND');
    if (row[0] !== null) return created(row, item);
    return item.input.short_code === undefined ? 'again' : failed('SHORT_CODE_TAKEN');
  });
}

/** @param codes A made one for each item. */
async function insertPlain(
  connection: Connection,
  items: readonly Item[],
  codes: readonly string[],
  createdAt: string,
): Promise<(OperationResult | 'again')[]> {
  const targets = items.map(({ input }) => input.original_url);
  const ids = await insertPlainLinks(connection, targets, codes, createdAt);
  return items.map(({ input, context }, index) => {
    const code = codes[index] as string;
    const id = ids.get(code);
    if (id === undefined) return 'again';
    // A gateway may believe the new code to be unknown, or another spelling of it.
    context.invalidate(code);
    return shortly(code, id, input.original_url, context.origin);
  });
}

/** A code for each item, chosen or made; none for one that chose the code of an item before it. */
function codesFor(items: readonly Item[]): (string | undefined)[] {
  const chosen = new Set<string>();
  const codes = items.map(({ input: { short_code: code } }) => {
    if (code === undefined || chosen.has(code)) return undefined;
    chosen.add(code);
    return code;
  });
  const used = new Set(chosen);
  return items.map(({ input, context }, index) => {
    if (input.short_code !== undefined) return codes[index];
    for (;;) {
      const code = makeShortCode(input.code_length ?? context.links.codeLength);
      if (used.has(code)) continue;
      used.add(code);
      return code;
    }
  });
}

/** As `storedOptions`, with the password's hash. */
async function optionsOf({ input, passwordHash }: Item, defaultStatus: number): Promise<string | null> {
  const hash =
    passwordHash ?? (typeof input.password === 'string' ? await hashPassword(input.password) : undefined);
  return storedOptions(input, hash, defaultStatus);
}

function created(row: LinkRow, { input, context }: Item): OperationResult {
  const code = links.value(row, 'short_code');
  // A gateway may believe the new code to be unknown, or another spelling of it.
  context.invalidate(code);
  if (input.short_code !== undefined) context.noteChosenCode();
  return shown(row, input, context.origin);
}

function shown(row: LinkRow, input: NewLink, origin: string): Succeeded {
  const id = links.value(row, 'id');
  const code = links.value(row, 'short_code');
  if (input.answer === 'link') return { ok: true, body: linkJson(row, origin), id, shortCode: code };
  return shortly(code, id, links.value(row, 'original_url'), origin);
}

function shortly(code: string, id: string, target: string, origin: string): Succeeded {
  const fields = { short_code: code, short_url: shortUrlOf(code, origin), original_url: target };
  return { ok: true, body: `${JSON.stringify(fields).slice(0, -1)},"id":${id}}`, id, shortCode: code };
}

/** A link like this one, or a new one: of two who ask at once one makes it and the other finds it. */
async function findOrInsert(connection: Connection, item: Item): Promise<OperationResult> {
  const { input, context } = item;
  const found = await findLink(connection, input);
  if (found !== undefined) return shownExisting(found, item);
  const results: (OperationResult | undefined)[] = [undefined];
  const existing = await inTransaction(connection, async () => {
    await connection.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [findKey(input)]);
    const row = await findLink(connection, input);
    if (row === undefined) await insertAll(connection, [item], [0], results);
    return row;
  });
  if (existing !== undefined) return shownExisting(existing, item);
  const [result = failed('UNAVAILABLE')] = results;
  // Only now is it committed: what a gateway read meanwhile is not the truth.
  if (result.ok && result.shortCode !== undefined) context.invalidate(result.shortCode);
  return result;
}

export function shownExisting(row: LinkRow, { input, context }: Item): OperationResult {
  return { ...shown(row, input, context.origin), isExisting: true };
}
