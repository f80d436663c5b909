import { existsSync, rmSync, statSync } from 'node:fs';
import type { Config } from '../config.js';
import { sqlStateOf } from '../postgres/failures.js';
import { packageVersion } from '../runtime/package.js';
import { type BackupTable, restoreDatabase, rowsOfTable, withSnapshot } from '../store/backup.js';
import { BackupFileError, BackupReader, UNFINISHED, writeBackup } from './backup-file.js';
import { openDatabase } from './database.js';
import { type Progress, startProgress } from './progress.js';

/** A hundred million rows take less. */
const DEADLINE_MS = 86_400_000;

/** Writes the whole database, as of one moment, to a file; servers keep running. */
export async function backUp(config: Config, file: string): Promise<void> {
  if (existsSync(file)) throw new BackupFileError(`${file} exists`);
  const { pool, close } = await openDatabase(config);
  try {
    await pool.runOnce(DEADLINE_MS, (connection) =>
      withSnapshot(connection, async (description) => {
        const total = description.tables.reduce((sum, { rows }) => sum + rows, 0);
        const progress = startProgress('rows', total);
        try {
          const head = { createdAt: new Date().toISOString(), server: packageVersion(), ...description };
          const counted = countRows(progress);
          await writeBackup(file, head, (table) => counted(rowsOfTable(connection, table)));
        } finally {
          progress.stop();
        }
        process.stdout.write(`${file}: ${summaryOf(description.tables)}, ${statSync(file).size} bytes\n`);
      }),
    );
  } catch (error) {
    // A reader of a connection does not notice that it breaks.
    rmSync(`${file}${UNFINISHED}`, { force: true });
    throw error;
  } finally {
    await close();
  }
}

/**
 * Restores a backup into the database, all or nothing.
 * @param mayReplace Whether existing rows may be removed.
 */
export async function restore(config: Config, file: string, mayReplace: boolean): Promise<void> {
  const { size } = statSync(file);
  const progress = startProgress('bytes', size);
  const reader = new BackupReader(file, (bytes) => progress.update(bytes));
  try {
    const head = await reader.head();
    const { pool, close } = await openDatabase(config);
    try {
      const leftOut = await pool.runOnce(DEADLINE_MS, (connection) =>
        restoreDatabase(connection, head, {
          mayReplace,
          rowsOf: () => reader.rows(),
          verify: () => reader.verifyEnd(),
        }),
      );
      progress.stop();
      for (const name of leftOut) process.stderr.write(`skipped, not our table: ${name}\n`);
      process.stdout.write(`restored the state of ${head.createdAt}: ${summaryOf(head.tables)}\n`);
    } catch (error) {
      throw isOfRows(error)
        ? new BackupFileError(
            `${file} is damaged: the database refuses its rows: ${(error as Error).message}`,
          )
        : error;
    } finally {
      await close();
    }
  } finally {
    progress.stop();
  }
}

/**
 * Whether the database refuses the data: invalid values (22), violated constraints (23), unknown names (42).
 */
function isOfRows(error: unknown): boolean {
  return /^(2[23]|42)/.test(sqlStateOf(error) ?? '');
}

const SHOWN: Readonly<Record<string, string>> = { users: 'users', short_urls: 'links', events: 'events' };

function summaryOf(tables: readonly BackupTable[]): string {
  return Object.entries(SHOWN)
    .map(([name, word]) => `${tables.find((table) => table.name === name)?.rows ?? 0} ${word}`)
    .join(', ');
}

const LINE_BREAK = 0x0a;

/** Passes chunks of rows on and shows the number of rows so far, over all tables. */
function countRows(progress: Progress): (chunks: AsyncIterable<Buffer>) => AsyncGenerator<Buffer> {
  let rows = 0;
  return async function* (chunks) {
    for await (const chunk of chunks) {
      for (let at = chunk.indexOf(LINE_BREAK); at !== -1; at = chunk.indexOf(LINE_BREAK, at + 1)) rows += 1;
      progress.update(rows);
      yield chunk;
    }
  };
}
