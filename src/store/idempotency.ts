import { createHmac, timingSafeEqual } from 'node:crypto';
import type { OperationResult } from '../api/results.js';
import { type ErrorCode, errorRegistry } from '../errors.js';
import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';
import { failed, type OperationContext, type WriteOperation } from './operation.js';

/** A request with an Idempotency-Key. Both are SHA-256 in hex. */
export interface IdempotentRequest {
  /** Of the API key's id and the idempotency key. */
  readonly keyHash: string;
  /** Of the method, the path with its query, and the body. */
  readonly requestHash: string;
}

/**
 * One request at a time for each key; the lock ends with the transaction, or with the connection of a dead
 * server.
 */
const lockStatement: Statement = {
  name: 'idempotency_lock',
  text: `SELECT pg_try_advisory_xact_lock(hashtextextended('idempotency ' || $1, 0))`,
};

/** A separate statement after the lock, to see what its previous holder has committed. */
const findStatement: Statement = {
  name: 'idempotency_find',
  text: `SELECT encode(secret, 'hex'), encode(request_mac, 'hex'), result
         FROM idempotency_secret LEFT JOIN idempotency_keys
           ON key_hash = decode($1, 'hex') AND kept_at > now() - interval '24 hours'`,
};

const keepStatement: Statement = {
  name: 'idempotency_keep',
  text: `INSERT INTO idempotency_keys (key_hash, request_mac, result, user_ids)
         VALUES (decode($1, 'hex'), decode($2, 'hex'), $3, $4::bigint[])
         ON CONFLICT (key_hash) DO UPDATE
           SET request_mac = excluded.request_mac, result = excluded.result, user_ids = excluded.user_ids,
               kept_at = excluded.kept_at`,
};

/** Answers with the given refusal: a gateway's verdict on a body is kept like any answer. */
export const refuseRequest: WriteOperation<{ readonly error: ErrorCode; readonly detail?: string }> = {
  kind: 'write',
  run: (_connection, { error, detail }) => Promise.resolve(failed(error, detail)),
};

/** Thrown to undo a request whose answer is not kept. */
class NotKept extends Error {
  override readonly name = 'NotKept';
  readonly result: OperationResult;

  constructor(result: OperationResult) {
    super('the answer is not kept');
    this.result = result;
  }
}

/**
 * Performs a request once, in one transaction with storing its answer, which repeated requests get again for
 * 24 hours. A failure that is not the request's fault is undone, and the request may be repeated.
 * @param work Gets a context that makes its announcements after the commit.
 */
export async function runOnce(
  connection: Connection,
  { keyHash, requestHash }: IdempotentRequest,
  input: unknown,
  context: OperationContext,
  work: (context: OperationContext) => Promise<OperationResult>,
): Promise<OperationResult> {
  const announcements: (() => void)[] = [];
  const collecting: OperationContext = {
    ...context,
    invalidate: (code) => announcements.push(() => context.invalidate(code)),
    noteChosenCode: () => announcements.push(() => context.noteChosenCode()),
  };
  const result = await inTransaction(connection, async () => {
    // Work between two statements, such as hashing the passwords of many links, may take long.
    await connection.query(
      `SET LOCAL idle_in_transaction_session_timeout = ${Math.max(1, Math.ceil(context.deadlineMs))}`,
    );
    const [lock] = await rowsOf<[string]>(connection, lockStatement, [keyHash]);
    if (lock?.[0] !== 't') return failed('IDEMPOTENCY_UNDER_WAY');
    const [found] = await rowsOf<[string, string | null, string | null]>(connection, findStatement, [
      keyHash,
    ]);
    if (found === undefined) throw new Error('the database has no secret for idempotency keys');
    const [secret, keptMac, kept] = found;
    const mac = createHmac('sha256', Buffer.from(secret, 'hex')).update(requestHash).digest();
    if (keptMac !== null && kept !== null) {
      if (!timingSafeEqual(Buffer.from(keptMac, 'hex'), mac)) return failed('IDEMPOTENCY_KEY_REUSED');
      return { ...(JSON.parse(kept) as OperationResult), isReplayed: true as const };
    }
    const first = await work(collecting);
    if (!isKept(first)) throw new NotKept(first);
    const values = [keyHash, mac.toString('hex'), JSON.stringify(first), usersOf(input, first, context)];
    await rowsOf(connection, keepStatement, values);
    return first;
  }).catch((error: unknown) => {
    if (!(error instanceof NotKept)) throw error;
    announcements.length = 0;
    return error.result;
  });
  for (const announce of announcements) announce();
  return result;
}

function isKept(result: OperationResult): boolean {
  return result.ok || [400, 404, 409].includes(errorRegistry[result.error].status);
}

/** The users whose data a request or its answer may show; the answer is deleted with them. */
function usersOf(input: unknown, result: OperationResult, { owner }: OperationContext): string[] {
  const { user_id, username, urls } = input as {
    readonly user_id?: unknown;
    readonly username?: unknown;
    readonly urls?: readonly { readonly value?: { readonly user_id?: unknown } }[];
  };
  const ids = [owner, user_id, ...(urls ?? []).map(({ value }) => value?.user_id)];
  // Only a request for a new user has a name.
  if (username !== undefined && result.ok) ids.push(result.id);
  return [...new Set(ids.filter((id) => typeof id === 'string'))];
}

/** Deletes answers that were kept long enough. */
export async function forgetOldAnswers(connection: Connection): Promise<void> {
  await connection.query("DELETE FROM idempotency_keys WHERE kept_at <= now() - interval '24 hours'");
}
