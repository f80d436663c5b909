import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config.js';
import { type Archiving, type MonthState, withMonth } from '../store/archive.js';
import type { EventRow } from '../store/events.js';
import { type ArchiveFormat, checkArchive, writeArchive } from './archive-file.js';
import { openDatabase } from './database.js';
import { type Progress, startProgress } from './progress.js';

/** A hundred million events take less. */
const DEADLINE_MS = 86_400_000;

/** An archive that can't be written now; `message` is one line for the operator. */
class ArchiveError extends Error {
  override readonly name = 'ArchiveError';
}

export interface ArchiveOptions {
  /** `2025-01`. */
  readonly month: string;
  readonly format: ArchiveFormat;
  /** Folder. */
  readonly out: string;
  /** Whether to replace a file that the database does not know. */
  readonly mayReplace: boolean;
}

/**
 * Writes all events of a month to a file, as of one moment. If the file exists, appends the events that came
 * since.
 */
export async function archiveMonth(config: Config, options: ArchiveOptions): Promise<void> {
  if (!/^\d{4}-(0[1-9]|1[0-2])$/.test(options.month))
    throw new TypeError(`${options.month} is not a month such as 2025-01`);
  if (statSync(options.out, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new TypeError(`${options.out} is not a folder`);
  const name = `events-${options.month}.${options.format}`;
  const file = path.join(options.out, name);
  const { pool, close } = await openDatabase(config);
  try {
    await pool.runOnce(DEADLINE_MS, (connection) =>
      withMonth(connection, `${options.month}-01`, name, async (archiving) => {
        const { state } = archiving;
        const refusal = refusalOf(state, file, options);
        if (refusal !== undefined) throw new ArchiveError(refusal);
        // A file that a kill left unfinished is written anew.
        const before = existsSync(file) && state.known?.bytes !== undefined ? state.known : undefined;
        if (before !== undefined && state.fresh === 0) {
          process.stdout.write(`${file}: has all ${before.events} events of ${options.month}\n`);
          return;
        }
        await write(archiving, file, options.format, before);
      }),
    );
  } finally {
    await close();
  }
}

function refusalOf(
  { known, isOver, events, fresh }: MonthState,
  file: string,
  { month, mayReplace }: ArchiveOptions,
): string | undefined {
  if (!isOver) return `${month} is not over yet`;
  if (existsSync(file)) {
    if (known !== undefined || mayReplace) return undefined;
    return `${file} exists, and the database does not know it: --replace writes it anew`;
  }
  // Events that only that file has may have been removed.
  if (known?.bytes !== undefined && events - fresh < known.events)
    return `${known.file} was written before, and events in it are gone: put it into the folder`;
  return undefined;
}

async function write(
  { state, begin, rows, finish }: Archiving,
  file: string,
  format: ArchiveFormat,
  before: { events: number } | undefined,
): Promise<void> {
  await begin();
  const progress = startProgress('events', before === undefined ? state.events : state.fresh);
  let written = 0;
  try {
    const bytes = await writeArchive(file, format, {
      before: before && { file, events: before.events },
      rows: counted(rows(before !== undefined), progress, (events) => {
        written += events;
      }),
    });
    const events = written + (before?.events ?? 0);
    await finish({ onlyFresh: before !== undefined, bytes, events });
    progress.stop();
    process.stdout.write(`${file}: ${events} events, ${bytes} bytes\n`);
  } finally {
    progress.stop();
  }
}

async function* counted(
  rows: AsyncIterable<EventRow[]>,
  progress: Progress,
  onRows: (events: number) => void,
): AsyncGenerator<EventRow[]> {
  let done = 0;
  for await (const some of rows) {
    done += some.length;
    onRows(some.length);
    progress.update(done);
    yield some;
  }
}

/** Reads an archive back. */
export async function showArchive(file: string): Promise<void> {
  const { month, events } = await checkArchive(file);
  process.stdout.write(`${file}: ${events} events of ${month}, whole\n`);
}
