import { finished } from 'node:stream/promises';
import { parse } from 'csv-parse';
import { CodedError } from '../../errors.js';
import type { FilePart } from './upload.js';

/** A record beyond this is a quote that was never closed. */
const LARGEST_RECORD_BYTES = 1024 * 1024;

/**
 * The records of a CSV file, the header among them, as arrays of text: all that a piece of the file
 * completes come together, for a turn of the event loop each would take longer than parsing them.
 */
export async function* recordBatches(file: FilePart): AsyncGenerator<string[][]> {
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
  expectAnyLength(parser);
  // Not the parser's on_record, for which it describes each record at a fifth of the whole cost.
  parser.on('data', (record: string[]) => batch.push(record));
  const isDone = finished(parser);
  // Whoever waits for a write or the end hears it; nobody may be waiting yet.
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

/**
 * For each record that has not as many fields as the header, the parser makes an error with a stack and copies of
 * its options, 50 µs of work, and tells nobody where the lengths may differ. An empty line is such a record.
 */
function expectAnyLength(parser: object): void {
  const { state } = parser as { state?: { record?: unknown[]; expectedRecordLength?: number } };
  if (state === undefined || !('record' in state) || !('expectedRecordLength' in state))
    throw new Error('this version of csv-parse keeps its state elsewhere');
  Object.defineProperty(state, 'expectedRecordLength', {
    get: () => state.record?.length,
    set: () => undefined,
  });
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

/** Lines of the file that a row takes: a quoted value may hold line breaks. */
export function linesOf(row: readonly string[]): number {
  let lines = 1;
  for (const value of row) {
    if (value.includes('\n') || value.includes('\r')) lines += value.split(/\r\n|\n|\r/).length - 1;
  }
  return lines;
}
