import { apiVersionsV3, Connection } from '@platformatic/kafka';
import { packageVersion } from '../runtime/package.js';
import type { HostAndPort } from '../setting-values.js';
import { type KafkaOptions, tlsServerName } from './options.js';
import { formOf, type RequestName, type requests, type Versions } from './versions.js';

const CLIENT = 'switchyard';

interface Broker {
  readonly connection: Connection;
  readonly versions: Versions;
}

export interface Topic {
  readonly name: string;
  readonly topicId: string;
  /** The leader of each partition. */
  readonly leaders: readonly HostAndPort[];
}

type Form<Name extends RequestName> = (typeof requests)[Name][number];
type Arguments<Name extends RequestName> =
  Form<Name> extends {
    async: (connection: Connection, ...args: infer Args) => Promise<unknown>;
  }
    ? Args
    : never;
type Answer<Name extends RequestName> =
  Form<Name> extends {
    async: (...args: never[]) => Promise<infer Result>;
  }
    ? Result
    : never;

/**
 * A Kafka cluster: one connection a broker, made when it is needed. Any failure of a request closes them all:
 * whoever was sending begins again, with connections of which nothing is left to arrive.
 */
export class KafkaCluster {
  readonly #options: KafkaOptions;
  readonly #brokers = new Map<string, Promise<Broker>>();
  readonly #topics = new Map<string, Topic>();
  #isClosed = false;

  constructor(options: KafkaOptions) {
    this.#options = options;
  }

  /** Makes a request to a broker. @param place Where; `undefined` for any of the known brokers. */
  async request<Name extends RequestName>(
    place: HostAndPort | undefined,
    name: Name,
    ...args: Arguments<Name>
  ): Promise<Answer<Name>> {
    const { connection, versions } =
      place === undefined ? await this.#anyBroker() : await this.#broker(place);
    const send = formOf(name, versions).async as unknown as (
      connection: Connection,
      ...args: Arguments<Name>
    ) => Promise<Answer<Name>>;
    return send(connection, ...args);
  }

  /** A topic and its leaders. @throws when there is none, or a partition has no leader. */
  async topic(name: string): Promise<Topic> {
    const known = this.#topics.get(name);
    if (known !== undefined) return known;
    const { brokers, topics } = await this.request(undefined, 'metadata', [name], false, false);
    const found = topics.find((topic) => topic.name === name);
    if (found === undefined) throw new Error(`the topic ${name} is not there`);
    const leaders = [...found.partitions]
      .sort((one, other) => one.partitionIndex - other.partitionIndex)
      .map(({ leaderId, partitionIndex }) => {
        const leader = brokers.find(({ nodeId }) => nodeId === leaderId);
        if (leader === undefined) throw new Error(`partition ${partitionIndex} of ${name} has no leader`);
        return { host: leader.host, port: leader.port };
      });
    const topic = { name, topicId: found.topicId, leaders };
    this.#topics.set(name, topic);
    return topic;
  }

  /** Who coordinates the transactions of this id. */
  async coordinator(transactionalId: string): Promise<HostAndPort> {
    const { coordinators } = await this.request(undefined, 'findCoordinator', 1, [transactionalId]);
    const [found] = coordinators;
    if (found === undefined) throw new Error('no coordinator of transactions');
    return { host: found.host, port: found.port };
  }

  /** Cuts all connections: what is under way fails, and what is known of topics is asked again. */
  reset(): void {
    for (const broker of this.#brokers.values()) broker.then(cut, () => undefined);
    this.#brokers.clear();
    this.#topics.clear();
  }

  close(): void {
    this.#isClosed = true;
    this.reset();
  }

  async #anyBroker(): Promise<Broker> {
    const { brokers } = this.#options;
    const errors: unknown[] = [];
    for (const place of brokers) {
      try {
        return await this.#broker(place);
      } catch (error) {
        errors.push(error);
      }
    }
    throw errors[0] ?? new Error('no broker is given');
  }

  #broker({ host, port }: HostAndPort): Promise<Broker> {
    if (this.#isClosed) throw new Error('the connections to Kafka are closed');
    const key = `${host}:${port}`;
    const known = this.#brokers.get(key);
    if (known !== undefined) return known;
    const broker = this.#connect(host, port);
    this.#brokers.set(key, broker);
    const forget = (): void => {
      if (this.#brokers.get(key) === broker) this.#brokers.delete(key);
    };
    broker.then(({ connection }) => connection.once('close', forget), forget);
    return broker;
  }

  async #connect(host: string, port: number): Promise<Broker> {
    const connection = new Connection(CLIENT, { ...this.#options.connection, ...tlsServerName(host) });
    // The request that meets it fails; an event that nobody hears would end the thread.
    connection.on('error', () => undefined);
    await connection.connect(host, port);
    const { apiKeys } = await apiVersionsV3.api.async(connection, CLIENT, packageVersion());
    return { connection, versions: new Map(apiKeys.map((one) => [one.apiKey, one])) };
  }
}

/** Not `close`, which waits for what a silent broker has yet to take. */
function cut({ connection }: Broker): void {
  connection.socket.destroy();
}
