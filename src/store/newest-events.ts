import type { Connection } from '../postgres/pool.js';
import { IS_VISIBLE } from './deleted-links.js';
import { type Condition, Parameters } from './lists.js';

/**
 * Reads the newest events that meet some conditions from few chunks: those that may still get events, and those of the
 * others, whose times are noted, that have the newest. A chunk that was left out has nothing newer than its last event.
 * The result is right if all of it is newer than that; otherwise more chunks are read. Events may therefore lie in any
 * order of time, and none is missed.
 *
 * In a chunk without an index most rows would be sorted only to be dropped, because events come in roughly by time. The
 * end of such a chunk shows from which time on there are enough rows.
 */

/** What reading a part of the events found. */
export interface Looked<Result> {
  readonly result: Result;
  /** Rows found. */
  readonly found: number;
  /** Time of the last row read, ms since 1970; `undefined` if it read the whole part. */
  readonly lastMs: number | undefined;
}

/** @param source What follows FROM, instead of the table of events. */
export type Look<Result> = (source: string) => Promise<Looked<Result>>;

export interface Wanted {
  /** Rows wanted, including those before a page's first. */
  readonly rows: number;
  readonly conditions: readonly Condition[];
  /** Whether an index finds the rows of the conditions: they are few, and may be in any chunk. */
  readonly isIndexed: boolean;
  /** Only events from then on, ms since 1970. */
  readonly sinceMs?: number | undefined;
  /** Only events up to then, ms since 1970. */
  readonly untilMs?: number | undefined;
}

/** A chunk that gets no more events, unless by hand. */
interface Chunk {
  readonly firstId: bigint;
  readonly endId: bigint;
  readonly amount: number;
  /** ms since 1970; infinite times are infinite, NaN without an event. */
  readonly firstMs: number;
  readonly lastMs: number;
}

interface Chunks {
  readonly noted: readonly Chunk[];
  /** `undefined` where it is not known. */
  readonly hot: HotChunk | undefined;
  /** Whether there are events of deleted links. */
  readonly hasHidden: boolean;
}

/** The chunk that new events go to. */
interface HotChunk {
  /** As SQL names it. */
  readonly table: string;
  readonly blocks: number;
}

/** How many chunks are read first if the conditions have an index. */
const FIRST_CHUNKS = 4;
/** Rows of a chunk's end that are read to find a time, which must cost less than it saves. */
const MAX_ROWS_FOR_FLOOR = 5000;
/** Fewer than there usually are. */
const ROWS_A_BLOCK = 16;
/** Where the first chunk begins. */
const MIN_ID = -(2n ** 63n);
/** The end of the year 9999. */
const LAST_MS = 253_402_300_799_999;

/** Reads from as few chunks as will do. */
export async function readNewest<Result>(
  connection: Connection,
  wanted: Wanted,
  look: Look<Result>,
): Promise<Result> {
  const { noted, hot, hasHidden } = await readChunks(connection);
  const { sinceMs = Number.NEGATIVE_INFINITY, untilMs = Number.POSITIVE_INFINITY } = wanted;
  const candidates = noted
    .filter(({ firstMs, lastMs }) => !Number.isNaN(lastMs) && !(firstMs > untilMs) && lastMs >= sinceMs)
    .sort((one, other) => (one.lastMs === other.lastMs ? 0 : other.lastMs - one.lastMs));
  const without = (count: number): Chunk[] => {
    const read = new Set(candidates.slice(0, count));
    return noted.filter((chunk) => !read.has(chunk));
  };
  if (hot !== undefined) {
    const floor = await floorOf(connection, hot, wanted);
    if (floor !== undefined) {
      const count = candidates.findIndex(({ lastMs }) => lastMs < floor.ms);
      const { result, lastMs } = await look(
        sourceOf(without(count < 0 ? candidates.length : count), hasHidden, floor.time),
      );
      // Otherwise there are fewer rows than estimated.
      if (lastMs !== undefined) return result;
    }
  }
  let count = wanted.isIndexed ? FIRST_CHUNKS : chunksWith(candidates, wanted.rows);
  for (;;) {
    const { result, found, lastMs } = await look(sourceOf(without(count), hasHidden));
    const following = candidates[count];
    if (following === undefined || (lastMs !== undefined && lastMs > following.lastMs)) return result;
    count = moreChunks(candidates, count, found, wanted);
  }
}

/** How many of the newest chunks have that many rows together; at least one. */
function chunksWith(chunks: readonly Chunk[], rows: number): number {
  let sum = 0;
  const last = chunks.findIndex(({ amount }) => {
    sum += amount;
    return sum >= rows;
  });
  return last < 0 ? chunks.length : last + 1;
}

/** How many chunks are read if `count` were too few. Planning for a chunk costs more than finding nothing in it. */
function moreChunks(chunks: readonly Chunk[], count: number, found: number, { rows }: Wanted): number {
  if (found === 0) return chunks.length;
  const estimated = Math.max(2 * count, Math.ceil((1.5 * count * rows) / found));
  return estimated > chunks.length / 2 ? chunks.length : estimated;
}

