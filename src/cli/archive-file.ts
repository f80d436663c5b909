import { createReadStream, createWriteStream, renameSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type EventRow, eventJson } from '../store/events.js';

export const archiveFormats = ['ndjson', 'parquet'] as const;
export type ArchiveFormat = (typeof archiveFormats)[number];

/** A file that is not a whole archive; `message` is one line for the operator. */
export class ArchiveFileError extends Error {
  override readonly name = 'ArchiveFileError';
}

/** An event as in `GET /events`; the details as text, the time of a Parquet file in milliseconds. */
interface ArchivedEvent {
  readonly id: bigint;
  readonly url_id: bigint | null;
  readonly user_id: bigint | null;
  readonly event_type: string;
  readonly timestamp: Date;
  readonly details: string;
}

/** The suffix of an archive that is not whole yet. */
const UNFINISHED = '.partial';

export interface ArchiveContent {
  /** An archive whose first events come first, as they are. */
  readonly before: { readonly file: string; readonly events: number } | undefined;
  readonly rows: AsyncIterable<readonly EventRow[]>;
}

/**
 * Writes an archive, which appears under its name when it is whole and on the disk.
 * @returns its size.
 */
export async function writeArchive(
  file: string,
  format: ArchiveFormat,
  content: ArchiveContent,
): Promise<number> {
  const partial = `${file}${UNFINISHED}`;
  try {
    if (format === 'ndjson') {
      // It may contain visitors' anonymised addresses.
      await pipeline(Readable.from(lines(content)), createWriteStream(partial, { mode: 0o600 }));
    } else await writeParquet(partial, content);
    await syncPath(partial);
    renameSync(partial, file);
    await syncPath(path.dirname(file));
    return statSync(file).size;
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}

async function syncPath(name: string): Promise<void> {
  const opened = await open(name, 'r');
  await opened.sync();
  await opened.close();
}

async function* lines({ before, rows }: ArchiveContent): AsyncGenerator<string> {
  if (before !== undefined) for await (const line of firstLines(before)) yield `${line}\n`;
  for await (const some of rows) yield some.map((row) => `${eventJson(row)}\n`).join('');
}

async function* firstLines({ file, events }: { file: string; events: number }): AsyncGenerator<string> {
  let left = events;
  if (left === 0) return;
  for await (const line of createInterface({
    input: createReadStream(file),
    crlfDelay: Number.POSITIVE_INFINITY,
  })) {
    yield line;
    left -= 1;
    if (left === 0) return;
  }
  throw new ArchiveFileError(`${file} ends too early: it had ${events} events`);
}

const columns = [
  { name: 'id', type: 'INT64', nullable: false },
  { name: 'url_id', type: 'INT64', nullable: true },
  { name: 'user_id', type: 'INT64', nullable: true },
  { name: 'event_type', type: 'STRING', nullable: false },
  { name: 'timestamp', type: 'TIMESTAMP', nullable: false },
  { name: 'details', type: 'STRING', nullable: false },
] as const;

const ROWS_A_GROUP = 50_000;

async function writeParquet(file: string, content: ArchiveContent): Promise<void> {
  const { fileWriter, parquetWriteRows } = await import('hyparquet-writer');
  // Created before, for its mode.
  await (await open(file, 'w', 0o600)).close();
  await parquetWriteRows({
    writer: fileWriter(file),
    columns: columns.map((column) => ({ ...column })),
    rows: parquetRows(content),
    rowGroupSize: ROWS_A_GROUP,
  });
}

async function* parquetRows({ before, rows }: ArchiveContent): AsyncGenerator<ArchivedEvent> {
  if (before !== undefined) {
    let left = before.events;
    for await (const event of parquetEvents(before.file)) {
      if (left === 0) break;
      left -= 1;
      yield event;
    }
    if (left > 0) throw new ArchiveFileError(`${before.file} ends too early: it had ${before.events} events`);
  }
  for await (const some of rows) for (const row of some) yield archivedEvent(row);
}

function archivedEvent(row: EventRow): ArchivedEvent {
  const [id, urlId, userId, type, timestamp, details] = row as readonly (string | null)[];
  return {
    id: BigInt(id as string),
    url_id: urlId == null ? null : BigInt(urlId),
    user_id: userId == null ? null : BigInt(userId),
    event_type: type as string,
    timestamp: new Date(`${(timestamp as string).replace(' ', 'T')}Z`),
    details: details as string,
  };
}

async function* parquetEvents(file: string): AsyncGenerator<ArchivedEvent> {
  const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await import('hyparquet');
  const buffer = await asyncBufferFromFile(file);
  const metadata = await parquetMetadataAsync(buffer);
  let rowStart = 0;
  for (const { num_rows } of metadata.row_groups) {
    const rowEnd = rowStart + Number(num_rows);
    const events = await parquetReadObjects({ file: buffer, metadata, rowStart, rowEnd });
    yield* events as unknown as ArchivedEvent[];
    rowStart = rowEnd;
  }
}

/**
 * Reads an archive back, from its beginning to its end.
 * @returns how many events it has.
 * @throws ArchiveFileError at the first that is not an event of its month.
 */
export async function checkArchive(file: string): Promise<{ month: string; events: number }> {
  const [, month, format] = /(?:^|\/)events-(\d{4}-\d\d)\.(ndjson|parquet)$/.exec(file) ?? [];
  if (month === undefined) throw new ArchiveFileError(`${file} does not have the name of an archive`);
  let events = 0;
  try {
    for await (const event of format === 'ndjson' ? ndjsonEvents(file) : parquetEvents(file)) {
      events += 1;
      const fault = faultOf(event as unknown as Record<string, unknown>, month);
      if (fault !== undefined) throw new ArchiveFileError(`${file}: event ${events} ${fault}`);
    }
  } catch (error) {
    if (error instanceof ArchiveFileError) throw error;
    throw new ArchiveFileError(`${file} can't be read after ${events} events: ${(error as Error).message}`);
  }
  return { month, events };
}

async function* ndjsonEvents(file: string): AsyncGenerator<object> {
  let rest = '';
  for await (const chunk of createReadStream(file, 'utf8')) {
    const complete = (rest + (chunk as string)).split('\n');
    rest = complete.pop() ?? '';
    for (const line of complete) yield JSON.parse(line) as object;
  }
  if (rest !== '') throw new Error('its last line is cut short');
}

function faultOf(event: Record<string, unknown>, month: string): string | undefined {
  const names = Object.keys(event).join();
  if (names !== columns.map(({ name }) => name).join()) return `has the members ${names}`;
  const { id, timestamp, event_type: type, details } = event;
  if ((typeof id !== 'number' && typeof id !== 'bigint') || typeof type !== 'string')
    return 'has no id or type';
  if (typeof details === 'string') JSON.parse(details);
  const time = timestamp instanceof Date ? timestamp.toISOString() : String(timestamp);
  return time.startsWith(`${month}-`) ? undefined : `is of ${time}`;
}
