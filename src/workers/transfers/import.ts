import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { MessagePort } from 'node:worker_threads';
import { Busboy } from '@fastify/busboy';
import { CsvError, parse } from 'csv-parse';
import { parseTimestamp } from '../../api/timestamps.js';
import { Longest, usableEmail, usableName } from '../../api/values.js';
import { CodedError } from '../../errors.js';
import type { FromTransfer, ImportRequest, RowError, ToTransfer } from '../../messages/transfers.js';
import { COPY_NULL, copyText } from '../../postgres/copy.js';
import { errorCodeOf } from '../../postgres/failures.js';
import { describeError } from '../../runtime/describe-error.js';
import { importUsers } from '../../store/imports.js';
import type { WorkerThread } from '../thread.js';

export interface ImportJob {
  readonly request: ImportRequest;
  readonly port: MessagePort;
}

type Parser = InstanceType<typeof Busboy>;

/** A record beyond this is a quote that was never closed. */
const LARGEST_RECORD_BYTES = 1024 * 1024;
const CHUNK_CHARACTERS = 64 * 1024;
const SIGN_OF_LIFE_MS = 1000;

/**
 * Takes in a multipart upload of users as it arrives: parts, text, records, COPY, each waiting for the
 * next, so that memory does not grow with the file. Answers over the port.
 */
export async function importFromPort(thread: WorkerThread, { request, port }: ImportJob): Promise<void> {
  const send = (message: FromTransfer): void => port.postMessage(message);
  thread.counters.add('transfersActive');
  let isReceived = false;
  const onReceived = (): void => {
    isReceived = true;
  };
  // The gateway ends a transfer that shows no sign of life. What comes in does; the upsert at the end
  // is silent work.
  const timer = setInterval(() => {
    if (isReceived) send({ kind: 'credit', amount: 0 });
  }, SIGN_OF_LIFE_MS);
  try {
    const { imported, skipped } = await importUpload(thread, request, port, onReceived);
    thread.counters.add('importedRows', imported);
    send({ kind: 'done', imported, skipped: skipped.count, errors: skipped.errors });
  } catch (error) {
    send(failureOf(thread, request.requestId, error));
  } finally {
    clearInterval(timer);
    thread.counters.add('transfersActive', -1);
    port.close();
  }
}

function failureOf({ log }: WorkerThread, requestId: string, error: unknown): FromTransfer {
  if (error instanceof CodedError) return { kind: 'failed', error: error.code };
  if (error instanceof CsvError) return { kind: 'failed', error: 'INVALID_CSV', detail: error.message };
  const code = errorCodeOf(error);
  const message = describeError(error);
  if (code === 'INTERNAL') log.error({ error, request_id: requestId }, `an import failed: ${message}`);
  else log.warn({ request_id: requestId }, `an import was given up: ${message}`);
  return { kind: 'failed', error: code };
}

async function importUpload(
  thread: WorkerThread,
  request: ImportJob['request'],
  port: MessagePort,
  onReceived: () => void,
): Promise<{ imported: number; skipped: SkippedRows }> {
  const upload = new Upload(request.contentType, port);
  upload.complete.then(onReceived, () => undefined);
  const file = await upload.file;
  const skipped = new SkippedRows();
  const deadlineMs = thread.config.TRANSFER_DEADLINE_MS;
  const imported = await thread.pool.runOnce(deadlineMs, (connection) =>
    importUsers(connection, copyRows(recordBatches(file), skipped), {
      statementMs: deadlineMs,
      complete: upload.complete,
    }),
  );
  thread.counters.add('importSkippedRows', skipped.count);
  thread.log.info(
    { request_id: request.requestId, imported, skipped: Object.fromEntries(skipped.byReason) },
    `imported ${imported} user rows, skipped ${skipped.count}`,
  );
  return { imported, skipped };
}

/** Errors of an answer; more skipped rows are counted only. */
const MAX_ERRORS = 100;

/** The rows that an import leaves out. */
class SkippedRows {
  count = 0;
  readonly byReason = new Map<string, number>();
  readonly errors: RowError[] = [];

  add(line: number, error: string): void {
    this.count += 1;
    this.byReason.set(error, (this.byReason.get(error) ?? 0) + 1);
    if (this.errors.length < MAX_ERRORS) this.errors.push({ line, error });
  }
}

interface FilePart {
  readonly bytes: Readable;
  /** Whether it has no name and, unless bytes come, is what a browser sends where no file was chosen. */
  readonly isUnnamed: boolean;
}

/** The multipart body that comes over the port, and the file in it. */
class Upload {
  /** The part named `file`. */
  readonly file: Promise<FilePart>;
  /** Settles when the whole body was there, and was one. */
  readonly complete: Promise<void>;

  constructor(contentType: string, port: MessagePort) {
    let parser: Parser;
    try {
      parser = new Busboy({ headers: { 'content-type': contentType } });
    } catch {
      throw new CodedError('NO_FILE');
    }
    this.complete = finished(parser, { readable: false }).catch((error: unknown) => {
      throw error instanceof CodedError ? error : new CodedError('INVALID_MULTIPART');
    });
    this.file = new Promise((resolve, reject) => {
      let found: Readable | undefined;
      parser.on('file', (field: string, stream: Readable, fileName: string | undefined) => {
        // An upload that breaks off ends its parts with an error of their own.
        stream.on('error', () => undefined);
        if (field === 'file' && found === undefined) {
          found = stream;
          resolve({ bytes: stream, isUnnamed: (fileName ?? '') === '' });
        } else {
          stream.resume();
        }
      });
      const fail = (error: unknown): void => {
        found?.destroy(error as Error);
        reject(error);
      };
      this.complete.then(() => reject(new CodedError('NO_FILE')), fail);
    });
    this.file.catch(() => undefined);
    feed(parser, port);
  }
}

