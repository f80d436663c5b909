import { type Config, ConfigError } from '../config.js';
import { checkpointId } from '../consume/checkpoint-id.js';
import { type Extent, readExtent, readTopic, type TopicState } from '../consume/topic.js';
import { kafkaCodes } from '../kafka/errors.js';

import { type Connection, inTransaction } from '../postgres/pool.js';
import {
  beginConsume,
  countJournals,
  countOthers,
  forgetJournals,
  type IngestWay,
  noteStream,
  readIngestWay,
  setIngestWay,
  setPosition,
} from '../store/click-ingest.js';
import { readCheckpoint } from '../store/clicks.js';
import { openDatabase } from './database.js';

export const ingestWays = ['server', 'consume'] as const satisfies readonly IngestWay[];

const DEADLINE_MS = 60_000;

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
  const topic = await topicNow(config);
  const { pool, close } = await openDatabase(config);
  try {
    await pool.runOnce(DEADLINE_MS, (connection) =>
      inTransaction(connection, async () => {
        const present = await readIngestWay(connection);
        if (present === way) return;
        if ((await countOthers(connection)) > 0)
          throw new IngestWayError('servers or consumers use the database: stop them first');
        if (way === 'consume') await leaveJournals(connection, abandon);
        else if (!abandon) await requireConsumed(connection, topic);
        await setIngestWay(connection, way);
        if (way === 'consume') await beginAtEnd(connection, topic);
      }),
    );
    process.stdout.write(`ingest: ${way}\n`);
  } finally {
    await close();
  }
}

interface TopicNow {
  readonly state: TopicState;
  /** By partition. */
  readonly extents: readonly Extent[];
}

/** @returns `undefined` if there is no such topic yet. */
async function topicNow(config: Config): Promise<TopicNow | undefined> {
  if (config.CLICK_STREAM !== 'kafka')
    throw new ConfigError(
      'the way is changed with CLICK_STREAM=kafka and the KAFKA_ settings of the servers',
    );
  // Loaded only now: no other command needs the library.
  const { KafkaCluster } = await import('../kafka/cluster.js');
  const { kafkaOptions } = await import('../kafka/options.js');
  const cluster = new KafkaCluster(kafkaOptions(config));
  try {
    const state = await readTopic(cluster, config.KAFKA_TOPIC);
    const extents = await Promise.all(
      state.leaders.map((_, partition) => readExtent(cluster, state, partition)),
    );
    return { state, extents };
  } catch (error) {
    if (kafkaCodes(error).has('UNKNOWN_TOPIC_OR_PARTITION')) return undefined;
    throw error;
  } finally {
    cluster.close();
  }
}

/** Clicks in journals that the database has in part would come in once more by Kafka. */
async function leaveJournals(connection: Connection, abandon: boolean): Promise<void> {
  const journals = await countJournals(connection);
  if (journals > 0 && !abandon)
    throw new IngestWayError(
      `the database has ${journals} journals that are not at their end: run CLICK_STREAM=off switchyard journal drain <data folder> where each of the servers was; --abandon forgets journals whose files are gone`,
    );
  await forgetJournals(connection);
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
