import type { Config } from '../config.js';
import type { KafkaCluster } from '../kafka/cluster.js';
import { kafkaCodes } from '../kafka/errors.js';
import type { JournalProgress } from '../stream/journal-progress.js';
import { positionsTopic } from '../stream/journal-progress.js';
import { progressRecord } from '../workers/stream/click-records.js';

/** How far Kafka has the journals, for a tool: no server may run. */
export interface StreamPositions {
  readonly cluster: KafkaCluster;
  /** @returns `undefined` for a journal that Kafka has nothing of. */
  read(journalId: string): Promise<JournalProgress | undefined>;
  /** The next server with this journal sends what is behind the position. */
  write(journalId: string, progress: JournalProgress): Promise<void>;
  /** @returns `undefined` where there is no such topic. */
  ifThere<T>(work: () => Promise<T>): Promise<T | undefined>;
  close(): void;
}

export async function openPositions(config: Config): Promise<StreamPositions> {
  // Loaded only now: no other command needs the library.
  const { KafkaCluster } = await import('../kafka/cluster.js');
  const { kafkaOptions } = await import('../kafka/options.js');
  const { ProgressLog } = await import('../kafka/progress-log.js');
  const { TransactionalProducer } = await import('../kafka/transactions.js');
  const { ensureTopics } = await import('../kafka/topics.js');
  const cluster = new KafkaCluster(kafkaOptions(config));
  const log = new ProgressLog(cluster, positionsTopic(config.KAFKA_TOPIC));
  return {
    cluster,
    read: (journalId) => ifThere(() => log.read(journalId)),
    write: async (journalId, progress) => {
      await ensureTopics(cluster, config.KAFKA_TOPIC);
      const producer = await TransactionalProducer.begin(cluster, `switchyard-${journalId}`);
      await producer.commit([progressRecord(config.KAFKA_TOPIC, journalId, progress)]);
    },
    ifThere,
    close: () => cluster.close(),
  };
}

async function ifThere<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (kafkaCodes(error).has('UNKNOWN_TOPIC_OR_PARTITION')) return undefined;
    throw error;
  }
}
