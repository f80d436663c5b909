import { copyInto, copyOut } from '../postgres/copy.js';
import { UnusableDatabaseError } from '../postgres/failures.js';
import type { Connection } from '../postgres/pool.js';
import { prepareRestored } from './migrate.js';
import { sequencedTables } from './sequences.js';

export interface BackupTable {
  readonly name: string;
  /** In the order of the rows' values. */
  readonly columns: readonly string[];
  readonly rows: number;
  readonly partitions: readonly { readonly name: string; readonly bounds: string }[];
}

/** A sequence, by the column whose values it makes. */
export interface BackupSequence {
  readonly table: string;
  readonly column: string;
  readonly last: string;
  readonly isCalled: boolean;
}

/** A backup's description of the database, before its rows. */
export interface DatabaseDescription {
  /** Of the migrations that were applied. */
  readonly migrations: readonly number[];
  /** Each after those that its rows refer to. */
  readonly tables: readonly BackupTable[];
  readonly sequences: readonly BackupSequence[];
}

/**
 * Our tables: all of the schema except those of extensions and those derived from others; a partition belongs to
 * its table.
 */
const OUR_TABLES = `
  FROM pg_class AS t
  WHERE t.relnamespace = quote_ident(current_schema())::regnamespace
    AND t.relkind IN ('r', 'p') AND NOT t.relispartition 
    AND t.relname NOT IN (
      'schema_migrations', 'link_clicks', 'link_click_changes', 'link_click_order', 'event_chunk_times')
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = t.oid AND deptype = 'e')`;

/**
 * Gives `work` a description of the database and a connection that sees it as it was at one moment, however
 * long the work takes. Nobody waits for it but changes of the schema, and those step back.
 */
export async function withSnapshot<T>(
  connection: Connection,
  work: (description: DatabaseDescription) => Promise<T>,
): Promise<T> {
  const before = await tableNames(connection);
  await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    await connection.query(
      `SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL datestyle = 'ISO'`,
    );
    // Before the snapshot, which the first SELECT makes: the rows are of the schema that is described.
    await connection.query(`LOCK TABLE ${before.map(quoted).join(', ')} IN ACCESS SHARE MODE`);
    const description = await describeDatabase(connection);
    const names = description.tables.map(({ name }) => name).sort();
    if (names.join() !== before.join())
      throw new UnusableDatabaseError('the schema was changed meanwhile: try again');
    return await work(description);
  } finally {
    await connection.query('ROLLBACK');
  }
}

async function tableNames(connection: Connection): Promise<string[]> {
  const { rows } = await connection.query<{ name: string }>(
    `SELECT t.relname AS name ${OUR_TABLES} AND to_regclass('schema_migrations') IS NOT NULL`,
  );
  if (rows.length === 0) throw new UnusableDatabaseError('the database has none of our tables');
  return rows.map(({ name }) => name).sort();
}

async function describeDatabase(connection: Connection): Promise<DatabaseDescription> {
  const found = await connection.query<{ name: string; columns: string; partitions: string; needs: string }>(
    `SELECT t.relname AS name,
       (SELECT json_agg(attname ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = t.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '') AS columns,
       (SELECT coalesce(json_agg(json_build_object('name', p.relname, 'bounds', pg_get_expr(p.relpartbound, p.oid))
                                 ORDER BY p.relname), '[]')
        FROM pg_inherits JOIN pg_class AS p ON p.oid = inhrelid
        WHERE inhparent = t.oid AND pg_get_expr(p.relpartbound, p.oid) <> 'DEFAULT') AS partitions,
       (SELECT coalesce(json_agg(r.relname), '[]') FROM pg_constraint JOIN pg_class AS r ON r.oid = confrelid
        WHERE conrelid = t.oid AND contype = 'f' AND confrelid <> conrelid) AS needs
     ${OUR_TABLES} ORDER BY t.relname`,
  );
  const tables: FoundTable[] = [];
  for (const { name, columns, partitions, needs } of found.rows) {
    tables.push({
      name,
      columns: JSON.parse(columns) as string[],
      rows: Number(await single(connection, `SELECT count(*) FROM ${quoted(name)}`)),
      partitions: JSON.parse(partitions) as BackupTable['partitions'],
      needs: JSON.parse(needs) as string[],
    });
  }
  const migrations = await connection.query<{ number: string }>(
    'SELECT number FROM schema_migrations ORDER BY number',
  );
  return {
    migrations: migrations.rows.map(({ number }) => Number(number)),
    tables: inOrder(tables).map(({ needs: _, ...table }) => table),
    sequences: await describeSequences(connection),
  };
}

