import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseConfig } from '../../../src/config.js';
import { KafkaCluster } from '../../../src/kafka/cluster.js';
import { committedRecords, headerOf } from '../../../src/kafka/committed.js';
import { kafkaOptions } from '../../../src/kafka/options.js';
import { type ClickRecord, decodeClick, isNoRecord } from '../../../src/stream/record.js';
import { run } from '../server/program.js';
import { classPath } from './jars.js';

const here = path.dirname(fileURLToPath(import.meta.url));

export interface TopicRecord {
  readonly key: string;
  readonly click: ClickRecord;
  /** Its headers. */
  readonly journal: string;
  readonly database: string;
}

/** The committed records of a topic, as Kafka's own client reads them. @throws for a value that is no click. */
export async function readTopic(address: string, topic: string): Promise<TopicRecord[]> {
  const program = path.join(here, 'ReadTopic.java');
  const { output } = await run('java', ['-Xmx256m', '-cp', classPath, program, address, topic]);
  const lines = output.split('\n').filter((line) => /^[\w+/=]* [\w+/=]+ [\w+/=]* [\w+/=]*$/.test(line));
  if (!/^end$/m.test(output)) throw new Error(`the topic could not be read: ${output.slice(-2000)}`);
  return lines.map((line) => {
    const [key = '', value = '', journal = '', database = ''] = line
      .split(' ')
      .map((field) => Buffer.from(field, 'base64').toString('utf8'));
    return recordOf(key, Buffer.from(value), journal, database);
  });
}

function recordOf(key: string, value: Uint8Array | null, journal = '', database = ''): TopicRecord {
  const click = decodeClick(value);
  if (isNoRecord(click)) throw new Error(`${value}: ${click.reason}`);
  return { key, click, journal, database };
}

/** A topic whose committed records are read as they come. */
export class FollowedTopic {
  readonly #cluster: KafkaCluster;
  readonly #topic: string;
  readonly #next = new Map<number, bigint>();
  readonly records: TopicRecord[] = [];

  constructor(address: string, topic: string) {
    this.#cluster = new KafkaCluster(kafkaOptions(parseConfig({ KAFKA_BROKERS: address })));
    this.#topic = topic;
  }

  /** Reads what is new; while the broker is away, nothing. @returns how many there are. */
  async count(): Promise<number> {
    try {
      const { topicId, leaders } = await this.#cluster.topic(this.#topic);
      for (const [partition, leader] of leaders.entries())
        while (await this.#read(topicId, partition, leader));
    } catch {
      this.#cluster.reset();
    }
    return this.records.length;
  }

  close(): void {
    this.#cluster.close();
  }

  /** @returns whether there was something. */
  async #read(topicId: string, partition: number, leader: { host: string; port: number }): Promise<boolean> {
    const from = this.#next.get(partition) ?? 0n;
    const bytes = 4 * 1024 * 1024;
    const wanted = {
      partition,
      currentLeaderEpoch: -1,
      fetchOffset: from,
      lastFetchedEpoch: -1,
      partitionMaxBytes: bytes,
    };
    const topics = [{ topicId, partitions: [wanted] }];
    const answer = await this.#cluster.request(leader, 'fetch', 10, 1, bytes, 1, 0, -1, topics, [], '');
    const found = answer.responses[0]?.partitions[0];
    if (found === undefined) return false;
    const { records, next } = committedRecords(found.records ?? [], found.abortedTransactions, from);
    for (const record of records) {
      const key = Buffer.from(record.key ?? '').toString('utf8');
      const { value } = record;
      this.records.push(recordOf(key, value, headerOf(record, 'journal'), headerOf(record, 'database')));
    }
    this.#next.set(partition, next);
    return next > from;
  }
}
