import { setTimeout as sleep } from 'node:timers/promises';
import { decodeProgress, type JournalProgress } from '../stream/journal-progress.js';
import type { KafkaCluster, Topic } from './cluster.js';
import { committedRecords } from './committed.js';
import { partitionOf } from './transactions.js';

const READ_UNCOMMITTED = 0;
const READ_COMMITTED = 1;
const LATEST = -1n;
const EARLIEST = -2n;
const FETCH_BYTES = 4 * 1024 * 1024;
/** Short: a broker does nothing else for a connection whose fetch waits. */
const FETCH_WAIT_MS = 50;
const PAUSE_MS = 50;
/** Longer than the broker leaves a transaction open whose producer is gone. */
const DEADLINE_MS = 60_000;

interface Partition {
  readonly topicId: string;
  next: bigint;
  readonly known: Map<string, JournalProgress>;
}

/** The topic of positions, as far as it was read: later looks read only what is new. */
export class ProgressLog {
  readonly #cluster: KafkaCluster;
  readonly #topic: string;
  readonly #partitions = new Map<number, Partition>();

  constructor(cluster: KafkaCluster, topic: string) {
    this.#cluster = cluster;
    this.#topic = topic;
  }

  /**
   * The last committed position of a journal, of what was written before this call. Open transactions of other
   * journals hide what is behind them; they are waited for.
   */
  async read(journalId: string): Promise<JournalProgress | undefined> {
    const topic = await this.#cluster.topic(this.#topic);
    const number = partitionOf(Buffer.from(journalId), topic.leaders.length);
    const end = await this.#offset(topic, number, LATEST);
    const partition = await this.#partition(topic, number, end);
    const deadline = performance.now() + DEADLINE_MS;
    while (partition.next < end) {
      const before = partition.next;
      await this.#fetch(topic, number, partition);
      if (partition.next > before) continue;
      if (performance.now() > deadline) throw new Error(`a transaction in ${this.#topic} does not end`);
      await sleep(PAUSE_MS);
    }
    return partition.known.get(journalId);
  }

  /** What is known of the partition, if it still is the same. */
  async #partition(topic: Topic, number: number, end: bigint): Promise<Partition> {
    const known = this.#partitions.get(number);
    if (known !== undefined && known.topicId === topic.topicId && known.next <= end) return known;
    const next = await this.#offset(topic, number, EARLIEST);
    const partition = { topicId: topic.topicId, next, known: new Map<string, JournalProgress>() };
    this.#partitions.set(number, partition);
    return partition;
  }

  async #offset({ name, leaders }: Topic, number: number, timestamp: bigint): Promise<bigint> {
    const { topics } = await this.#cluster.request(leaders[number], 'listOffsets', -1, READ_UNCOMMITTED, [
      { name, partitions: [{ partitionIndex: number, currentLeaderEpoch: -1, timestamp }] },
    ]);
    const offset = topics[0]?.partitions[0]?.offset;
    if (offset === undefined || offset < 0n) throw new Error(`no offsets of ${name}`);
    return offset;
  }

  async #fetch({ topicId, leaders }: Topic, number: number, partition: Partition): Promise<void> {
    const wanted = {
      partition: number,
      currentLeaderEpoch: -1,
      fetchOffset: partition.next,
      lastFetchedEpoch: -1,
      partitionMaxBytes: FETCH_BYTES,
    };
    const { responses } = await this.#cluster.request(
      leaders[number],
      'fetch',
      FETCH_WAIT_MS,
      1,
      FETCH_BYTES,
      READ_COMMITTED,
      0,
      -1,
      [{ topicId, partitions: [wanted] }],
      [],
      '',
    );
    const found = responses[0]?.partitions[0];
    if (found === undefined) return;
    const { records, next } = committedRecords(
      found.records ?? [],
      found.abortedTransactions,
      partition.next,
    );
    for (const { key, value } of records) {
      if (key === null) continue;
      const journalId = Buffer.from(key).toString('utf8');
      const progress = decodeProgress(value);
      if (progress === undefined) partition.known.delete(journalId);
      else partition.known.set(journalId, progress);
    }
    partition.next = next;
  }
}
