import { setTimeout as sleep } from 'node:timers/promises';
import { Consumer } from '@platformatic/kafka';
import { type KafkaOptions, tlsServerName } from '../kafka/options.js';

const CLIENT_ID = 'switchyard-consume';
/** A consumer that is not heard of for this long loses its partitions to others. */
const SESSION_MS = 6000;
const HEARTBEAT_MS = 1000;
const REBALANCE_MS = 10_000;
/** A member that does not hear of the group for this long begins anew. */
const LOST_MS = 2 * SESSION_MS;
const CLOSE_MS = 2000;

/** How far this consumer is, by partition. */
export type Progress = ReadonlyMap<number, number>;

/** A consumer's membership in the group that shares out the partitions. It reads no record. */
export class Membership {
  readonly #consumer: Consumer;
  readonly #topic: string;
  #joinedMs = 0;
  #broken: Error | undefined;

  constructor({ brokers, connection }: KafkaOptions, topic: string, group: string) {
    this.#topic = topic;
    this.#consumer = new Consumer({
      ...connection,
      ...tlsServerName(brokers[0]?.host ?? ''),
      clientId: CLIENT_ID,
      bootstrapBrokers: brokers.map(({ host, port }) => ({ host, port })),
      groupId: group,
      autocommit: false,
      sessionTimeout: SESSION_MS,
      heartbeatInterval: HEARTBEAT_MS,
      rebalanceTimeout: REBALANCE_MS,
      retries: 0,
    });
    this.#consumer.on(
      'error' as never,
      ((error: Error) => {
        this.#broken = error;
      }) as never,
    );
  }

  async join(): Promise<void> {
    this.#consumer.topics.track(this.#topic);
    await this.#consumer.joinGroup({});
    this.#joinedMs = Date.now();
  }

  /**
   * The partitions that the group has given us; another member may have some of them already.
   * @throws when the group was not heard of for too long.
   */
  get partitions(): ReadonlySet<number> {
    if (this.#broken !== undefined) throw this.#broken;
    const heardMs = Math.max(this.#joinedMs, this.#consumer.lastHeartbeat?.getTime() ?? 0);
    if (Date.now() - heardMs > LOST_MS) throw new Error('the consumer group does not answer');
    const assignments = this.#consumer.isActive() ? (this.#consumer.assignments ?? []) : [];
    return new Set(assignments.flatMap(({ topic, partitions }) => (topic === this.#topic ? partitions : [])));
  }

  /** Lets tools that show the lag know how far we are. Nothing goes by it, and failing is of no matter. */
  async hint(progress: Progress): Promise<void> {
    const offsets = [...progress].map(([partition, offset]) => ({
      topic: this.#topic,
      partition,
      offset: BigInt(offset),
      leaderEpoch: -1,
    }));
    if (offsets.length > 0 && this.#consumer.isActive())
      await this.#consumer.commit({ offsets }).catch(() => undefined);
  }

  /** Leaves the group, for others to have the partitions at once; it does not wait long for an answer. */
  async close(): Promise<void> {
    const late = new AbortController();
    const closed = new Promise<void>((resolve) => this.#consumer.close(true, () => resolve()));
    await Promise.race([closed, sleep(CLOSE_MS, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
  }
}
