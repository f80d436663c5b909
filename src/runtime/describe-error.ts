import { packageRoot } from './package.js';

/**
 * Errors in a form that is safe for logs. PostgreSQL's texts quote rows, and thereby targets, e-mails and
 * keys; Node's texts name folders of this machine. The rest is enough to find the cause: SQLSTATE,
 * constraint, the place in our code.
 */
export interface DescribedError {
  readonly type: string;
  readonly message: string;
  readonly code?: string;
  readonly constraint?: string;
  readonly stack?: string;
}

const CAUSES_MAX = 4;
const MESSAGE_MAX = 500;

/** One line. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return withoutPaths(String(error)).slice(0, MESSAGE_MAX);
  const state = sqlStateOf(error);
  if (state === undefined) return withoutPaths(error.message).slice(0, MESSAGE_MAX);
  const { constraint } = error as { constraint?: string };
  return `SQLSTATE ${state}${constraint === undefined ? '' : `, constraint ${constraint}`}`;
}

/** For the field `error` of a log line. */
export function errorFields(error: unknown): DescribedError | string {
  if (!(error instanceof Error)) return describeError(error);
  const { code, constraint } = error as { code?: unknown; constraint?: unknown };
  return {
    type: error.name,
    message: describeError(error),
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof constraint === 'string' ? { constraint } : {}),
    ...(error.stack === undefined ? {} : { stack: framesOf(error, 0) }),
  };
}

/** The frames without the message above them, which may be PostgreSQL's. */
function framesOf(error: Error, depth: number): string {
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  const own = withoutPaths(frames.map((line) => line.trim()).join('\n'));
  if (!(error.cause instanceof Error) || depth >= CAUSES_MAX) return own;
  return `${own}\ncaused by: ${describeError(error.cause)}\n${framesOf(error.cause, depth + 1)}`;
}

/** A path within the package starts at its root; of any other, only the name is given. */
function withoutPaths(text: string): string {
  return text
    .replaceAll(`file://${packageRoot}/`, '')
    .replaceAll(`${packageRoot}/`, '')
    .replaceAll(/(?:file:\/\/)?(?<![\w:./-])\/(?:[^\s/'"():,]+\/)+([^\s/'"():,]+)/g, '$1');
}

/** PostgreSQL's errors carry five characters of code, and a severity. */
function sqlStateOf(error: Error): string | undefined {
  const { code, severity } = error as { code?: unknown; severity?: unknown };
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && severity !== undefined ? code : undefined;
}
