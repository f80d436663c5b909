import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import type { Connection } from './pool.js';

/** COPY's text form of a value: what would end a field or a row, or begin an escape, is escaped. */
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

/**
 * Sends rows to a table by COPY.
 * @param target Table with its columns, `events (url_id, details)`.
 * @param chunks Text or bytes in COPY's text form, each row ended by a newline; chunks of 64 KiB and
 *   more keep the cost of a chunk small beside that of its rows.
 * @returns the number of rows.
 */
export async function copyInto(
  connection: Connection,
  target: string,
  chunks: AsyncIterable<string | Buffer> | Iterable<string | Buffer>,
): Promise<number> {
  const stream = connection.query(copyFrom(`COPY ${target} FROM STDIN`));
  await pipeline(Readable.from(chunks, { objectMode: true, highWaterMark: 1 }), stream);
  return stream.rowCount;
}

/** The rows of a query in COPY's text form, each ended by a newline; a chunk may end within a row. */
export function copyOut(connection: Connection, query: string): AsyncIterable<Buffer> {
  return connection.query(copyTo(`COPY (${query}) TO STDOUT`));
}
