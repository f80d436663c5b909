import { parseTimestamp } from '../../api/timestamps.js';
import { Longest, usableEmail, usableName } from '../../api/values.js';
import { CodedError } from '../../errors.js';
import { COPY_NULL, copyText } from '../../postgres/copy.js';
import { importUsers } from '../../store/imports.js';
import { linesOf, recordBatches } from './csv-records.js';
import type { ImportWork } from './import-work.js';
import { RowLog } from './row-log.js';

const CHUNK_CHARACTERS = 64 * 1024;

/** Imports users: COPY of what is usable, then one upsert. @returns the answer. */
export async function importUserRows({ thread, transfer, requestId, upload }: ImportWork): Promise<string> {
  const file = await upload.file;
  const skipped = new RowLog();
  const { TRANSFER_WAIT_MS: waitMs, TRANSFER_DEADLINE_MS: deadlineMs } = thread.config;
  const imported = await transfer.withConnection(waitMs, () =>
    thread.pool.runOnce(deadlineMs, (connection) =>
      importUsers(connection, copyRows(recordBatches(file), skipped), {
        statementMs: deadlineMs,
        complete: upload.complete,
      }),
    ),
  );
  thread.counters.add('importedRows', imported);
  thread.counters.add('importSkippedRows', skipped.count);
  thread.log.info(
    { request_id: requestId, imported, skipped: Object.fromEntries(skipped.byReason) },
    `imported ${imported} user rows, skipped ${skipped.count}`,
  );
  // Skipped rows are mentioned only where there are some.
  return JSON.stringify(
    skipped.count === 0 ? { imported } : { imported, skipped: skipped.count, errors: skipped.errors },
  );
}

/** Usable rows in COPY's text form; the others are reported by their line. */
async function* copyRows(batches: AsyncIterable<string[][]>, skipped: RowLog): AsyncGenerator<string> {
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
      const cells = usableCells(row, columns);
      if (typeof cells !== 'string') {
        skipped.add(line, cells.skipped);
        continue;
      }
      position += 1;
      chunk += `${position}\t${cells}\n`;
    }
    if (chunk.length < CHUNK_CHARACTERS) continue;
    yield chunk;
    chunk = '';
  }
  if (chunk !== '') yield chunk;
}

/** The values of a row as COPY has them, or why it is skipped. */
function usableCells(row: readonly string[], columns: Columns): string | { readonly skipped: string } {
  const username = usableName(row[columns.username] ?? '', Longest.username);
  if (username === undefined) return { skipped: 'Invalid or missing username' };
  const email = usableEmail(row[columns.email] ?? '');
  if (email === undefined) return { skipped: 'Invalid or missing email' };
  const createdText = row[columns.createdAt] ?? '';
  const createdAt = createdText.trim() === '' ? COPY_NULL : parseTimestamp(createdText);
  if (createdAt === undefined) return { skipped: 'Invalid created_at' };
  return `${copyText(username)}\t${copyText(email)}\t${createdAt}`;
}

interface Columns {
  readonly username: number;
  readonly email: number;
  /** -1 if there is none. */
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
