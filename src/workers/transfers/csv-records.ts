import { isAscii, isUtf8 } from 'node:buffer';
import { finished } from 'node:stream/promises';
import { CsvError, type Parser, parse } from 'csv-parse';
import { CodedError } from '../../errors.js';
import { type LineBlock, lineBlocks, MAX_LINE_BYTES } from './line-blocks.js';
import type { FilePart } from './upload.js';

/** A record beyond this is a quote that was never closed. */
const MAX_RECORD_BYTES = MAX_LINE_BYTES;

const BYTE_ORDER_MARK = '\ufeff';

/**
 * The records of a CSV file, including the header, as arrays of text. All records that a block of whole lines completes
 * come together, because a turn of the event loop for each would take longer than parsing them.
 *
 * A block without a quote is split by line breaks and commas, which takes a fifth of the parser's time and finds
 * the same. One with quotes is parsed separately, unless a quoted value continues beyond its end: then the parser
 * continues to the end of the file.
 */
export async function* recordBatches(file: FilePart): AsyncGenerator<string[][]> {
  const blocks = lineBlocks(wholeParts(file));
  let line = 1;
  for await (const block of blocks) {
    const found = await recordsOf(block, line);
    if (found === undefined) {
      yield* recordsToEnd(block, blocks, line);
      return;
    }
    line = found.nextLine;
    if (found.records.length > 0) yield found.records;
  }
}

interface Found {
  readonly records: string[][];
  /** The next line, as the parser counts them. */
  readonly nextLine: number;
}

/**
 * @param line The first of the block.
 * @returns `undefined` if the block alone does not show it.
 */
async function recordsOf({ bytes, isWhole }: LineBlock, line: number): Promise<Found | undefined> {
  if (!isWhole || bytes.length > MAX_RECORD_BYTES) return undefined;
  const text = textOf(bytes, line === 1);
  if (!text.includes('"')) {
    const records = split(text);
    return { records, nextLine: line + records.length };
  }
  const records: string[][] = [];
  const parser = startParser(records, line);
  const isDone = finished(parser);
  parser.end(text);
  try {
    await isDone;
  } catch (error) {
    if (error instanceof CsvError && error.code === 'CSV_QUOTE_NOT_CLOSED') return undefined;
    throw error;
  }
  return { records, nextLine: parser.info.lines };
}

/** Records of a text without quotes that ends where a record does. */
function split(text: string): string[][] {
  const lines = text.includes('\r') ? text.split(/\r\n|\n|\r/) : text.split('\n');
  // What follows the last line break is not a record.
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line) => line.split(','));
}

/** Strictly UTF-8; a byte order mark is not part of the text. */
function textOf(bytes: Buffer, isFirst: boolean): string {
  // One byte a character, where it is enough, makes everything that follows cheaper.
  if (isAscii(bytes)) return bytes.toString('latin1');
  if (!isUtf8(bytes)) throw new CodedError('CSV_NOT_UTF8');
  const text = bytes.toString('utf8');
  return isFirst && text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
}

/** The records of a block, which may end anywhere, and of all that follow. */
async function* recordsToEnd(
  first: LineBlock,
  others: AsyncIterable<LineBlock>,
  line: number,
): AsyncGenerator<string[][]> {
  const batch: string[][] = [];
  const take = (): string[][] => batch.splice(0);
  const parser = startParser(batch, line);
  const isDone = finished(parser);
  // A wait for a write or the end will see the error; there may be none yet.
  isDone.catch(() => undefined);
  for await (const text of decoded(first, others, line === 1)) {
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
 * @param records Where they go.
 * @param line Where they begin, for error messages.
 */
function startParser(records: string[][], line: number): Parser {
  const parser = parse({
    relax_quotes: true,
    relax_column_count: true,
    // Empty lines come as records, to count lines.
    skip_empty_lines: false,
    record_delimiter: ['\r\n', '\n', '\r'],
    max_record_size: MAX_RECORD_BYTES,
  });
  expectAnyLength(parser);
  (parser.info as { lines: number }).lines = line;
  // Not by the parser's on_record, for which it describes each record, at a fifth of the whole cost.
  parser.on('data', (record: string[]) => records.push(record));
  return parser;
}

/**
 * For each record with another number of fields than the header, the parser makes an error with a stack and copies of
 * its options, 50 µs of work, and drops it if lengths may differ. An empty line is such a record.
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

async function* decoded(
  first: LineBlock,
  others: AsyncIterable<LineBlock>,
  isFirst: boolean,
): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: !isFirst });
  const decode = (bytes?: Buffer): string => {
    try {
      return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
    } catch {
      throw new CodedError('CSV_NOT_UTF8');
    }
  };
  yield decode(first.bytes);
  for await (const { bytes } of others) yield decode(bytes);
  yield decode();
}

/** A truncated part fails here or in the parser, whichever is first; both mean the same mistake. */
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