/** Passes bytes on; each chunk earns its credit when the parser, and all behind it, has taken it. */
function feed(parser: Parser, port: MessagePort): void {
  port.on('message', (message: ToTransfer) => {
    if (parser.destroyed) return;
    if (message.kind === 'end') parser.end();
    if (message.kind !== 'chunk') return;
    const bytes = Buffer.from(message.bytes);
    parser.write(bytes, () => {
      port.postMessage({ kind: 'credit', amount: bytes.length } satisfies FromTransfer);
    });
  });
  port.on('close', () => {
    if (!parser.writableFinished) parser.destroy(new CodedError('UNAVAILABLE', 'the client went away'));
  });
}

/**
 * The records of a CSV file, the header among them, as arrays of text: all that a piece of the file
 * completes come together, for a turn of the event loop each would take longer than parsing them.
 */
async function* recordBatches(file: FilePart): AsyncGenerator<string[][]> {
  let batch: string[][] = [];
  const take = (): string[][] => {
    const taken = batch;
    batch = [];
    return taken;
  };
  const parser = parse({
    relax_quotes: true,
    relax_column_count: true,
    // Empty lines come as records, for lines to be counted.
    skip_empty_lines: false,
    record_delimiter: ['\r\n', '\n', '\r'],
    max_record_size: LARGEST_RECORD_BYTES,
  });
  // Not the parser's on_record, for which it describes each record at a fifth of the whole cost.
  parser.on('data', (record: string[]) => batch.push(record));
  const isDone = finished(parser);
  // Whoever waits for a write or the end is told; nobody may be waiting yet.
  isDone.catch(() => undefined);
  for await (const text of decoded(file)) {
    await new Promise<void>((resolve, reject) => {
      parser.write(text, (error) => (error ? reject(error) : resolve()));
    });
    if (batch.length > 0) yield take();
  }
  parser.end();
  await isDone;
  yield take();
}

/** Strictly UTF-8; a byte order mark is not part of the text. */
async function* decoded(file: FilePart): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const decode = (bytes?: Buffer): string => {
    try {
      return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
    } catch {
      throw new CodedError('CSV_NOT_UTF8');
    }
  };
  for await (const bytes of wholeParts(file)) yield decode(bytes);
  yield decode();
}

/** A part that breaks off fails here or in the parser, whichever is first; both are the same mistake. */
async function* wholeParts({ bytes, isUnnamed }: FilePart): AsyncGenerator<Buffer> {
  let isEmpty = true;
  try {
    for await (const piece of bytes) {
      isEmpty = false;
      yield piece as Buffer;
    }
  } catch (error) {
    throw error instanceof CodedError ? error : new CodedError('INVALID_MULTIPART');
  }
  if (isEmpty && isUnnamed) throw new CodedError('NO_FILE');
}

/** Usable rows in COPY's text form; the others are told by their line. */
async function* copyRows(batches: AsyncIterable<string[][]>, skipped: SkippedRows): AsyncGenerator<string> {
  let columns: Columns | undefined;
  let position = 0;
  let nextLine = 1;
  let chunk = '';
  for await (const batch of batches) {
    for (const row of batch) {
      const line = nextLine;
      nextLine += linesOf(row);
      if (row.length === 1 && row[0] === '') continue;
      if (columns === undefined) {
        columns = columnsOf(row);
        continue;
      }
      const usable = usableRow(row, columns);
      if (typeof usable === 'string') {
        skipped.add(line, usable);
        continue;
      }
      position += 1;
      chunk += `${position}\t${usable.join('\t')}\n`;
    }
    if (chunk.length < CHUNK_CHARACTERS) continue;
    yield chunk;
    chunk = '';
  }
  if (chunk !== '') yield chunk;
}

/** Lines of the file that a row takes: a quoted value may hold line breaks. */
function linesOf(row: readonly string[]): number {
  let lines = 1;
  for (const value of row) {
    if (value.includes('\n') || value.includes('\r')) lines += value.split(/\r\n|\n|\r/).length - 1;
  }
  return lines;
}

/** The values of a row, or why it is skipped. */
function usableRow(row: readonly string[], columns: Columns): readonly string[] | string {
  const username = usableName(row[columns.username] ?? '', Longest.username);
  if (username === undefined) return 'Invalid or missing username';
  const email = usableEmail(row[columns.email] ?? '');
  if (email === undefined) return 'Invalid or missing email';
  const createdText = row[columns.createdAt] ?? '';
  const createdAt = createdText.trim() === '' ? COPY_NULL : parseTimestamp(createdText);
  if (createdAt === undefined) return 'Invalid created_at';
  return [copyText(username), copyText(email), createdAt];
}

interface Columns {
  readonly username: number;
  readonly email: number;
  /** -1 where there is none. */
  readonly createdAt: number;
}

function columnsOf(header: readonly string[]): Columns {
  const names = header.map((name) => name.trim().toLowerCase());
  const columns = {
    username: names.indexOf('username'),
    email: names.indexOf('email'),
    createdAt: names.indexOf('created_at'),
  };
  if (columns.username === -1 || columns.email === -1) throw new CodedError('CSV_HEADER');
  return columns;
}
