import { setTimeout as sleep } from 'node:timers/promises';
import { KafkaCluster } from '../kafka/cluster.js';
import { describeKafkaError } from '../kafka/errors.js';
import type { KafkaOptions } from '../kafka/options.js';
import { inTransaction } from '../postgres/pool.js';
import { Backoff } from '../runtime/backoff.js';
import { noteStream, readStream, type StreamIdentity } from '../store/click-ingest.js';
import type { IngestContext } from '../workers/ingest/ingest.js';
import { type Fetched, fetchFrom } from './fetcher.js';
import type { ConsumeFigures } from './figures.js';
import { Membership } from './membership.js';
import { PartitionIngest } from './partition-ingest.js';
import { StreamFault } from './stream-fault.js';
import { isSame, readExtent, readTopic, requireSame, type TopicState } from './topic.js';

export interface ClickConsumerOptions {
  readonly context: IngestContext;
  readonly kafka: KafkaOptions;
  readonly topic: string;
  readonly databaseId: string;
  readonly figures: ConsumeFigures;
  /** For what can't be ingested. */
  readonly folder: string;
  /** Whether another topic than before, and records that are gone, are accepted. */
  readonly acceptsTopic: boolean;
}

/** How often the group is told how far this consumer is. */
const HINT_MS = 1000;
/** How often the topic is looked at: it may have more partitions, or have been made anew. */
const TOPIC_MS = 10_000;
/** How long a checkpoint may be behind by what is no click. */
const SETTLE_MS = 5000;
const LOOK_MS = 100;
/** Of the pause in which clicks gather: before, they gathered in their server. */
const LINGER = 0.5;
const BACKOFF = { firstMs: 100, maxMs: 5000 };

/** What one connection to the cluster has. */
interface Session {
  readonly cluster: KafkaCluster;
  readonly membership: Membership;
  readonly topic: TopicState;
}

/**
 * Takes the clicks of a topic into PostgreSQL, as a member of a group that shares out the partitions. The group only
 * decides who works on what: where a partition goes on is what the database says.
 */
export class ClickConsumer {
  readonly #options: ClickConsumerOptions;
  readonly #partitions = new Map<number, PartitionIngest>();
  readonly #stopping = new AbortController();
  readonly #backoff = new Backoff(BACKOFF);
  #hasFailed = false;

  constructor(options: ClickConsumerOptions) {
    this.#options = options;
  }

