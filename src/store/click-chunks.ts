import { sqlStateOf } from '../postgres/failures.js';
import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';
import { RETENTION_LOCK } from './archive.js';
import { CHUNK_SETTINGS, isLocked, isTrue, keepDropped, linksLocked, tryAgain } from './retention-chunks.js';

/**
 * CLICK_EVENTS=off: clicks and previews leave the events as soon as their chunk gets no more ids, chunk by chunk. What they
 * were of their links is kept, as by retention, in the transaction that drops the chunk's table. Its other events move to
 * the chunk before, which then has the ids of both: so their number grows with those events, and not with the clicks.
 */

/** Larger ones are left to retention, which removes rows: to look at one takes too long. */
const MAX_BYTES = 256 * 1024 * 1024;
/** A chunk that other events are moved to is checked each time, under a lock that all wait for. */
const MAX_TARGET_BYTES = 8 * 1024 * 1024;
/** With more other events, the chunk stays, and its clicks are deleted one by one. */
const MAX_MOVED = 10_000;
/** Between two of them others pass. */
const ATTEMPTS = 3;
/** How long one call goes on to the next chunk. */
const STEP_MS = 3000;

const UNDEFINED_TABLE = '42P01';

const ARE_CLICKS = `event_type IN ('click', 'preview')`;

type ChunkValues = readonly [name: string, firstId: string, endId: string];

interface Chunk {
  /** As SQL names it. */
  readonly table: string;
  readonly firstId: string;
  readonly endId: string;
}

function toChunk([name, firstId, endId]: ChunkValues): Chunk {
  return { table: `"${name}"`, firstId, endId };
}

const chunksStatement: Statement = {
  name: 'click_chunks',
  text: `SELECT name, first_id, end_id
         FROM event_chunks() JOIN pg_class ON oid = to_regclass(quote_ident(name)), events_id_seq
         WHERE end_id <= last_value AND relkind = 'r' AND pg_relation_size(oid) <= ${MAX_BYTES}
         ORDER BY first_id`,
};

const beforeStatement: Statement = {
  name: 'click_chunks_before',
  text: `SELECT name, first_id, end_id
         FROM event_chunks() JOIN pg_class ON oid = to_regclass(quote_ident(name))
         WHERE end_id <= $1 AND end_id = (SELECT max(end_id) FROM event_chunks() WHERE end_id <= $1)
           AND relkind = 'r' AND name ~ '^events_from_\\d+$' AND pg_relation_size(oid) <= ${MAX_TARGET_BYTES}`,
};

export interface ClickChunksStep {
  /** Clicks and previews that went. */
  readonly removed: number;
  /** Whether it stopped before the last chunk. */
  readonly isMore: boolean;
  /** Whether a chunk had to stay because somebody uses the events. */
  readonly isBlocked: boolean;
}

const noteStatement: Statement = {
  name: 'click_chunks_note',
  text: 'UPDATE switchyard_database SET clicks_removed_at = now()',
};

/** Notes that clicks are removed from the events of this database. */
export async function noteRemoval(connection: Connection): Promise<void> {
  await rowsOf(connection, noteStatement);
}

const notedStatement: Statement = {
  name: 'click_chunks_noted',
  text: 'SELECT clicks_removed_at FROM switchyard_database',
};

/** When that was last noted, as PostgreSQL writes it. */
export async function readRemoval(connection: Connection): Promise<string | null> {
  const [row] = await rowsOf<[at: string | null]>(connection, notedStatement);
  return row?.[0] ?? null;
}

/** `later`: somebody needs the chunk or one of its links. `settled`: it has no clicks, and stays. */
type Outcome = { readonly state: 'gone' | 'settled' | 'later' | 'blocked'; readonly removed: number };

/**
 * Takes the clicks and previews out of full chunks, each in a transaction of its own.
 * @param settled Chunks that had none, by name and last id, for the next call.
 */
export async function removeClickChunks(
  connection: Connection,
  settled = new Set<string>(),
): Promise<ClickChunksStep> {
  const untilMs = performance.now() + STEP_MS;
  let removed = 0;
  for (const chunk of (await rowsOf<ChunkValues>(connection, chunksStatement)).map(toChunk)) {
    const key = `${chunk.table} ${chunk.endId}`;
    if (settled.has(key)) continue;
    if (removed > 0 && performance.now() > untilMs) return { removed, isMore: true, isBlocked: false };
    const outcome = await emptyChunk(connection, chunk);
    removed += outcome.removed;
    if (outcome.state === 'settled') settled.add(key);
    // The next chunk needs the same lock.
    if (outcome.state === 'blocked') return { removed, isMore: false, isBlocked: true };
  }
  return { removed, isMore: false, isBlocked: false };
}

/** Whether a chunk has clicks that `removeClickChunks` will take out: indexes of it would be built for nothing. */
export async function isToBeEmptied(connection: Connection, chunk: string): Promise<boolean> {
  return isTrue(
    connection,
    `pg_relation_size(to_regclass(quote_ident($1))) BETWEEN 1 AND ${MAX_BYTES}
     AND EXISTS (SELECT FROM "${chunk}" WHERE ${ARE_CLICKS})`,
    [chunk],
  );
}

