import { findSourceMap } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { BroadcastChannel } from 'node:worker_threads';
import pino from 'pino';
import { errorFields } from './describe-error.js';
import { packageRoot } from './package.js';

/**
 * Logging from any thread. A thread's lines go to the supervisor over a broadcast channel. Only the
 * supervisor writes them out and keeps the newest for GET /logs: lines of different threads never mix. An
 * entry has the fields that the contract names: asctime, name, levelname, message, pathname, lineno, and
 * those of the event itself.
 */
export type Logger = pino.Logger;

export type LogLevel = pino.LevelWithSilent;

export const LOG_CHANNEL = 'switchyard-logs';
/** A level for all threads. */
export const LOG_LEVEL_CHANNEL = 'switchyard-log-level';
/** Lines of JSON, oldest first. */
export type LogMessage = readonly string[];

const levelNames: Readonly<Record<string, string>> = {
  trace: 'DEBUG',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
  fatal: 'CRITICAL',
};

/** @param name The thread: `gateway-0`, `ingest-0`, `supervisor`. @param write Takes one line of JSON. */
export function createLogger(name: string, level: LogLevel, write: (line: string) => void): Logger {
  return pino(
    {
      level,
      base: null,
      messageKey: 'message',
      errorKey: 'error',
      serializers: { error: errorFields },
      timestamp: () => `,"asctime":"${asctime(new Date())}"`,
      formatters: { level: (label) => ({ levelname: levelNames[label] ?? 'INFO' }) },
      mixin,
    },
    { write },
  );
  function mixin(fields: object): object {
    return 'pathname' in fields ? { name } : { name, ...callerOf(mixin) };
  }
}

/** A logger for a thread other than the supervisor's; the lines of a turn travel as one message. */
export function createThreadLogger(name: string, level: LogLevel): Logger {
  const channel = new BroadcastChannel(LOG_CHANNEL);
  channel.unref();
  let lines: string[] = [];
  const send = (): void => {
    if (lines.length > 0) channel.postMessage(lines satisfies LogMessage);
    lines = [];
  };
  process.once('exit', send);
  const logger = createLogger(name, level, (line) => {
    if (lines.length === 0) setImmediate(send);
    lines.push(line);
  });
  const levels = new BroadcastChannel(LOG_LEVEL_CHANNEL);
  levels.onmessage = (event: unknown) => {
    logger.level = (event as { data: LogLevel }).data;
  };
  levels.unref();
  return logger;
}

/** In the format of Python's logging, which the original's users know: `2026-01-31 12:00:00,123`, in UTC. */
function asctime(time: Date): string {
  return time.toISOString().replace('T', ' ').replace('.', ',').slice(0, 23);
}

export interface CallSite {
  readonly pathname: string;
  readonly lineno: number;
}

const sites = new Map<string, CallSite>();

/**
 * The place of this call, for a line so frequent that finding its place each time would cost more than the
 * line: find it once, and pass it with the line's fields.
 */
export function thisPlace(): CallSite {
  return callerOf(thisPlace);
}

/** Where a function was called: the first frame below it that is neither the logging library's nor Node's. */
function callerOf(called: (...parameters: never[]) => unknown): CallSite {
  const previous = Error.prepareStackTrace;
  const previousLimit = Error.stackTraceLimit;
  Error.stackTraceLimit = 12;
  Error.prepareStackTrace = (_error, frames) => frames;
  const place = {} as { stack: NodeJS.CallSite[] };
  Error.captureStackTrace(place, called);
  const frames = place.stack;
  Error.prepareStackTrace = previous;
  Error.stackTraceLimit = previousLimit;
  for (const frame of frames) {
    const file = toPath(frame.getFileName());
    if (file === undefined || file.includes('node_modules')) continue;
    const line = frame.getLineNumber() ?? 0;
    const key = `${file}:${line}`;
    const known = sites.get(key) ?? originalSite(file, line, frame.getColumnNumber() ?? 1);
    sites.set(key, known);
    return known;
  }
  return { pathname: '', lineno: 0 };
}

function toPath(fileName: string | null | undefined): string | undefined {
  if (fileName === null || fileName === undefined || fileName.startsWith('node:')) return undefined;
  return fileName.startsWith('file:') ? fileURLToPath(fileName) : fileName;
}

/** The line of TypeScript if Node runs with --enable-source-maps, otherwise of the compiled file. */
function originalSite(file: string, line: number, column: number): CallSite {
  const entry = findSourceMap(file)?.findEntry(line - 1, column - 1);
  if (entry === undefined || !('originalSource' in entry)) {
    return { pathname: path.relative(packageRoot, file), lineno: line };
  }
  const source = toPath(entry.originalSource) ?? file;
  return { pathname: path.relative(packageRoot, source), lineno: entry.originalLine + 1 };
}
