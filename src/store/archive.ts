import Cursor from 'pg-cursor';
import { type Connection, rowsOf, type Statement, textTypes } from '../postgres/pool.js';
import { IS_VISIBLE } from './deleted-links.js';
import { type EventRow, eventColumns } from './events.js';

/** Held while old events are removed or archived: one at a time. */
export const RETENTION_LOCK = 0x5357_0005;

/** A file with the events of a month, or one that is being written. */
export interface Archive {
  /** Its name, without its folder. */
  readonly file: string;
  /** Its size; `undefined` until it is whole. */
  readonly bytes: number | undefined;
  /** Events in it. */
  readonly events: number;
}

type ArchiveValues = readonly [file: string, bytes: string | null, events: string];

function toArchive([file, bytes, events]: ArchiveValues): Archive {
  return { file, bytes: bytes === null ? undefined : Number(bytes), events: Number(events) };
}

const wholeStatement: Statement = {
  name: 'archives_whole',
  text: 'SELECT file, bytes, events FROM archives WHERE bytes IS NOT NULL',
};

/** The archives that are whole. */
export async function wholeArchives(connection: Connection): Promise<Archive[]> {
  return (await rowsOf<ArchiveValues>(connection, wholeStatement)).map(toArchive);
}

/** The state of a month at one moment. */
export interface MonthState {
  /** Whether it was over an hour ago: gateways' clocks differ. */
  readonly isOver: boolean;
  /** What the database knows of the file. */
  readonly known: Archive | undefined;
  /** Events in the database. */
  readonly events: number;
  /** Of them, those that are not in the file. */
  readonly fresh: number;
}

export interface Archiving {
  readonly state: MonthState;
  /** Notes that the file is being written: a file without a note is not ours. */
  begin(): Promise<void>;
  /** The month's events, oldest first. @param onlyFresh Only those that are not in the file. */
  rows(onlyFresh: boolean): AsyncGenerator<EventRow[]>;
  /** Notes that those events are in the file, which is on the disk. */
  finish(file: {
    readonly onlyFresh: boolean;
    readonly bytes: number;
    readonly events: number;
  }): Promise<void>;
}

/**
 * Gives `work` the events of a month as they are at one moment. Meanwhile no server removes any, and no other
 * archive is written.
 * @param month Its first day.
 * @param file The name of the archive.
 */
export async function withMonth<T>(
  connection: Connection,
  month: string,
  file: string,
  work: (archiving: Archiving) => Promise<T>,
): Promise<T> {
  await connection.query(
    `SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '1min'`,
  );
  // Before the snapshot: what was removed by then is not in it.
  await connection.query('SELECT pg_advisory_lock($1)', [RETENTION_LOCK]);
  try {
    await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    const result = await work({
      state: await stateOf(connection, month, file),
      begin: () => begin(connection, month, file),
      rows: (onlyFresh) => readRows(connection, month, file, onlyFresh),
      finish: (written) => note(connection, month, file, written),
    });
    await connection.query('COMMIT');
    return result;
  } catch (error) {
    await connection.query('ROLLBACK');
    throw error;
  } finally {
    await connection.query('SELECT pg_advisory_unlock($1)', [RETENTION_LOCK]);
  }
}

/** The events of month `$1`, which go by `e`, and whether one is in file `$2`. */
const OF_MONTH = `e."timestamp" >= $1::date AND e."timestamp" < $1::date + interval '1 month' AND ${IS_VISIBLE}`;
const IS_IN_FILE = isInFile('$2');

/** Whether an event that goes by `e` is in a file. */
function isInFile(file: string): string {
  return `coalesce((SELECT last_id FROM archived_events AS run WHERE run.file = ${file} AND first_id <= e.id
                    ORDER BY first_id DESC LIMIT 1) >= e.id, false)`;
}

/** Whether an event that goes by `e` is in one of the files `files`, an array of SQL. */
export function isArchived(files: string): string {
  return `EXISTS (SELECT FROM unnest(${files}::text[]) AS file
                  WHERE file LIKE 'events-' || to_char(e."timestamp", 'YYYY-MM') || '.%' AND ${isInFile('file')})`;
}

async function stateOf(connection: Connection, month: string, file: string): Promise<MonthState> {
  const { rows } = await connection.query<{ over: string; events: string; fresh: string }>(
    `SELECT $1::date + interval '1 month 1 hour' < now() AT TIME ZONE 'utc' AS over,
            count(*) AS events, count(*) FILTER (WHERE NOT ${IS_IN_FILE}) AS fresh
     FROM events AS e WHERE ${OF_MONTH}`,
    [month, file],
  );
  const [known] = await rowsOf<ArchiveValues>(
    connection,
    { name: 'archive_known', text: 'SELECT file, bytes, events FROM archives WHERE file = $1' },
    [file],
  );
  return {
    isOver: rows[0]?.over === 't',
    known: known === undefined ? undefined : toArchive(known),
    events: Number(rows[0]?.events),
    fresh: Number(rows[0]?.fresh),
  };
}

/** In a separate transaction, whose result a kill leaves behind. */
async function begin(connection: Connection, month: string, file: string): Promise<void> {
  await connection.query('ROLLBACK');
  await connection.query('INSERT INTO archives (file, month) VALUES ($2, $1) ON CONFLICT (file) DO NOTHING', [
    month,
    file,
  ]);
  await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
}

const ROWS_A_READ = 2000;

async function* readRows(
  connection: Connection,
  month: string,
  file: string,
  onlyFresh: boolean,
): AsyncGenerator<EventRow[]> {
  const cursor = connection.query(
    new Cursor(
      `SELECT ${eventColumns} FROM events AS e
       WHERE ${OF_MONTH} AND NOT ($3 AND ${IS_IN_FILE}) ORDER BY "timestamp", id`,
      [month, file, onlyFresh],
      { rowMode: 'array', types: textTypes },
    ),
  );
  try {
    for (;;) {
      const rows = (await cursor.read(ROWS_A_READ)) as EventRow[];
      if (rows.length > 0) yield rows;
      if (rows.length < ROWS_A_READ) return;
    }
  } finally {
    await cursor.close();
  }
}

/** Within a run, an id and its place among the ids differ by the same number. */
async function note(
  connection: Connection,
  month: string,
  file: string,
  { onlyFresh, bytes, events }: Parameters<Archiving['finish']>[0],
): Promise<void> {
  if (!onlyFresh) await connection.query('DELETE FROM archived_events WHERE file = $1', [file]);
  await connection.query(
    `INSERT INTO archived_events (file, first_id, last_id)
     SELECT $2, min(id), max(id)
     FROM (SELECT id, id - row_number() OVER (ORDER BY id) AS run FROM events AS e
           WHERE ${OF_MONTH} AND NOT ${IS_IN_FILE}) AS added
     GROUP BY run`,
    [month, file],
  );
  await connection.query('UPDATE archives SET bytes = $2, events = $3, archived_at = now() WHERE file = $1', [
    file,
    bytes,
    events,
  ]);
}
