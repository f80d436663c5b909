import type { Connection } from '../postgres/pool.js';
import { IS_VISIBLE } from './deleted-links.js';
import { type Condition, Parameters } from './lists.js';

/**
 * The newest events that fulfil some conditions are read from few chunks: from those that may still get events, and of
 * the others, whose times are noted, from those with the newest ones. A chunk that was left out has nothing newer than
 * its last event. What was found is right where all of it is newer than that; else more chunks are read. So events may
 * lie in any order of time, and none is missed.
 *
 * Of the chunks without an index most rows would be sorted only to be dropped, for each is newer than those before. The
 * end of such a chunk says from which time on there are enough rows.
 */

/** What a look at a part of the events gave. */
export interface Looked<Result> {
  readonly result: Result;
  /** Rows that it found. */
  readonly found: number;
  /** Time of the last row that it looked at, ms since 1970; `undefined` where it looked at all of the part. */
  readonly lastMs: number | undefined;
}

/** @param source What follows FROM in place of the table of events. */
export type Look<Result> = (source: string) => Promise<Looked<Result>>;

export interface Wanted {
  /** Rows that are looked for, those before a page's first included. */
  readonly rows: number;
  readonly conditions: readonly Condition[];
  /** Whether an index finds rows of the conditions: they are few, and may be in any chunk. */
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
  /** Times are ms since 1970, infinite ones as such; without an event no number. */
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

/** Chunks that are read first for rows of conditions with an index. */
const FIRST_CHUNKS = 4;
/** Of the rows of a chunk's end that are looked at for a time: to find it must cost less than what it saves. */
const MAX_ROWS_FOR_FLOOR = 5000;
/** Fewer than there mostly are. */
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
      // Else there are fewer rows than was thought.
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

/** Of the newest chunks the number that have so many rows; one at least. */
function chunksWith(chunks: readonly Chunk[], rows: number): number {
  let sum = 0;
  const last = chunks.findIndex(({ amount }) => {
    sum += amount;
    return sum >= rows;
  });
  return last < 0 ? chunks.length : last + 1;
}

/** How many chunks are read where `count` were too few. To plan for a chunk costs more than to find nothing in it. */
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
  /** As PostgreSQL writes it. */
  readonly time: string;
  readonly ms: number;
}

/** A time from which on there are as many rows as are wanted, by the hot chunk. */
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

/** By what stands at its end. */
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

/** Several times as long before as so many rows take, if they come as steadily as in all of the chunk. */
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

/** The events but those of some chunks and of deleted links, and from a time on. */
function sourceOf(without: readonly Chunk[], hasHidden: boolean, since?: string): string {
  const conditions = hasHidden ? [IS_VISIBLE] : [];
  if (without.length > 0) conditions.push(`(${idsBeside(without).join(' OR ')})`);
  if (since !== undefined) conditions.push(`"timestamp" >= '${since}'::timestamp`);
  return conditions.length === 0
    ? 'events'
    : `(SELECT * FROM events WHERE ${conditions.join(' AND ')}) AS events`;
}

/** Ranges of ids between those of chunks; constants, for the planner then knows no more of the chunks. */
function idsBeside(chunks: readonly Chunk[]): string[] {
  const ordered = [...chunks].sort((one, other) => (one.firstId < other.firstId ? -1 : 1));
  const ranges: string[] = [];
  let from: bigint | undefined;
  for (const { firstId, endId } of ordered) {
    if (from !== undefined && from < firstId)
      ranges.push(`id >= ${literal(from)} AND id < ${literal(firstId)}`);
    // Nothing is below the first chunk of all, which the planner can't know.
    else if (from === undefined && firstId > MIN_ID) ranges.push(`id < ${literal(firstId)}`);
    from = endId;
  }
  if (from !== undefined) ranges.push(`id >= ${literal(from)}`);
  return ranges;
}

function literal(id: bigint): string {
  return `'${id}'::bigint`;
}

/** PostgreSQL's text of a timestamp as ms since 1970; no number where JavaScript has no such time. */
export function timeMs(text: string): number {
  return Date.parse(`${text.replace(' ', 'T')}Z`);
}
