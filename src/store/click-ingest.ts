import type { JournalPosition } from '../journal/position.js';
import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';

/** By which way clicks come into a database: from servers' journals, or from Kafka by `switchyard consume`. */
export type IngestWay = 'server' | 'consume';

/** The way recorded in the database; `undefined` as long as nobody has used it. */
export async function readIngestWay(connection: Connection): Promise<IngestWay | undefined> {
  const { rows } = await connection.query<{ way: IngestWay | null }>(
    'SELECT click_ingest AS way FROM switchyard_database',
  );
  return rows[0]?.way ?? undefined;
}

/** Records a way. Call it within a transaction. */
export async function setIngestWay(connection: Connection, way: IngestWay): Promise<void> {
  await connection.query('SELECT set_click_ingest($1)', [way]);
}

/**
 * The way of the database; the given one becomes it where nobody has used the database. Call it within a transaction:
 * of several that start at once, one decides.
 */
export async function settleIngestWay(connection: Connection, way: IngestWay): Promise<IngestWay> {
  const { rows } = await connection.query<{ way: IngestWay | null }>(
    'SELECT click_ingest AS way FROM switchyard_database FOR UPDATE',
  );
  const settled = rows[0]?.way ?? way;
  // The trigger too: a restored database may have the row of the backup and the trigger of before, or none.
  await setIngestWay(connection, settled);
  return settled;
}

/** Why a process set to a way may not use a database of another one, in a line that says what to do. */
export function wrongWay(recorded: IngestWay, wanted: IngestWay): string {
  const has =
    recorded === 'server'
      ? 'the database gets its clicks from the journals of servers (CLICK_INGEST=server)'
      : 'the database gets its clicks from Kafka (CLICK_INGEST=consume)';
  return `${has}: set CLICK_INGEST=${recorded}, or stop all servers and change it by switchyard database ingest ${wanted}`;
}

const consumeStatement: Statement = {
  name: 'consume_begin',
  text: `SELECT click_ingest, set_config('switchyard.ingest', 'consume', true) FROM switchyard_database`,
};

/**
 * Begins a transaction that ingests from Kafka.
 * @throws if the database gets its clicks by another way by now.
 */
export async function beginConsume(connection: Connection): Promise<void> {
  const [row] = await rowsOf<[way: IngestWay | null, set: string]>(connection, consumeStatement);
  if (row?.[0] !== 'consume') throw new Error(wrongWay(row?.[0] ?? 'server', 'consume'));
}

const ownersStatement: Statement = {
  name: 'consume_owners',
  text: 'SELECT id, user_id FROM short_urls WHERE id = ANY ($1::bigint[]) AND user_id IS NOT NULL',
};

/** The owners of those links that have one, by the link's id. */
export async function ownersOf(
  connection: Connection,
  linkIds: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (linkIds.length === 0) return new Map();
  return new Map(await rowsOf<[id: string, owner: string]>(connection, ownersStatement, [linkIds]));
}

/** A topic as its cluster knows it: one that is made anew under its name has another id. */
export interface StreamIdentity {
  readonly topic: string;
  readonly clusterId: string;
  readonly topicId: string;
}

/** What was noted of a topic; `undefined` if clicks have never come from it. */
export async function readStream(connection: Connection, topic: string): Promise<StreamIdentity | undefined> {
  const { rows } = await connection.query<{ cluster_id: string; topic_id: string }>(
    'SELECT cluster_id, topic_id FROM click_streams WHERE topic = $1',
    [topic],
  );
  const [row] = rows;
  return row && { topic, clusterId: row.cluster_id, topicId: row.topic_id };
}

export async function noteStream(
  connection: Connection,
  { topic, clusterId, topicId }: StreamIdentity,
): Promise<void> {
  await connection.query(
    `INSERT INTO click_streams (topic, cluster_id, topic_id) VALUES ($1, $2, $3)
     ON CONFLICT (topic) DO UPDATE SET cluster_id = $2, topic_id = $3, noted_at = DEFAULT`,
    [topic, clusterId, topicId],
  );
}

/** A journal of a server, and how far it was ingested. */
export interface IngestedJournal extends JournalPosition {
  readonly journalId: string;
  /** How many of its clicks were before the position. */
  readonly clicks: number;
}

/** Journals of servers that the database has checkpoints of. Their ids are of version 4, a partition's of version 8. */
export async function listJournals(connection: Connection): Promise<IngestedJournal[]> {
  const { rows } = await connection.query<
    Record<'journal_id' | 'segment' | 'byte_offset' | 'clicks', string>
  >(
    `SELECT journal_id, segment, byte_offset, clicks + dropped + rejected + unreadable AS clicks
     FROM journal_checkpoints WHERE substr(journal_id::text, 15, 1) = '4'`,
  );
  return rows.map(({ journal_id: journalId, segment, byte_offset: offset, clicks }) => ({
    journalId,
    segment: Number(segment),
    offset: Number(offset),
    clicks: Number(clicks),
  }));
}

