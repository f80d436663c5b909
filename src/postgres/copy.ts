import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import type { Connection } from './pool.js';

/** COPY's text form of a value: characters that would end a field or a row, or begin an escape, are escaped. */
export function copyText(value: string): string {
  // Most values need nothing; testing them first is several times cheaper than replacing in them.
  if (!/[\\\t\n\r]/.test(value)) return value;
  return value
    .replaceAll('\\', '\\\\')
    .replaceAll('\t', '\\t')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r');
}

/** COPY's text form of NULL. */
export const COPY_NULL = '\\N';

type Chunks = AsyncIterable<string | Buffer> | Iterable<string | Buffer>;

/**
 * Sends rows to a table by COPY.
 * @param target Table with its columns, `events (url_id, details)`.
 * @param chunks Whole rows: in COPY's text form each ended by a newline, in its binary form without what comes
 *   before the first and behind the last. Chunks of 64 KiB and more keep the cost of a chunk small beside that of
 *   its rows.
 * @returns the number of rows.
 */
export async function copyInto(
  connection: Connection,
  target: string,
  chunks: Chunks,
  form: 'text' | 'binary' = 'text',
): Promise<number> {
  const isBinary = form === 'binary';
  const options = isBinary ? ' (FORMAT binary)' : '';
  const stream = connection.query(copyFrom(`COPY ${target} FROM STDIN${options}`));
  const all = isBinary ? asBinary(chunks) : chunks;
  await pipeline(Readable.from(all, { objectMode: true, highWaterMark: 1 }), stream);
  return stream.rowCount;
}

/** A signature, and two words of 0: no flags, no further header. */
const BINARY_HEADER = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
/** A row of -1 fields. */
const BINARY_END = Buffer.from([0xff, 0xff]);

async function* asBinary(chunks: Chunks): AsyncGenerator<string | Buffer> {
  yield BINARY_HEADER;
  yield* chunks;
  yield BINARY_END;
}

/** The rows of a query in COPY's text form, each ended by a newline; a chunk may end within a row. */
export function copyOut(connection: Connection, query: string): AsyncIterable<Buffer> {
  return connection.query(copyTo(`COPY (${query}) TO STDOUT`));
}
