import { setTimeout as sleep } from 'node:timers/promises';
import { type MessageRecord, murmur2, NumericMap, ProduceAcks } from '@platformatic/kafka';
import type { HostAndPort } from '../setting-values.js';
import type { KafkaCluster } from './cluster.js';
import { isPassing } from './errors.js';

/** What is to become a record. */
export interface OutgoingRecord {
  readonly topic: string;
  readonly key: Buffer;
  readonly value: Buffer | undefined;
  readonly headers: ReadonlyMap<Buffer, Buffer>;
  /** Ms since 1970. */
  readonly timeMs: number;
}

/** The broker ends a transaction that is open for longer: only one whose producer is gone. */
const TRANSACTION_MS = 20_000;
/** How long what passes by itself may take. */
const PASSING_MS = 30_000;
const PAUSE_MS = { first: 10, most: 250 };
/** Of one request's records, below what brokers accept by default (message.max.bytes, 1 MiB). */
const REQUEST_BYTES = 900_000;
/** Of a record besides its key, value and headers. */
const RECORD_BYTES = 40;
const SEQUENCE_MAX = 2 ** 30;
const NOBODY = { id: -1n, epoch: -1 };

/**
 * The transactions of one transactional id, one after the other. After any failure the producer must not be used
 * again: `begin` fences what is left of it, and whether its last transaction took place is to be read.
 */
export class TransactionalProducer {
  readonly #cluster: KafkaCluster;
  readonly #id: string;
  readonly #coordinator: HostAndPort;
  readonly #producerId: bigint;
  readonly #epoch: number;
  /** By topic and partition, the number of the next record; the client's own kind of map, which it reads. */
  readonly #sequences = new NumericMap();

  private constructor(
    cluster: KafkaCluster,
    id: string,
    coordinator: HostAndPort,
    producer: { readonly producerId: bigint; readonly producerEpoch: number },
  ) {
    this.#cluster = cluster;
    this.#id = id;
    this.#coordinator = coordinator;
    this.#producerId = producer.producerId;
    this.#epoch = producer.producerEpoch;
  }

  /** Fences earlier producers of this id; settles when their last transaction is over, one way or the other. */
  static async begin(cluster: KafkaCluster, id: string): Promise<TransactionalProducer> {
    return untilPassed(async () => {
      const coordinator = await cluster.coordinator(id);
      const producer = await cluster.request(
        coordinator,
        'initProducerId',
        id,
        TRANSACTION_MS,
        NOBODY.id,
        NOBODY.epoch,
      );
      return new TransactionalProducer(cluster, id, coordinator, producer);
      // Each attempt asks who it is; one that has just been chosen does not always know it yet.
    }, 'NOT_COORDINATOR');
  }

  /** Whether its numbers are used up; then `begin` anew. */
  get isWornOut(): boolean {
    return [...this.#sequences.values()].some((sequence) => sequence > SEQUENCE_MAX);
  }

  /**
   * Writes the records in one transaction, in this order within each partition. @throws if it may not have taken
   * place.
   */
  async commit(records: readonly OutgoingRecord[]): Promise<void> {
    const placed = await this.#place(records);
    await untilPassed(() => this.#addPartitions(placed));
    for (const { leader, messages } of requestsOf(placed)) await this.#produce(leader, messages);
    await untilPassed(() =>
      this.#cluster.request(this.#coordinator, 'endTxn', this.#id, this.#producerId, this.#epoch, true),
    );
  }

  async #place(records: readonly OutgoingRecord[]): Promise<Placed[]> {
    const topics = new Map<string, readonly HostAndPort[]>();
    for (const { topic } of records)
      if (!topics.has(topic)) topics.set(topic, (await this.#cluster.topic(topic)).leaders);
    return records.map(({ topic, key, value, headers, timeMs }) => {
      const leaders = topics.get(topic) ?? [];
      const partition = partitionOf(key, leaders.length);
      const message = {
        topic,
        partition,
        key,
        // The client writes a record without a value as Kafka wants it, though its type has none.
        value: value as Buffer,
        headers: headers as Map<Buffer, Buffer>,
        timestamp: BigInt(Math.trunc(timeMs)),
      };
      return { leader: leaders[partition] as HostAndPort, message, bytes: sizeOf(key, value, headers) };
    });
  }

  async #addPartitions(placed: readonly Placed[]): Promise<void> {
    const partitions = new Map<string, Set<number>>();
    for (const { message } of placed) {
      const known = partitions.get(message.topic) ?? new Set();
      partitions.set(message.topic, known.add(message.partition));
    }
    await this.#cluster.request(this.#coordinator, 'addPartitionsToTxn', [
      {
        transactionalId: this.#id,
        producerId: this.#producerId,
        producerEpoch: this.#epoch,
        verifyOnly: false,
        topics: [...partitions].map(([name, numbers]) => ({ name, partitions: [...numbers] })),
      },
    ]);
  }

  async #produce(leader: HostAndPort, messages: readonly PlacedMessage[]): Promise<void> {
    await this.#cluster.request(
      leader,
      'produce',
      ProduceAcks.ALL,
      TRANSACTION_MS,
      messages as MessageRecord[],
      {
        transactionalId: this.#id,
        producerId: this.#producerId,
        producerEpoch: this.#epoch,
        sequences: this.#sequences,
      },
    );
    for (const { topic, partition } of messages) this.#sequences.postIncrement(`${topic}:${partition}`, 1, 0);
  }
}

type PlacedMessage = MessageRecord & { readonly topic: string; readonly partition: number };

interface Placed {
  readonly leader: HostAndPort;
  readonly message: PlacedMessage;
  readonly bytes: number;
}

/** As the Java client does it, so that all producers agree. */
export function partitionOf(key: Buffer, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}

function sizeOf(key: Buffer, value: Buffer | undefined, headers: ReadonlyMap<Buffer, Buffer>): number {
  let bytes = key.length + (value?.length ?? 0) + RECORD_BYTES;
  for (const [name, text] of headers) bytes += name.length + text.length;
  return bytes;
}

/** By leader, in requests that a broker accepts. */
function* requestsOf(placed: readonly Placed[]): Generator<{
  readonly leader: HostAndPort;
  readonly messages: readonly PlacedMessage[];
}> {
  const open = new Map<string, { leader: HostAndPort; messages: PlacedMessage[]; bytes: number }>();
  for (const { leader, message, bytes } of placed) {
    const key = `${leader.host}:${leader.port}`;
    const known = open.get(key);
    if (known === undefined || known.bytes + bytes > REQUEST_BYTES) {
      if (known !== undefined) yield known;
      open.set(key, { leader, messages: [message], bytes });
      continue;
    }
    known.messages.push(message);
    known.bytes += bytes;
  }
  yield* open.values();
}

/** Tries again while Kafka says that it will pass. */
async function untilPassed<T>(work: () => Promise<T>, also?: string): Promise<T> {
  const deadline = performance.now() + PASSING_MS;
  for (let pauseMs = PAUSE_MS.first; ; pauseMs = Math.min(PAUSE_MS.most, pauseMs * 1.5)) {
    try {
      return await work();
    } catch (error) {
      if (!isPassing(error, also) || performance.now() > deadline) throw error;
      await sleep(pauseMs);
    }
  }
}
