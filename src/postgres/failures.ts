import type { ErrorCode } from '../errors.js';

/**
 * What to do about a failed statement:
 * - `retry`: nothing is wrong with it; the same transaction may succeed the next time;
 * - `unavailable`: PostgreSQL can't be reached or will not work now; whether a write was committed
 *   is unknown when the connection broke;
 * - `rejected`: the data can't be stored; the same data will never be accepted;
 * - `fault`: our own mistake.
 */
export type Verdict = 'retry' | 'unavailable' | 'rejected' | 'fault';

/** By SQLSTATE, or by its class (the first two characters) where all of a class are alike. */
const verdicts: Readonly<Record<string, Verdict>> = {
  '40001': 'retry', // serialization failure
  '40P01': 'retry', // deadlock detected
  '08': 'unavailable', // connection exceptions
  '25006': 'unavailable', // read-only transaction: a standby after a switch-over
  '25P03': 'unavailable', // idle-in-transaction timeout
  '28': 'unavailable', // authorization: a password being rotated, pg_hba being changed
  '3D000': 'unavailable', // database is gone
  '53': 'unavailable', // out of disk, memory or connections
  '55P03': 'unavailable', // lock not available in time
  '57': 'unavailable', // cancelled by timeout, shut down, crashed, starting
  '58': 'unavailable', // system errors of the server's machine
  '22': 'rejected', // data exceptions
  '23': 'rejected', // constraint violations
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

export function verdictOf(error: unknown): Verdict {
  const sqlState = sqlStateOf(error);
  if (sqlState !== undefined) return verdicts[sqlState] ?? verdicts[sqlState.slice(0, 2)] ?? 'fault';
  if (isConnectionLoss(error)) return 'unavailable';
  return 'fault';
}

/** Whether the connection itself failed, so that it is useless from now on. */
export function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof DeadlineError) return true;
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string') {
    return socketFailures.has(code) || code.startsWith('08') || /^57P0[1-3]$/.test(code);
  }
  // pg reports these by message alone.
  return /connection terminated|connection error|not queryable|timeout ex|client was closed/i.test(
    error.message,
  );
}

/** A statement that did not end in its time; its connection was cut. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

/** What a caller is told. */
export function errorCodeOf(error: unknown): ErrorCode {
  const verdict = verdictOf(error);
  return verdict === 'unavailable' || verdict === 'retry' ? 'UNAVAILABLE' : 'INTERNAL';
}