/** Journals of which clicks have come from Kafka. */
export async function consumedJournals(connection: Connection): Promise<string[]> {
  const { rows } = await connection.query<{ journal_id: string }>(
    'SELECT DISTINCT journal_id FROM consumed_clicks',
  );
  return rows.map(({ journal_id: journalId }) => journalId);
}

/** Lets the ingest of a journal begin there: what is before it came from Kafka. */
export async function noteJournal(
  connection: Connection,
  journalId: string,
  { segment, offset, clicks }: Omit<IngestedJournal, 'journalId'>,
): Promise<void> {
  await connection.query(
    `INSERT INTO journal_checkpoints (journal_id, segment, byte_offset, clicks) VALUES ($1, $2, $3, $4)
     ON CONFLICT (journal_id) DO UPDATE SET segment = $2, byte_offset = $3, clicks = $4`,
    [journalId, segment, offset, clicks],
  );
}

/** Forgets those journals. */
export async function forgetJournals(connection: Connection): Promise<void> {
  await connection.query(`DELETE FROM journal_checkpoints WHERE substr(journal_id::text, 15, 1) = '4'`);
}

/** Sets how far a partition has been ingested. Call it within a transaction that has begun to consume. */
export async function setPosition(connection: Connection, partition: string, offset: bigint): Promise<void> {
  await connection.query(
    `INSERT INTO journal_checkpoints (journal_id, byte_offset) VALUES ($1, $2)
     ON CONFLICT (journal_id) DO UPDATE SET byte_offset = $2, updated_at = now() AT TIME ZONE 'utc'`,
    [partition, String(offset)],
  );
}

/**
 * Moves it from an offset to another one. Call it within a transaction that has begun to consume.
 * @returns `false` if it was not there: another consumer has moved it, or the database has fallen back.
 */
export async function movePosition(
  connection: Connection,
  partition: string,
  from: number,
  to: bigint,
): Promise<boolean> {
  await connection.query(
    'INSERT INTO journal_checkpoints (journal_id) VALUES ($1) ON CONFLICT (journal_id) DO NOTHING',
    [partition],
  );
  const { rowCount } = await connection.query(
    `UPDATE journal_checkpoints SET byte_offset = $3, updated_at = now() AT TIME ZONE 'utc'
     WHERE journal_id = $1 AND byte_offset = $2`,
    [partition, from, String(to)],
  );
  return rowCount === 1;
}

/** Connections of servers and tools other than ours. */
export async function countOthers(connection: Connection): Promise<number> {
  const { rows } = await connection.query<{ others: string }>(
    `SELECT count(*) AS others FROM pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE 'switchyard%' AND pid <> pg_backend_pid()`,
  );
  return Number(rows[0]?.others ?? 0);
}

const consumedStatement: Statement = {
  name: 'consumed_note',
  text: `INSERT INTO consumed_clicks (journal_id, partition, clicks)
         SELECT journal_id, $1, clicks FROM unnest($2::uuid[], $3::bigint[]) AS consumed (journal_id, clicks)
         ON CONFLICT (journal_id, partition) DO UPDATE
         SET clicks = consumed_clicks.clicks + excluded.clicks, consumed_at = excluded.consumed_at`,
};

/** Notes how many clicks of each journal came with a batch of a partition. */
export async function noteConsumed(
  connection: Connection,
  partition: number,
  clicks: ReadonlyMap<string, number>,
): Promise<void> {
  if (clicks.size === 0) return;
  await rowsOf(connection, consumedStatement, [partition, [...clicks.keys()], [...clicks.values()]]);
}

const readConsumedStatement: Statement = {
  name: 'consumed_read',
  text: `SELECT journal_id, sum(clicks) FROM consumed_clicks WHERE journal_id = ANY ($1::uuid[]) GROUP BY journal_id`,
};

/** How many clicks of these journals have come from Kafka; journals of which none has are left out. */
export async function readConsumed(
  connection: Connection,
  journalIds: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const rows = await rowsOf<[journalId: string, clicks: string]>(connection, readConsumedStatement, [
    journalIds,
  ]);
  return new Map(rows.map(([journalId, clicks]) => [journalId, Number(clicks)]));
}

/** Forgets journals that no server has had clicks in for a month. */
export async function forgetConsumed(connection: Connection): Promise<void> {
  await connection.query(
    `DELETE FROM consumed_clicks WHERE consumed_at < now() AT TIME ZONE 'utc' - interval '1 month'`,
  );
}
