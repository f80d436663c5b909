import type { ErrorCode } from '../errors.js';

/**
 * What to do about a failed statement:
 * - `again`: nothing is wrong with it; the same transaction may succeed the next time;
 * - `reconnect`: what this connection has prepared is out of date; on a fresh one it may succeed;
 * - `unavailable`: PostgreSQL can't be reached or does not work now; after a broken connection it is unknown
 *   whether a write was committed;
 * - `incomplete`: PostgreSQL works, but tables or indexes of ours are missing, as during a restore;
 * - `conflict`: the row conflicts with an existing one;
 * - `rejected`: the data can't be stored; the same data will never be accepted;
 * - `fault`: our mistake, or a database that needs its operator.
 */
export type RetryDecision =
  | 'again'
  | 'reconnect'
  | 'unavailable'
  | 'incomplete'
  | 'conflict'
  | 'rejected'
  | 'fault';

/** By SQLSTATE, or by its class (the first two characters) if a whole class is alike. */
const decisions: Readonly<Record<string, RetryDecision>> = {
  '40001': 'again', // serialization failure
  '40P01': 'again', // deadlock detected
  '0A000': 'reconnect', // cached plan must not change result type: the schema was changed
  '26000': 'reconnect', // no such prepared statement: DEALLOCATE or DISCARD by somebody else
  '08': 'unavailable', // connection exceptions
  '25006': 'unavailable', // read-only transaction: a standby after a switch-over
  '25P03': 'unavailable', // idle-in-transaction timeout
  '28': 'unavailable', // authorization: a password being rotated, pg_hba being changed
  '3D000': 'unavailable', // database is gone
  '53': 'unavailable', // out of disk, memory or connections
  '55000': 'unavailable', // the database does not accept connections
  '55006': 'unavailable', // the database is being dropped, renamed or copied
  '55P03': 'unavailable', // lock not available in time
  '57': 'unavailable', // cancelled by timeout, shut down, crashed, starting
  '58': 'unavailable', // system errors of the server's machine
  '3F000': 'incomplete', // no such schema
  '42P01': 'incomplete', // no such table
  '42P10': 'incomplete', // no such unique index: a restore makes them last
  '23': 'conflict', // constraint violations
  '23502': 'rejected', // a value is missing
  '23514': 'rejected', // a check says no
  '22': 'rejected', // data exceptions
  '2200H': 'fault', // a sequence is exhausted: no data of any caller's can mend that
  '54': 'rejected', // too deep, too long, too complex
};

/** Error codes of sockets and of the pool, which carry no SQLSTATE. */
const socketFailures = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'ENOENT',
]);

/** The SQLSTATE of an error that PostgreSQL reported. Codes of system calls (EROFS, EPIPE) only look like one. */
export function sqlStateOf(error: unknown): string | undefined {
  const { code, syscall } = (error ?? {}) as { code?: unknown; syscall?: unknown };
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && syscall === undefined ? code : undefined;
}

/** Whether a row found no partition: the SQLSTATE of a check, without a constraint's name. */
export function lacksPartition(error: unknown): boolean {
  const { table, constraint } = (error ?? {}) as { table?: string; constraint?: string };
  return sqlStateOf(error) === '23514' && table !== undefined && constraint === undefined;
}

export function retryDecisionOf(error: unknown): RetryDecision {
  const sqlState = sqlStateOf(error);
  if (lacksPartition(error)) return 'again';
  if (sqlState !== undefined) return decisions[sqlState] ?? decisions[sqlState.slice(0, 2)] ?? 'fault';
  if (isConnectionLoss(error) || error instanceof UnusableDatabaseError) return 'unavailable';
  return 'fault';
}

/** Whether the connection itself failed, and is useless from now on. */
export function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof DeadlineError || error instanceof WrongHostError) return true;
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string') {
    return socketFailures.has(code) || code.startsWith('08') || /^57P0[1-3]$/.test(code);
  }
  // pg reports these by message alone.
  return /connection terminated|connection error|not queryable|timeout ex|read timeout|client was closed/i.test(
    error.message,
  );
}

/**
 * Whether there was no connection in time, neither a free one nor a new one: the pool shows that only by the
 * message.
 */
export function isConnectTimeout(error: unknown): boolean {
  return (
    error instanceof Error && /timeout exceeded when|connection timeout|read timeout/i.test(error.message)
  );
}

/** A statement that did not end in its time; its connection was cut. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

/** A database that this program can't work on; `message` is one line for the operator. */
export class UnusableDatabaseError extends Error {
  override readonly name = 'UnusableDatabaseError';
}

/** What answers is not what we look for: its connection is of no use. */
class WrongHostError extends Error {}

/** What answers must not be written to, or there is nothing to write to. */
export class NotPrimaryError extends WrongHostError {
  override readonly name: string = 'NotPrimaryError';
}

/** What answers is no standby. */
export class NotStandbyError extends WrongHostError {
  override readonly name = 'NotStandbyError';
}

/** The answer to a failed call. */
export function errorCodeOf(error: unknown): ErrorCode {
  switch (retryDecisionOf(error)) {
    case 'again':
    case 'unavailable':
    case 'incomplete':
      return 'UNAVAILABLE';
    // A second connection did not help.
    case 'reconnect':
    case 'conflict':
    case 'rejected':
    case 'fault':
      return 'INTERNAL';
  }
}
