import { type Config, ConfigError } from '../config.js';
import { checkpointId } from '../consume/checkpoint-id.js';
import { type Extent, readExtent, readTopic, type TopicState } from '../consume/topic.js';
import { comparePositions } from '../journal/position.js';
import { type Connection, inTransaction } from '../postgres/pool.js';
import {
  beginConsume,
  consumedJournals,
  countOthers,
  forgetJournals,
  type IngestWay,
  listJournals,
  noteJournal,
  noteStream,
  readIngestWay,
  setIngestWay,
  setPosition,
} from '../store/click-ingest.js';
import { readCheckpoint } from '../store/clicks.js';
import { openDatabase } from './database.js';
import { openPositions, type StreamPositions } from './stream-positions.js';

export const ingestWays = ['server', 'consume'] as const satisfies readonly IngestWay[];

const DEADLINE_MS = 60_000;
const START = { segment: 0, offset: 0 };

/** A way that can't be changed now; `message` is one line for the operator. */
class IngestWayError extends Error {
  override readonly name = 'IngestWayError';
}

/** Prints by which way clicks come into the database. */
export async function showIngestWay(config: Config): Promise<void> {
  const { pool, close } = await openDatabase(config);
  try {
    const way = await pool.run(DEADLINE_MS, readIngestWay);
    process.stdout.write(`ingest: ${way ?? 'not decided yet: the first server decides'}\n`);
  } finally {
    await close();
  }
}

/**
 * Changes the way. No server and no consumer may run, and all clicks must have come in by the present way: what is left
 * would come in by both, or by none.
 * @param abandon Whether clicks that have not come in are given up.
 * @throws IngestWayError if something has to be done before.
 */
export async function changeIngestWay(config: Config, way: IngestWay, abandon: boolean): Promise<void> {
  if (config.CLICK_STREAM !== 'kafka')
    throw new ConfigError(
      'the way is changed with CLICK_STREAM=kafka and the KAFKA_ settings of the servers',
    );
  const positions = await openPositions(config);
  try {
    const topic = await topicNow(config, positions);
    const { pool, close } = await openDatabase(config);
    try {
      await pool.runOnce(DEADLINE_MS, (connection) =>
        inTransaction(connection, async () => {
          const present = await readIngestWay(connection);
          if (present === way) return;
          if ((await countOthers(connection)) > 0)
            throw new IngestWayError('servers or consumers use the database: stop them first');
          if (way === 'consume') {
            await leaveJournals(connection, positions, abandon);
            await setIngestWay(connection, way);
            await beginAtEnd(connection, topic);
            return;
          }
          if (!abandon) await requireConsumed(connection, topic);
          await setIngestWay(connection, way);
          await continueJournals(connection, positions, abandon);
        }),
      );
    } finally {
      await close();
    }
    process.stdout.write(`ingest: ${way}\n`);
  } finally {
    positions.close();
  }
}

interface TopicNow {
  readonly state: TopicState;
  /** By partition. */
  readonly extents: readonly Extent[];
}

/** @returns `undefined` if there is no such topic yet. */
async function topicNow(
  config: Config,
  { cluster, ifThere }: StreamPositions,
): Promise<TopicNow | undefined> {
  return ifThere(async () => {
    const state = await readTopic(cluster, config.KAFKA_TOPIC);
    const extents = await Promise.all(
      state.leaders.map((_, partition) => readExtent(cluster, state, partition)),
    );
    return { state, extents };
  });
}

/**
 * Clicks in journals that Kafka and the database have unlike parts of would come in twice, or never. Where the operator
 * gives up those of which Kafka has more, the others' positions are moved in Kafka: what the database has is not sent.
 */
async function leaveJournals(
  connection: Connection,
  positions: StreamPositions,
  abandon: boolean,
): Promise<void> {
  let unlike = 0;
  for (const { journalId, clicks, ...ingested } of await listJournals(connection)) {
    const sent = await positions.read(journalId);
    if (sent !== undefined && comparePositions(sent, ingested) === 0) continue;
    unlike += 1;
    if (abandon && comparePositions(sent ?? START, ingested) < 0)
      await positions.write(journalId, { ...ingested, clicks: Math.max(clicks, sent?.clicks ?? 0) });
  }
  if (unlike > 0 && !abandon)
    throw new IngestWayError(
      `the database has ${unlike} journals that are not at their end: run CLICK_STREAM=off switchyard journal drain <data folder> where each of the servers was; --abandon gives up those whose files are gone`,
    );
  await forgetJournals(connection);
}

/** What came in by Kafka is in journals too, until their servers have removed it: they go on behind it. */
async function continueJournals(
  connection: Connection,
  positions: StreamPositions,
  abandon: boolean,
): Promise<void> {
  let unknown = 0;
  for (const journalId of await consumedJournals(connection)) {
    const sent = await positions.read(journalId);
    if (sent === undefined) unknown += 1;
    else await noteJournal(connection, journalId, sent);
  }
  if (unknown > 0 && !abandon)
    throw new IngestWayError(
      `Kafka has lost the positions of ${unknown} journals, whose clicks would count twice: remove what is left of them in the servers' data folders; then --abandon`,
    );
}

/** What is in the topic came in by the journals already. */
async function beginAtEnd(connection: Connection, topic: TopicNow | undefined): Promise<void> {
  if (topic === undefined) return;
  const { state, extents } = topic;
  await beginConsume(connection);
  await noteStream(connection, state.stream);
  for (const [partition, { end }] of extents.entries())
    await setPosition(connection, checkpointId(state.stream, partition), end);
}

async function requireConsumed(connection: Connection, topic: TopicNow | undefined): Promise<void> {
  if (topic === undefined) return;
  const { state, extents } = topic;
  let left = 0n;
  for (const [partition, { end }] of extents.entries()) {
    const { offset } = await readCheckpoint(connection, checkpointId(state.stream, partition));
    if (end > BigInt(offset)) left += end - BigInt(offset);
  }
  if (left > 0n)
    throw new IngestWayError(
      `${left} records of ${state.stream.topic} are not in the database: let switchyard consume run until it has ingested them`,
    );
}
