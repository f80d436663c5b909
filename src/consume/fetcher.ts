import type { fetchV13 } from '@platformatic/kafka';
import type { KafkaCluster } from '../kafka/cluster.js';
import { type CommittedRecord, committedRecords } from '../kafka/committed.js';
import type { HostAndPort } from '../setting-values.js';
import type { TopicState } from './topic.js';

type FetchResponse = Awaited<ReturnType<typeof fetchV13.api.async>>;

const READ_COMMITTED = 1;
/** How long a broker keeps a fetch that finds nothing. */
const WAIT_MS = 250;
const MIN_BYTES = 1;
const MAX_BYTES = 16 * 1024 * 1024;
const MAX_PARTITION_BYTES = 4 * 1024 * 1024;
const NO_SESSION = 0;
const WITHOUT_SESSION = -1;
const UNKNOWN_EPOCH = -1;
/** Kafka's number for an offset that the partition does not have. */
const OFFSET_OUT_OF_RANGE = 1;

export interface Fetched {
  readonly partition: number;
  readonly records: readonly CommittedRecord[];
  /** Where the next fetch begins. */
  readonly next: bigint;
  /** Where the committed records end. */
  readonly end: bigint;
  /** Whether there is no record at the offset, since it was removed or was never written. */
  readonly isOutside: boolean;
}

/** Fetches once from the leaders of these partitions, each from its offset. */
export async function fetchFrom(
  cluster: KafkaCluster,
  topic: TopicState,
  offsets: ReadonlyMap<number, bigint>,
): Promise<readonly Fetched[]> {
  const byLeader = new Map<HostAndPort | undefined, number[]>();
  for (const partition of offsets.keys()) {
    const leader = sameLeader(topic, partition);
    byLeader.set(leader, [...(byLeader.get(leader) ?? []), partition]);
  }
  const answers = await Promise.all(
    [...byLeader].map(([leader, partitions]) => fetchFromOne(cluster, topic, offsets, leader, partitions)),
  );
  return answers.flat();
}

/** One object for each broker. */
function sameLeader({ leaders }: TopicState, partition: number): HostAndPort | undefined {
  const leader = leaders[partition];
  return leaders.find(({ host, port }) => host === leader?.host && port === leader.port);
}

async function fetchFromOne(
  cluster: KafkaCluster,
  { stream }: TopicState,
  offsets: ReadonlyMap<number, bigint>,
  leader: HostAndPort | undefined,
  wanted: readonly number[],
): Promise<readonly Fetched[]> {
  const partitions = wanted.map((partition) => ({
    partition,
    fetchOffset: offsets.get(partition) as bigint,
    currentLeaderEpoch: UNKNOWN_EPOCH,
    lastFetchedEpoch: UNKNOWN_EPOCH,
    partitionMaxBytes: MAX_PARTITION_BYTES,
  }));
  const { responses } = await cluster
    .request(
      leader,
      'fetch',
      WAIT_MS,
      MIN_BYTES,
      MAX_BYTES,
      READ_COMMITTED,
      NO_SESSION,
      WITHOUT_SESSION,
      [{ topicId: stream.topicId, partitions }],
      [],
      '',
    )
    .catch(answerOf);
  return responses.flatMap((answer) =>
    answer.partitions.map(({ partitionIndex, errorCode, lastStableOffset, ...fetched }) => {
      const from = offsets.get(partitionIndex) as bigint;
      const { records, next } = committedRecords(
        fetched.records ?? [],
        fetched.abortedTransactions ?? [],
        from,
      );
      const isOutside = errorCode === OFFSET_OUT_OF_RANGE || fetched.logStartOffset > from;
      return { partition: partitionIndex, records, next, end: lastStableOffset, isOutside };
    }),
  );
}

/** The answer that an error comes with, where it is only about offsets. */
function answerOf(error: unknown): FetchResponse {
  const { response } = error as { response?: FetchResponse };
  const codes = response?.responses.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode));
  const isAboutOffsets =
    response?.errorCode === 0 && codes?.every((code) => code === 0 || code === OFFSET_OUT_OF_RANGE);
  if (response === undefined || isAboutOffsets !== true) throw error;
  return response;
}