  /** @returns when it was stopped. @throws StreamFault if it must not go on. */
  async run(): Promise<void> {
    while (!this.#isStopping) {
      try {
        await this.#session();
      } catch (error) {
        if (error instanceof StreamFault) throw error;
        if (this.#isStopping) return;
        const what = `Kafka can't be used: ${describeKafkaError(error)}`;
        if (!this.#hasFailed) this.#options.context.log.warn({ error }, what);
        this.#hasFailed = true;
        await this.#pause(this.#backoff.next());
      }
    }
  }

  stop(): void {
    this.#stopping.abort();
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #session(): Promise<void> {
    const { kafka, topic: name, databaseId } = this.#options;
    const cluster = new KafkaCluster(kafka);
    const membership = new Membership(kafka, name, `switchyard-${databaseId}`);
    try {
      const topic = await readTopic(cluster, name);
      await this.#settleTopic(topic.stream);
      await membership.join();
      await this.#work({ cluster, membership, topic });
    } finally {
      for (const partition of this.#partitions.keys()) this.#options.figures.forget(partition);
      this.#partitions.clear();
      cluster.close();
      await membership.close();
    }
  }

  async #work(session: Session): Promise<void> {
    const { context } = this.#options;
    let hintedMs = 0;
    let lookedMs = Date.now();
    while (!this.#isStopping) {
      const isFull = await this.#round(session);
      if (this.#hasFailed) context.log.info('Kafka can be used again');
      this.#hasFailed = false;
      this.#backoff.reset();
      if (Date.now() - hintedMs > HINT_MS) {
        hintedMs = Date.now();
        await this.#hint(session);
      }
      if (Date.now() - lookedMs > TOPIC_MS) {
        lookedMs = Date.now();
        await this.#look(session);
      }
      if (!isFull) await this.#pause(context.config.CLICK_INGEST_LINGER_MS * LINGER);
    }
    await Promise.all([...this.#partitions.values()].map((partition) => partition.settle(0)));
    await this.#hint(session);
  }

  /** Fetches once from each partition of ours, and ingests. @returns whether there is probably more at once. */
  async #round({ cluster, membership, topic }: Session): Promise<boolean> {
    this.#share(membership.partitions, topic.stream);
    const ready = [...this.#partitions.values()].filter(({ isReady }) => isReady);
    const offsets = new Map<number, bigint>();
    await Promise.all(
      ready.map(async (partition) => {
        const offset = await partition.offset();
        if (offset !== undefined) offsets.set(partition.partition, offset);
      }),
    );
    if (offsets.size === 0) {
      await this.#pause(LOOK_MS);
      return true;
    }
    const fetched = await fetchFrom(cluster, topic, offsets);
    const taken = await Promise.all(
      fetched.map(async (part) => {
        const partition = this.#partitions.get(part.partition) as PartitionIngest;
        if (part.isOutside) return this.#meetGap(cluster, topic, partition);
        return this.#take(partition, part);
      }),
    );
    return Math.max(...taken) >= this.#options.context.config.CLICK_INGEST_BATCH;
  }

  async #take(partition: PartitionIngest, fetched: Fetched): Promise<number> {
    const taken = await partition.take(fetched);
    await partition.settle(SETTLE_MS);
    return taken;
  }

  /** The partition has no record where the database is. */
  async #meetGap(cluster: KafkaCluster, topic: TopicState, partition: PartitionIngest): Promise<number> {
    const { start, end } = await readExtent(cluster, topic, partition.partition);
    const offset = await partition.offset();
    if (offset === undefined || (offset >= start && offset <= end)) return 0;
    if (this.#options.acceptsTopic) {
      await partition.skipTo(offset < start ? start : end);
      return 0;
    }
    const place = `partition ${partition.partition} of topic ${topic.stream.topic}`;
    const what =
      offset < start
        ? `${place} begins at offset ${start}, and the database is at ${offset}: up to ${start - offset} clicks were removed before they were ingested`
        : `${place} ends at offset ${end}, and the database is at ${offset}: Kafka has lost records`;
    throw new StreamFault(
      `${what}. Nothing is ingested. To go on nevertheless, run switchyard consume --accept-topic`,
    );
  }

  /** @throws when the topic is not what it was when the group was joined. */
  async #look({ cluster, topic }: Session): Promise<void> {
    const { name, leaders } = { name: topic.stream.topic, leaders: topic.leaders };
    const { topics } = await cluster.request(undefined, 'metadata', [name], false, false);
    const found = topics.find((one) => one.name === name);
    if (found?.partitions.length !== leaders.length || found.topicId !== topic.stream.topicId)
      throw new Error(`topic ${name} has changed`);
  }

  /** Notes the topic's identity, or compares it with the noted one. */
  async #settleTopic(stream: StreamIdentity): Promise<void> {
    const { context, acceptsTopic } = this.#options;
    const { pool, config, log } = context;
    const noted = await pool.runReadOnly(config.CALL_DEADLINE_MS, (connection) =>
      readStream(connection, stream.topic),
    );
    if (noted !== undefined && isSame(stream, noted)) return;
    if (!acceptsTopic) requireSame(stream, noted);
    else if (noted !== undefined)
      log.warn({ ...stream }, `topic ${stream.topic} is accepted as it is now, from its oldest record`);
    await pool.run(config.CALL_DEADLINE_MS, (connection) =>
      inTransaction(connection, () => noteStream(connection, stream)),
    );
  }

  /** Drops what is known of partitions that are another member's now. */
  #share(numbers: ReadonlySet<number>, stream: StreamIdentity): void {
    const { figures, context } = this.#options;
    const before = [...this.#partitions.keys()].sort();
    const now = [...numbers].sort();
    if (before.join() !== now.join())
      context.log.info({ partitions: now }, `partitions of this consumer: ${now.join(', ') || 'none'}`);
    for (const partition of this.#partitions.keys()) {
      if (numbers.has(partition)) continue;
      this.#partitions.delete(partition);
      figures.forget(partition);
    }
    for (const partition of numbers) {
      if (this.#partitions.has(partition)) continue;
      this.#partitions.set(partition, new PartitionIngest({ ...this.#options, stream, partition }));
      figures.lag.set(partition, 0);
    }
  }

  async #hint({ membership }: Session): Promise<void> {
    const progress = new Map<number, number>();
    for (const { partition, committed } of this.#partitions.values())
      if (committed !== undefined) progress.set(partition, committed);
    await membership.hint(progress);
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
  }
}
