import { createReadStream, existsSync } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Info, parse } from 'csv-parse';
import { parseTimestamp } from '../api/timestamps.js';
import {
  isRedirectTarget,
  isStorable,
  Longest,
  parseBoolean,
  usableEmail,
  usableId,
  usableName,
} from '../api/values.js';
import { COPY_NULL, copyInto, copyText } from '../postgres/copy.js';
import type { Connection } from '../postgres/pool.js';
import { isInChunks } from './event-chunks.js';

/** A seed's result for each file: rows loaded, and rows skipped by reason. */
export interface SeedReport {
  readonly table: 'users' | 'short_urls' | 'events';
  loaded: number;
  /** Skipped rows. */
  rejected: number;
  /** From a reason to the number of rows that it excluded, or changed where it says so. */
  readonly notes: Map<string, number>;
  /** The first skipped rows, by the line of the file on which they end. */
  readonly rejections: { readonly line: number; readonly reason: string }[];
}

export interface SeedOptions {
  /** Whether to load files that lose more rows than they load. */
  readonly isLenient: boolean;
}

/** A seed file that can't be read at all; `message` is one line for the operator. */
export class SeedError extends Error {
  override readonly name = 'SeedError';
}

const fileNames = ['users.csv', 'urls.csv', 'events.csv'] as const;

type CsvRow = Readonly<Record<string, string>>;

/** Number of rejections that a report lists by line. */
const MAX_REJECTIONS = 100;
/** A larger id would leave its sequence too few ids. */
const MAX_ID = 2n ** 62n;

/**
 * Loads the three seed files into an empty database; call it inside a transaction that holds the schema lock.
 * It stores rows unchanged where possible: events may contradict the rows they belong to. It skips unusable
 * rows and counts them by reason.
 * @returns `undefined` if the database is not empty: nothing was done.
 * @throws SeedError if a file is missing, is no CSV in UTF-8, or loses more rows than it loads.
 */
export async function seedDatabase(
  connection: Connection,
  csvDir: string,
  { isLenient }: SeedOptions = { isLenient: false },
): Promise<SeedReport[] | undefined> {
  const { rows } = await connection.query<{ used: string }>(
    `SELECT EXISTS (SELECT FROM users) OR EXISTS (SELECT FROM short_urls) OR EXISTS (SELECT FROM events) AS used`,
  );
  if (rows[0]?.used === 't') return undefined;
  for (const name of fileNames) {
    const file = path.join(csvDir, name);
    if (!existsSync(file))
      throw new SeedError(`CSV_DIR has no ${name}: ${path.resolve(file)} does not exist`);
  }
  const seed = new Seed(connection, csvDir, isLenient);
  return [await seed.users(), await seed.urls(), await seed.events()];
}

class Seed {
  readonly #connection: Connection;
  readonly #csvDir: string;
  readonly #isLenient: boolean;
  readonly #userIds = new Set<string>();
  /** Ids of skipped users: rows that refer to them get a null user. */
  readonly #droppedUserIds = new Set<string>();
  readonly #urlIds = new Set<string>();

  constructor(connection: Connection, csvDir: string, isLenient: boolean) {
    this.#connection = connection;
    this.#csvDir = csvDir;
    this.#isLenient = isLenient;
  }

