import type { KafkaCluster } from '../kafka/cluster.js';
import type { HostAndPort } from '../setting-values.js';
import type { StreamIdentity } from '../store/click-ingest.js';
import { StreamFault } from './stream-fault.js';

const NO_REPLICA = -1;
const ANY_EPOCH = -1;
const READ_UNCOMMITTED = 0;
const EARLIEST = -2n;
const LATEST = -1n;
const NO_TOPIC_ID = '00000000-0000-0000-0000-000000000000';

/** The topic as the cluster has it now. */
export interface TopicState {
  readonly stream: StreamIdentity;
  /** The leader of each partition. */
  readonly leaders: readonly HostAndPort[];
}

/** @throws when the cluster does not answer, or has no such topic. */
export async function readTopic(cluster: KafkaCluster, name: string): Promise<TopicState> {
  const { leaders, topicId } = await cluster.topic(name);
  const { clusterId } = await cluster.request(undefined, 'metadata', [], false, false);
  if (topicId === NO_TOPIC_ID || clusterId == null)
    throw new StreamFault('Kafka gives its topics no ids: version 3.1 or newer is needed');
  return { stream: { topic: name, clusterId, topicId }, leaders };
}

/** By partition: its oldest record, and where it ends, transactions under way included. */
export interface Extent {
  readonly start: bigint;
  readonly end: bigint;
}

export async function readExtent(
  cluster: KafkaCluster,
  { stream, leaders }: TopicState,
  partition: number,
): Promise<Extent> {
  const offsetAt = async (timestamp: bigint): Promise<bigint> => {
    const partitions = [{ partitionIndex: partition, currentLeaderEpoch: ANY_EPOCH, timestamp }];
    const { topics } = await cluster.request(
      leaders[partition],
      'listOffsets',
      NO_REPLICA,
      READ_UNCOMMITTED,
      [{ name: stream.topic, partitions }],
    );
    const offset = topics[0]?.partitions[0]?.offset;
    if (offset === undefined) throw new Error(`Kafka does not say how far partition ${partition} goes`);
    return offset;
  };
  return { start: await offsetAt(EARLIEST), end: await offsetAt(LATEST) };
}

/** @throws StreamFault if the topic is another one than clicks have come from. */
export function requireSame(now: StreamIdentity, noted: StreamIdentity | undefined): void {
  if (noted === undefined || isSame(now, noted)) return;
  const what =
    noted.clusterId === now.clusterId
      ? `topic ${now.topic} was made anew (its id was ${noted.topicId}, and is ${now.topicId})`
      : `topic ${now.topic} is of another cluster (it was ${noted.clusterId}, and is ${now.clusterId})`;
  throw new StreamFault(
    `${what}: nothing is ingested. To go on with it from its oldest record, run switchyard consume --accept-topic`,
  );
}

export function isSame(one: StreamIdentity, other: StreamIdentity): boolean {
  return one.topicId === other.topicId && one.clusterId === other.clusterId;
}