interface FoundTable extends BackupTable {
  /** Tables that its rows refer to. */
  readonly needs: readonly string[];
}

function inOrder(tables: readonly FoundTable[]): FoundTable[] {
  const ordered: FoundTable[] = [];
  let left = tables;
  while (left.length > 0) {
    const ready = left.filter(({ needs }) => !left.some(({ name }) => needs.includes(name)));
    if (ready.length === 0) throw new Error(`tables refer to each other: ${left.map(({ name }) => name)}`);
    ordered.push(...ready);
    left = left.filter((table) => !ready.includes(table));
  }
  return ordered;
}

/** A sequence is never seen as it was, only as it is: at or beyond the rows of the snapshot. */
async function describeSequences(connection: Connection): Promise<BackupSequence[]> {
  const { rows } = await connection.query<{ table: string; column: string; sequence: string }>(
    `SELECT owner.relname AS table, attname AS column, s.oid::regclass AS sequence
     FROM pg_depend JOIN pg_class AS s ON s.oid = objid AND s.relkind = 'S'
       JOIN pg_class AS owner ON owner.oid = refobjid
       JOIN pg_attribute ON attrelid = owner.oid AND attnum = refobjsubid
     WHERE deptype IN ('a', 'i') AND owner.relname IN (SELECT t.relname ${OUR_TABLES})
       AND owner.relnamespace = quote_ident(current_schema())::regnamespace
     ORDER BY 1, 2`,
  );
  const sequences: BackupSequence[] = [];
  for (const { table, column, sequence } of rows) {
    const state = await connection.query<{ last: string; called: string }>(
      `SELECT last_value AS last, is_called AS called FROM ${sequence}`,
    );
    const [row] = state.rows;
    if (row !== undefined) sequences.push({ table, column, last: row.last, isCalled: row.called === 't' });
  }
  return sequences;
}

/** A table's rows in COPY's text form, in the snapshot of the connection's transaction. */
export function rowsOfTable(connection: Connection, { name, columns }: BackupTable): AsyncIterable<Buffer> {
  return copyOut(connection, `SELECT ${columns.map(quoted).join(', ')} FROM ${quoted(name)}`);
}

export interface RestoreOptions {
  /** Whether existing rows may be removed. */
  readonly mayReplace: boolean;
  /** Called for each table in order; gives its rows. */
  readonly rowsOf: (table: BackupTable) => AsyncIterable<Buffer>;
  /** Called after the last table, before the commit; throws when the backup turns out not to be whole. */
  readonly verify: () => Promise<void>;
}

/**
 * Puts a backup's rows into a database, all or nothing: the schema is brought to the backup's own, the rows
 * go in, and then come the migrations that the backup has not seen.
 * @returns tables of the backup that are not ours and were skipped.
 * @throws UnusableDatabaseError when the database is in use, has rows, or is newer than the backup.
 */