async function emptyChunk(connection: Connection, chunk: Chunk): Promise<Outcome> {
  try {
    const seen = await countIn(connection, chunk);
    if (seen.clicks === 0 && seen.others > 0) return { state: 'settled', removed: 0 };
    return await inTransaction(connection, async () => {
      await connection.query(CHUNK_SETTINGS);
      const isOurs = await isTrue(connection, 'SELECT pg_try_advisory_xact_lock($1)', [RETENTION_LOCK]);
      if (!isOurs) return { state: 'later', removed: 0 };
      await connection.query(`LOCK TABLE ${chunk.table} IN SHARE ROW EXCLUSIVE MODE`);
      if (!(await isTrue(connection, linksLocked(chunk.table)))) return { state: 'later', removed: 0 };
      const { clicks, others } = await countIn(connection, chunk);
      const source = `(SELECT * FROM ${chunk.table} WHERE ${ARE_CLICKS}) AS clicks`;
      if (clicks > 0) await connection.query(keepDropped(source));
      if (others > MAX_MOVED) {
        await connection.query(`DELETE FROM ${chunk.table} WHERE ${ARE_CLICKS}`);
        return { state: 'settled', removed: clicks };
      }
      if (others === 0) await dropChunk(connection, chunk);
      else await moveOthers(connection, chunk);
      return { state: 'gone', removed: clicks };
    });
  } catch (error) {
    if (isLocked(error)) return { state: 'blocked', removed: 0 };
    // Another server was there first.
    if (sqlStateOf(error) === UNDEFINED_TABLE) return { state: 'later', removed: 0 };
    throw error;
  }
}

async function countIn(
  connection: Connection,
  { table }: Chunk,
): Promise<{ clicks: number; others: number }> {
  const { rows } = await connection.query<{ clicks: string; others: string }>(
    `SELECT count(*) FILTER (WHERE ${ARE_CLICKS}) AS clicks, count(*) FILTER (WHERE NOT ${ARE_CLICKS}) AS others
     FROM ${table}`,
  );
  return { clicks: Number(rows[0]?.clicks), others: Number(rows[0]?.others) };
}

/** All who read or write events wait for it, and it waits only a moment for them. */
async function lockEvents(connection: Connection): Promise<void> {
  await tryAgain(connection, 'LOCK TABLE ONLY events IN ACCESS EXCLUSIVE MODE', ATTEMPTS);
}

/** Notes that its ids have no events, together with those before: who looks for the newest ones leaves them out. */
async function dropChunk(connection: Connection, { table, firstId, endId }: Chunk): Promise<void> {
  await lockEvents(connection);
  await connection.query(`DROP TABLE ${table}`);
  const { rows } = await connection.query<{ first_id: string }>(
    `DELETE FROM event_chunk_times AS noted
     WHERE first_id = $1
        OR end_id = $1 AND first_time IS NULL AND first_id NOT IN (SELECT first_id FROM event_chunks())
     RETURNING first_id`,
    [firstId],
  );
  const from = rows.map(({ first_id }) => BigInt(first_id)).sort((one, other) => (one < other ? -1 : 1))[0];
  await connection.query('INSERT INTO event_chunk_times (first_id, end_id, amount) VALUES ($1, $2, 0)', [
    String(from ?? firstId),
    endId,
  ]);
}

/** Puts the other events into the chunk before, or into a new table in the place of the chunk. */
async function moveOthers(connection: Connection, chunk: Chunk): Promise<void> {
  const before = await chunkBefore(connection, chunk);
  const others = `SELECT * FROM ${chunk.table} WHERE NOT ${ARE_CLICKS} ORDER BY id`;
  if (before === undefined) {
    await connection.query(`CREATE TABLE events_moved (LIKE events INCLUDING CONSTRAINTS INCLUDING STORAGE)`);
    await connection.query(
      `ALTER TABLE events_moved ALTER id SET DEFAULT nextval('events_id_seq'), REPLICA IDENTITY FULL`,
    );
    await connection.query(`INSERT INTO events_moved ${others}`);
    await lockEvents(connection);
    await connection.query(`DROP TABLE ${chunk.table}`);
    await connection.query(`ALTER TABLE events_moved RENAME TO ${chunk.table}`);
    await attach(connection, chunk.table, chunk.firstId, chunk.endId);
    // It is noted when it gets its indexes.
    await connection.query('DELETE FROM event_chunk_times WHERE first_id = $1', [chunk.firstId]);
    return;
  }
  await lockEvents(connection);
  await connection.query(`ALTER TABLE events DETACH PARTITION ${before.table}`);
  // If its times are noted, its trigger widens them.
  await connection.query(`INSERT INTO ${before.table} ${others}`);
  await connection.query(`DROP TABLE ${chunk.table}`);
  await attach(connection, before.table, before.firstId, chunk.endId);
  await connection.query('DELETE FROM event_chunk_times WHERE first_id > $1 AND first_id < $2', [
    before.firstId,
    chunk.endId,
  ]);
  await connection.query('UPDATE event_chunk_times SET end_id = $2 WHERE first_id = $1', [
    before.firstId,
    chunk.endId,
  ]);
}

const FIRST_ID = String(-(2n ** 63n));

async function attach(connection: Connection, table: string, firstId: string, endId: string): Promise<void> {
  const from = firstId === FIRST_ID ? 'MINVALUE' : firstId;
  await connection.query(
    `ALTER TABLE events ATTACH PARTITION ${table} FOR VALUES FROM (${from}) TO (${endId})`,
  );
}

/** The chunk before, if it has room and no clicks. */
async function chunkBefore(connection: Connection, { firstId }: Chunk): Promise<Chunk | undefined> {
  const [values] = await rowsOf<ChunkValues>(connection, beforeStatement, [firstId]);
  if (values === undefined) return undefined;
  const chunk = toChunk(values);
  return (await countIn(connection, chunk)).clicks === 0 ? chunk : undefined;
}
