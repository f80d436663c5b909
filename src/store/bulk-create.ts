import { bulkAnswer } from '../api/bulk-answer.js';
import type { InputFor } from '../api/registry.js';
import type { OperationResult } from '../api/results.js';
import { type Connection, inTransaction } from '../postgres/pool.js';
import { hashPassword } from '../runtime/password-hash.js';
import {
  asOwner,
  CODE_ATTEMPTS,
  insertLinks,
  type NewLinkItem,
  refusalOf,
  shownExisting,
} from './link-create.js';
import { findKey, findLinks } from './link-find.js';
import { failed, type OperationContext } from './operation.js';

/** Passwords hashed at one time: each takes a thread of the pool that also writes files. */
const HASHES_AT_ONCE = 2;

/** For a link that will not stay: no password matches. */
const NO_HASH = '-';

type Results = (OperationResult | undefined)[];

/** Thrown to undo an all-or-none request. */
class Undone extends Error {
  override readonly name = 'Undone';
}

/** Makes many links in one transaction, with a few statements, whatever their number. */
export async function createLinks(
  connection: Connection,
  { urls, atomic: isAtomic = false }: InputFor<'createLinks'>,
  context: OperationContext,
): Promise<OperationResult> {
  const endMs = Date.now() + context.deadlineMs;
  const results: Results = urls.map((url) => (url.ok ? undefined : failed(url.error, url.detail)));
  const items: (NewLinkItem | undefined)[] = urls.map((url) =>
    url.ok ? asOwner({ input: url.value, context }) : undefined,
  );
  for (const [index, item] of items.entries()) {
    if (item !== undefined) results[index] = await refusalOf(item);
  }
  // With all or none, one failure undoes the rest, but every item is tried, because each must report its
  // result.
  const isDoomed = isAtomic && hasFailure(results);
  if (!(await hashPasswords(items, results, isDoomed, endMs))) return failed('UNAVAILABLE');
  const isDone = await inTransaction(connection, async () => {
    await connection.query(`SET LOCAL statement_timeout = ${Math.max(1, endMs - Date.now())}`);
    await makeAll(connection, items, results);
    if (isAtomic && hasFailure(results)) throw new Undone();
    return true;
  }).catch((error: unknown) => {
    if (error instanceof Undone) return false;
    throw error;
  });
  // Committed only now: anything that a gateway read meanwhile is stale.
  if (isDone) invalidateAll(items, results, context);
  const all = results.map((result) => result ?? failed('UNAVAILABLE'));
  return bulkAnswer('created', all, { isAtomic });
}

function hasFailure(results: Results): boolean {
  return results.some((result) => result?.ok === false);
}

/** Runs before the transaction, which would wait for it. @returns whether it was done in time. */
async function hashPasswords(
  items: (NewLinkItem | undefined)[],
  results: Results,
  isDoomed: boolean,
  endMs: number,
): Promise<boolean> {
  const waiting = [...items.entries()].filter(
    ([index, item]) => results[index] === undefined && typeof item?.input.password === 'string',
  );
  const work = async (): Promise<void> => {
    for (let next = waiting.pop(); next !== undefined && Date.now() < endMs; next = waiting.pop()) {
      const [index, item] = next;
      const { password } = (item as NewLinkItem).input;
      const passwordHash = isDoomed ? NO_HASH : await hashPassword(password as string);
      items[index] = { ...(item as NewLinkItem), passwordHash };
    }
  };
  await Promise.all(Array.from({ length: HASHES_AT_ONCE }, work));
  return Date.now() < endMs;
}

async function makeAll(
  connection: Connection,
  items: readonly (NewLinkItem | undefined)[],
  results: Results,
): Promise<void> {
  const open = [...items.keys()].filter((index) => results[index] === undefined);
  const wantsFind = (index: number): boolean => items[index]?.input.find_if_exists === true;
  const toMake = open.filter((index) => !wantsFind(index));
  const toFind = open.filter(wantsFind);
  await insert(connection, items, toMake, results);
  if (toFind.length > 0) await findOrInsert(connection, items, toFind, results);
}

/** Inserts, repeatedly while generated codes turn out to be taken. */
async function insert(
  connection: Connection,
  items: readonly (NewLinkItem | undefined)[],
  indexes: readonly number[],
  results: Results,
): Promise<void> {
  let open = indexes;
  for (let attempt = 0; attempt < CODE_ATTEMPTS && open.length > 0; attempt += 1) {
    const made = await insertLinks(
      connection,
      open.map((index) => items[index] as NewLinkItem),
    );
    for (const [order, result] of made.entries()) {
      if (result !== 'again') results[open[order] as number] = result;
    }
    open = open.filter((_, order) => made[order] === 'again');
  }
}

/**
 * Existing links, or new ones: of two simultaneous requests, one makes the link and the other finds it. Of
 * the items in one request with the same target, the first makes it and the others look again.
 */
async function findOrInsert(
  connection: Connection,
  items: readonly (NewLinkItem | undefined)[],
  indexes: readonly number[],
  results: Results,
): Promise<void> {
  const itemAt = (index: number): NewLinkItem => items[index] as NewLinkItem;
  // In one order: two requests then wait for each other and do not deadlock.
  await connection.query(
    `SELECT pg_advisory_xact_lock(lock) FROM
       (SELECT DISTINCT hashtextextended(key, 0) AS lock FROM unnest($1::text[]) AS key ORDER BY 1) AS locks`,
    [indexes.map((index) => findKey(itemAt(index).input))],
  );
  for (let open = indexes; open.length > 0; ) {
    const found = await findLinks(
      connection,
      open.map((index) => itemAt(index).input),
    );
    const toMake = new Map<string, number>();
    const next: number[] = [];
    for (const [place, index] of open.entries()) {
      const row = found.get(place);
      const key = findKey(itemAt(index).input);
      if (row !== undefined) results[index] = shownExisting(row, itemAt(index));
      else if (toMake.has(key)) next.push(index);
      else toMake.set(key, index);
    }
    await insert(connection, items, [...toMake.values()], results);
    open = next;
  }
}

function invalidateAll(
  items: readonly (NewLinkItem | undefined)[],
  results: Results,
  context: OperationContext,
): void {
  for (const [index, result] of results.entries()) {
    if (result?.ok !== true || result.isExisting === true || result.shortCode === undefined) continue;
    context.invalidate(result.shortCode);
    if (items[index]?.input.short_code !== undefined) context.noteChosenCode();
  }
}