  async users(): Promise<SeedReport> {
    const report = newReport('users');
    const usernames = new Set<string>();
    const toRow = (row: CsvRow): string[] | string => {
      const id = seedId(row.id ?? '');
      const username = usableName(row.username ?? '', Longest.username);
      const email = usableEmail(row.email ?? '');
      const createdAt = parseTimestamp(row.created_at ?? '');
      if (id === undefined || this.#userIds.has(id)) return 'no id, or a repeated one';
      if (username === undefined || email === undefined) return 'no usable username or email';
      if (createdAt === undefined) return 'no usable created_at';
      if (usernames.has(username)) {
        this.#droppedUserIds.add(id);
        return 'username repeated: the first one was kept';
      }
      usernames.add(username);
      this.#userIds.add(id);
      return [id, username, email, createdAt];
    };
    await this.#load('users.csv', 'users (id, username, email, created_at)', report, toRow);
    await this.#setSequence('users');
    return report;
  }

  async urls(): Promise<SeedReport> {
    const report = newReport('short_urls');
    const codes = new Set<string>();
    const toRow = (row: CsvRow): string[] | string => {
      const id = seedId(row.id ?? '');
      const code = row.short_code ?? '';
      const title = row.title ?? '';
      const isActive = parseBoolean(row.is_active ?? '');
      const createdAt = parseTimestamp(row.created_at ?? '');
      const updatedAt =
        (row.updated_at ?? '').trim() === '' ? createdAt : parseTimestamp(row.updated_at ?? '');
      if (id === undefined || this.#urlIds.has(id)) return 'no id, or a repeated one';
      if (!/^[\w~.-]{1,100}$/.test(code) || codes.has(code)) return 'no usable short_code, or a repeated one';
      if (!isRedirectTarget(row.original_url ?? '')) return 'original_url is no http(s) URL';
      if (!isStorable(title, Longest.title)) return 'title too long';
      if (isActive === undefined) return 'is_active is neither true nor false';
      if (createdAt === undefined || updatedAt === undefined) return 'no usable created_at or updated_at';
      const userId = this.#ownerOf(row, report);
      codes.add(code);
      this.#urlIds.add(id);
      const target = row.original_url ?? '';
      return [id, userId, target, code, title, String(isActive), createdAt, updatedAt];
    };
    const columns = 'id, user_id, original_url, short_code, title, is_active, created_at, updated_at';
    await this.#load('urls.csv', `short_urls (${columns})`, report, toRow);
    await this.#setSequence('short_urls');
    return report;
  }

  async events(): Promise<SeedReport> {
    const report = newReport('events');
    await this.#makePartitions();
    const ids = new Set<string>();
    const toRow = (row: CsvRow): string[] | string => {
      const id = seedId(row.id ?? '');
      const urlId = row.url_id === '' ? COPY_NULL : usableId(row.url_id ?? '');
      const type = (row.event_type ?? '').trim();
      const timestamp = parseTimestamp(row.timestamp ?? '');
      const details = row.details ?? '';
      if (id === undefined || ids.has(id)) return 'no id, or a repeated one';
      if (urlId === undefined || (urlId !== COPY_NULL && !this.#urlIds.has(urlId)))
        return 'its URL is not there';
      if (type === '' || !isStorable(type, Longest.eventType)) return 'no usable event_type';
      if (timestamp === undefined) return 'no usable timestamp';
      if (!isJsonObject(details)) return 'details is no JSON object';
      ids.add(id);
      return [id, urlId, this.#ownerOf(row, report), type, timestamp, details];
    };
    const columns = 'id, url_id, user_id, event_type, "timestamp", details';
    await this.#load('events.csv', `events (${columns})`, report, toRow);
    await this.#setSequence('events');
    await this.#connection.query(
      `UPDATE short_urls SET click_count = clicks.n
       FROM (SELECT url_id, count(*) AS n FROM events WHERE event_type = 'click' GROUP BY url_id) AS clicks
       WHERE id = clicks.url_id`,
    );
    return report;
  }

  #ownerOf(row: CsvRow, report: SeedReport): string {
    const text = row.user_id ?? '';
    const id = usableId(text);
    if (id !== undefined && this.#userIds.has(id)) return id;
    if (text !== '') {
      const known = id !== undefined && this.#droppedUserIds.has(id);
      note(
        report,
        known ? 'kept without its user, who was left out' : 'kept without its user, who is unknown',
      );
    }
    return COPY_NULL;
  }

  /** Streams a file into a table; `toRow` gives a row's values, or the reason to leave it out. */
  async #load(
    file: string,
    target: string,
    report: SeedReport,
    toRow: (row: CsvRow) => string[] | string,
  ): Promise<void> {
    const rows = this.#read(file);
    async function* chunks(): AsyncGenerator<string> {
      let chunk = '';
      for await (const { row, line } of rows) {
        const values = toRow(row);
        if (typeof values === 'string') {
          reject(report, line, values);
          continue;
        }
        chunk += `${values.map((value) => (value === COPY_NULL ? value : copyText(value))).join('\t')}\n`;
        if (chunk.length < 65_536) continue;
        yield chunk;
        chunk = '';
      }
      yield chunk;
    }
    report.loaded = await copyInto(this.#connection, target, chunks());
    if (report.rejected <= report.loaded || this.#isLenient) return;
    const [first] = report.rejections;
    throw new SeedError(
      `${path.join(this.#csvDir, file)}: ${report.rejected} of ${report.rejected + report.loaded} rows can't be loaded (line ${first?.line}: ${first?.reason}); SEED_LENIENT=true loads the others`,
    );
  }

  async *#read(file: string): AsyncGenerator<{ row: CsvRow; line: number }> {
    const parser = parse({
      bom: true,
      columns: true,
      info: true,
      skip_empty_lines: true,
      relax_column_count: true,
    });
    const feeding = pipeline(createReadStream(path.join(this.#csvDir, file)), utf8Only, parser);
    // The reader of the records gets the error too.
    feeding.catch(() => undefined);
    try {
      for await (const { record, info } of parser as AsyncIterable<{ record: CsvRow; info: Info }>) {
        yield { row: record, line: info.lines };
      }
    } catch (error) {
      throw new SeedError(`${path.join(this.#csvDir, file)}: ${(error as Error).message}`);
    }
  }

  async #makePartitions(): Promise<void> {
    const months = new Set<string>();
    let lastId = 0n;
    for await (const { row } of this.#read('events.csv')) {
      const timestamp = parseTimestamp(row.timestamp ?? '');
      const id = BigInt(seedId(row.id ?? '') ?? 0);
      if (id > lastId) lastId = id;
      // A stray date must not make thousands of partitions; events_other stores it.
      if (timestamp !== undefined && /^20[0-4]/.test(timestamp)) months.add(`${timestamp.slice(0, 7)}-01`);
    }
    if (await isInChunks(this.#connection)) {
      await this.#connection.query('SELECT make_event_chunks($1)', [lastId]);
      return;
    }
    for (const month of [...months].sort()) {
      await this.#connection.query('SELECT make_event_partitions($1::date, $1::date)', [month]);
    }
  }

  async #setSequence(table: 'users' | 'short_urls' | 'events'): Promise<void> {
    await this.#connection.query(
      `SELECT setval(pg_get_serial_sequence('${table}', 'id'), coalesce(max(id), 1), max(id) IS NOT NULL) FROM ${table}`,
    );
  }
}

function newReport(table: SeedReport['table']): SeedReport {
  return { table, loaded: 0, rejected: 0, notes: new Map(), rejections: [] };
}

function seedId(text: string): string | undefined {
  const id = usableId(text);
  return id === undefined || BigInt(id) > MAX_ID ? undefined : id;
}

/** The bytes of a file as text. @throws at the first that is not UTF-8. */
async function* utf8Only(file: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const decode = (bytes?: Buffer): string => {
    try {
      return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
    } catch {
      throw new Error('it is not UTF-8');
    }
  };
  for await (const bytes of file) yield decode(bytes);
  yield decode();
}

function reject(report: SeedReport, line: number, reason: string): void {
  report.rejected += 1;
  note(report, reason);
  if (report.rejections.length < MAX_REJECTIONS) report.rejections.push({ line, reason });
}

function note(report: SeedReport, reason: string): void {
  report.notes.set(reason, (report.notes.get(reason) ?? 0) + 1);
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