async function readChunks(connection: Connection): Promise<Chunks> {
  const { rows } = await connection.query<(string | null)[]>({
    name: 'event_chunk_times',
    text: `WITH hot AS MATERIALIZED (
             SELECT to_regclass('events_from_' || coalesce(max(end_id), 0)) AS chunk FROM event_chunk_times)
           SELECT chunk::text, pg_relation_size(chunk) / current_setting('block_size')::integer, first_id, end_id, amount,
                  extract(epoch FROM first_time) * 1000, extract(epoch FROM last_time) * 1000,
                  EXISTS (SELECT FROM deleted_links)
           FROM hot LEFT JOIN event_chunk_times ON true`,
    rowMode: 'array',
  });
  const noted = rows.flatMap(([, , firstId, endId, amount, firstMs, lastMs]) =>
    firstId === null || endId === null || firstId === undefined || endId === undefined
      ? []
      : [
          {
            firstId: BigInt(firstId),
            endId: BigInt(endId),
            amount: Number(amount),
            firstMs: Number(firstMs ?? Number.NaN),
            lastMs: Number(lastMs ?? Number.NaN),
          },
        ],
  );
  const [table, blocks, , , , , , hasHidden] = rows[0] ?? [];
  return {
    noted,
    hot: typeof table === 'string' ? { table, blocks: Number(blocks) } : undefined,
    hasHidden: hasHidden === 't',
  };
}

interface Floor {
  /** In PostgreSQL's text form. */
  readonly time: string;
  readonly ms: number;
}

/** A time from which on the hot chunk has as many rows as wanted. */
async function floorOf(
  connection: Connection,
  hot: HotChunk,
  { rows, conditions, isIndexed, untilMs }: Wanted,
): Promise<Floor | undefined> {
  if (isIndexed || rows > MAX_ROWS_FOR_FLOOR) return undefined;
  return untilMs === undefined
    ? floorByEnd(connection, hot, rows, conditions)
    : guessFloor(connection, hot, rows, untilMs);
}

/** The same, by the rows at its end. */
async function floorByEnd(
  connection: Connection,
  { table, blocks }: HotChunk,
  rows: number,
  conditions: readonly Condition[],
): Promise<Floor | undefined> {
  const parameters = new Parameters();
  const first = Math.max(0, blocks - Math.ceil(rows / ROWS_A_BLOCK) - 1);
  const where = [`ctid >= ${parameters.add(`(${first},0)`)}::tid`];
  if (conditions.length > 0) where.push(parameters.all(conditions));
  const { rows: found } = await connection.query<string[]>({
    text: `SELECT "timestamp", extract(epoch FROM "timestamp") * 1000 FROM ${table} WHERE ${where.join(' AND ')}
           ORDER BY "timestamp" DESC LIMIT 1 OFFSET ${rows - 1}`,
    values: parameters.values,
    rowMode: 'array',
  });
  const [time, ms] = found[0] ?? [];
  return time === undefined ? undefined : { time, ms: Number(ms) };
}

/** Several times the span that so many rows take at the chunk's average rate. */
async function guessFloor(
  connection: Connection,
  { table, blocks }: HotChunk,
  rows: number,
  untilMs: number,
): Promise<Floor | undefined> {
  const { rows: found } = await connection.query<(string | null)[]>({
    text: `SELECT extract(epoch FROM (SELECT min("timestamp") FROM ${table} WHERE ctid < '(2,0)')) * 1000,
                  extract(epoch FROM (SELECT max("timestamp") FROM ${table} WHERE ctid >= $1::tid)) * 1000`,
    values: [`(${Math.max(0, blocks - 2)},0)`],
    rowMode: 'array',
  });
  const [first, last] = (found[0] ?? []).map((ms) => (ms === null ? Number.NaN : Number(ms)));
  if (first === undefined || last === undefined || !(first < untilMs)) return undefined;
  const ms = Math.floor(Math.min(untilMs, last) - ((last - first) * rows) / (blocks * ROWS_A_BLOCK));
  return ms > 0 && ms < LAST_MS ? { time: new Date(ms).toISOString().slice(0, -1), ms } : undefined;
}

/** The events from a time on, without those of some chunks and of deleted links. */
function sourceOf(without: readonly Chunk[], hasHidden: boolean, since?: string): string {
  const conditions = hasHidden ? [IS_VISIBLE] : [];
  if (without.length > 0) conditions.push(`(${idsBeside(without).join(' OR ')})`);
  if (since !== undefined) conditions.push(`"timestamp" >= '${since}'::timestamp`);
  return conditions.length === 0
    ? 'events'
    : `(SELECT * FROM events WHERE ${conditions.join(' AND ')}) AS events`;
}

/** Ranges of ids between those of chunks, as constants: the planner then leaves the chunks out. */
function idsBeside(chunks: readonly Chunk[]): string[] {
  const ordered = [...chunks].sort((one, other) => (one.firstId < other.firstId ? -1 : 1));
  const ranges: string[] = [];
  let from: bigint | undefined;
  for (const { firstId, endId } of ordered) {
    if (from !== undefined && from < firstId)
      ranges.push(`id >= ${literal(from)} AND id < ${literal(firstId)}`);
    // Nothing is below the very first chunk, but the planner can't know that.
    else if (from === undefined && firstId > MIN_ID) ranges.push(`id < ${literal(firstId)}`);
    from = endId;
  }
  if (from !== undefined) ranges.push(`id >= ${literal(from)}`);
  return ranges;
}

function literal(id: bigint): string {
  return `'${id}'::bigint`;
}

/** PostgreSQL's text of a timestamp as ms since 1970; NaN if JavaScript has no such time. */
export function timeMs(text: string): number {
  return Date.parse(`${text.replace(' ', 'T')}Z`);
}