export async function restoreDatabase(
  connection: Connection,
  description: DatabaseDescription,
  options: RestoreOptions,
): Promise<string[]> {
  await requireUnused(connection);
  const leftOut: string[] = [];
  await prepareRestored(connection, description.migrations, async () => {
    // The sums of the events come with them. An older schema asks for the second setting. A database that gets its
    // clicks from Kafka accepts checkpoints from nobody else.
    await connection.query(
      `SET LOCAL statement_timeout = 0; SET LOCAL datestyle = 'ISO'; SET LOCAL switchyard.ingest = 'consume';
       SET LOCAL switchyard.differences = 'none'; SET LOCAL switchyard.unsummed = 'on'`,
    );
    const ours = await tableNames(connection);
    if (!options.mayReplace) await requireEmpty(connection);
    // The database's own id among them: it is the backup's from now on.
    await connection.query(`TRUNCATE ${ours.map(quoted).join(', ')}`);
    const isInChunks = await startChunks(connection, description);
    for (const table of description.tables) {
      const rows = options.rowsOf(table);
      const isInOne = isInChunks && table.name === 'events';
      if (ours.includes(table.name))
        await fill(connection, isInOne ? { ...table, partitions: [] } : table, rows);
      else {
        leftOut.push(table.name);
        for await (const _ of rows);
      }
    }
    for (const { table, column, last, isCalled } of description.sequences) {
      if (!ours.includes(table)) continue;
      await connection.query('SELECT setval(pg_get_serial_sequence(quote_ident($1), $2), $3, $4)', [
        table,
        column,
        last,
        isCalled,
      ]);
    }
    if (isInChunks) await connection.query('SELECT index_event_chunk(name) FROM event_chunks()');
    await options.verify();
  });
  await connection.query('ANALYZE');
  return leftOut;
}

/**
 * Events of the backup go to one chunk, whatever they were in; its indexes are built afterwards.
 * @returns whether events are in chunks; not so in the schema of an earlier release.
 */
async function startChunks(connection: Connection, { sequences }: DatabaseDescription): Promise<boolean> {
  if ((await single(connection, `SELECT to_regproc('restart_event_chunks') IS NULL`)) === 't') return false;
  const last = sequences.find(({ table }) => table === 'events')?.last ?? '0';
  return (await single(connection, `SELECT restart_event_chunks(${BigInt(last)})`)) === 't';
}

/** What `pg_get_expr` makes of a range of times or numbers; text of a file becomes SQL in no other form. */
const BOUNDS = /^FOR VALUES FROM \('?[\d :.-]+'?\) TO \('?[\d :.-]+'?\)$/;

async function fill(
  connection: Connection,
  { name, columns, rows, partitions }: BackupTable,
  chunks: AsyncIterable<Buffer>,
): Promise<void> {
  for (const partition of partitions) {
    if (!BOUNDS.test(partition.bounds))
      throw new Error(`a partition of ${name} has no bounds that are known`);
    await connection.query(
      `CREATE TABLE IF NOT EXISTS ${quoted(partition.name)} PARTITION OF ${quoted(name)} ${partition.bounds}`,
    );
  }
  const loaded = await copyInto(connection, `${quoted(name)} (${columns.map(quoted).join(', ')})`, chunks);
  if (loaded !== rows) throw new Error(`${name} has ${loaded} rows in the backup, not ${rows}`);
}

/** Servers would ingest and cache during the restore. */
async function requireUnused(connection: Connection): Promise<void> {
  const servers = await single(
    connection,
    `SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE 'switchyard%' AND pid <> pg_backend_pid()`,
  );
  if (servers !== '0') throw new UnusableDatabaseError('servers use the database: stop them first');
}

async function requireEmpty(connection: Connection): Promise<void> {
  for (const name of sequencedTables) {
    if ((await single(connection, `SELECT EXISTS (SELECT FROM ${name})`)) === 't')
      throw new UnusableDatabaseError(`the database is not empty (${name}): --replace removes what is in it`);
  }
}

async function single(connection: Connection, sql: string): Promise<string | undefined> {
  const { rows } = await connection.query<{ value: string }>(`SELECT (${sql}) AS value`);
  return rows[0]?.value;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
