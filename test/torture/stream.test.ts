import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { parseConfig } from '../../src/config.js';
import { KafkaCluster } from '../../src/kafka/cluster.js';
import { kafkaOptions } from '../../src/kafka/options.js';
import { startLoad } from '../support/clients/load.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { KafkaBroker, USER } from '../support/kafka/broker.js';
import { describeWithKafka } from '../support/kafka/jars.js';
import { FollowedTopic, readTopic, type TopicRecord } from '../support/kafka/topic.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { createUrl } from '../support/server/suite.js';
import { Random, report, rounds, Seen, seed, settled, timeout, totalOf } from './torture.js';

const CONNECTIONS = 8;
const LINKS = 8;
/** Not to measure, but to have clicks under way at any time. */
const PAUSE_MS = 15;

const withKafka = describeWithKafka();

withKafka(`clicks as records of Kafka (seed ${seed})`, () => {
  let database: TestDatabase;
  let broker: KafkaBroker;
  /** Of each test, and of each time that it runs. */
  let topicName: string;

  beforeAll(async () => {
    broker = await KafkaBroker.start();
  }, 240_000);

  beforeEach(async () => {
    topicName = `clicks-${randomUUID()}`;
    database = await createDatabase();
    await broker.ensureRunning();
  }, 240_000);

  afterEach(async () => {
    await database.drop();
  });

  afterAll(async () => {
    await broker?.kill();
  });

  const secured = (): Record<string, string> => ({
    KAFKA_TLS: 'on',
    KAFKA_CA_FILE: broker.certificate,
    KAFKA_SASL: 'plain',
    ...USER,
  });

  const kills = rounds(2, 30);

  it(
    `${kills} kills of the server or the broker under load: each journalled click is one record, link by link`,
    timeout(kills + 12, 20),
    async () => {
      const random = new Random('stream');
      const dataDir = makeFolder('stream');
      const environment = {
        DATABASE_URL: database.url,
        DATA_DIR: dataDir,
        GATEWAY_THREADS: '2',
        CLICK_STREAM: 'kafka',
        KAFKA_BROKERS: broker.address,
        KAFKA_TOPIC: topicName,
        KAFKA_REQUEST_MS: '5000',
        DRAIN_DEADLINE_MS: '60000',
      };
      const begin = (): Promise<TestServer> =>
        startServer({
          ...environment,
          CLICK_INGEST_LINGER_MS: String(random.pick([0, 50, 500])),
          // Fewer a transaction than arrive meanwhile would never catch up.
          CLICK_STREAM_BATCH: String(random.pick([50, 500, 20_000])),
          CLICK_JOURNAL_SEGMENT_BYTES: String(random.pick([4096, 65_536, 16_777_216])),
          CLICK_DETAILS: random.pick(['off', 'basic']),
        });
      let server = await begin();
      const codes: string[] = [];
      for (let link = 0; link < LINKS; link += 1) codes.push((await createUrl(server)).short_code);
      const topic = new FollowedTopic(broker.address, topicName);
      const seen = new Seen();
      let load = startLoad(server.port, codes, CONNECTIONS, PAUSE_MS);
      let serverKills = 0;
      for (let kill = 0; kill < kills; kill += 1) {
        // Records of this server's clicks, so that transactions are under way when something is killed.
        const records = await topic.count();
        await eventually(async () => (await topic.count()) > records + 30, 60_000, 'more records');
        await sleep(random.between(0, 300));
        if (kill % 2 === 0) {
          serverKills += 1;
          await server.kill();
          await load.stop();
          seen.add(load);
          server = await begin();
          load = startLoad(server.port, codes, CONNECTIONS, PAUSE_MS);
        } else {
          await broker.kill();
          const before = load.total();
          // Neither redirects nor health depend on it.
          await eventually(() => load.total() > before + 100);
          expect((await server.fetch('/health')).status).toBe(200);
          await broker.restart();
        }
      }
      await load.stop();
      seen.add(load);
      const slack = serverKills * CONNECTIONS;
      const mapped = /^switchyard_journal_mapped 1$/m.test(await (await server.fetch('/metrics')).text());
      const counted = await settled(database, seen.total - (mapped ? 0 : slack));
      const clicks = totalOf(counted);
      await eventually(
        async () => (await topic.count()) >= clicks,
        120_000,
        () =>
          `${clicks} records (there are ${topic.records.length}): ${server.logs
            .slice(-5)
            .map(({ message }) => message)
            .join('\n')}`,
      );
      const metrics = await (await server.fetch('/metrics')).text();
      expect(metrics).toMatch(/^switchyard_stream_clicks_lost_total 0$/m);
      expect(await server.stop()).toBe(0);
      expect(await topic.count()).toBe(clicks);
      topic.close();
      const { records } = topic;
      // Kafka's own client sees the same.
      if (rounds(0, 1) === 1) {
        const byJournal = (list: readonly TopicRecord[]): TopicRecord[] =>
          [...list].sort((one, other) => (one.journal < other.journal ? -1 : 1));
        expect(byJournal(await readTopic(broker.address, topicName))).toEqual(byJournal(records));
      }
      const byCode = new Map<string, number>();
      for (const { click } of records) byCode.set(click.code, (byCode.get(click.code) ?? 0) + 1);
      const twice = records.length - new Set(records.map(({ journal }) => journal)).size;
      report({
        run: 'clicks into Kafka, server and broker killed',
        faults: kills,
        redirects: seen.total,
        unknown: seen.broken,
        clicks: records.length,
        lost: Math.max(0, clicks - records.length),
        twice,
      });
      expect(twice).toBe(0);
      for (const code of codes) {
        const answered = seen.of(code);
        expect([code, byCode.get(code)]).toEqual([code, counted.get(code)?.events]);
        expect(byCode.get(code)).toBeGreaterThanOrEqual(answered - (mapped ? 0 : slack));
        expect(byCode.get(code)).toBeLessThanOrEqual(answered + slack);
      }
      const [id] = await database.query<{ id: string }>('SELECT id FROM switchyard_database');
      const made = await database.query<{ id: string; short_code: string; made: string }>(
        `SELECT id, short_code, floor(extract(epoch FROM created_at) * 1000) AS made FROM short_urls`,
      );
      for (const { key, click, database: from } of records.slice(0, 200)) {
        const link = made.find(({ short_code }) => short_code === click.code);
        expect({ key, link: click.link, made: click.made, from }).toEqual({
          key: click.code,
          link: link?.id,
          made: Number(link?.made),
          from: id?.id,
        });
        expect(click.target).toBe('https://example.com/target');
      }
    },
  );

  it(
    'loses what the journal has no room for, counted exactly, and nothing else',
    timeout(4, 20),
    async () => {
      const server = await startServer({
        DATABASE_URL: database.url,
        GATEWAY_THREADS: '1',
        CLICK_STREAM: 'kafka',
        KAFKA_BROKERS: broker.address,
        KAFKA_TOPIC: topicName,
        CLICK_INGEST_LINGER_MS: '0',
        CLICK_JOURNAL_SEGMENT_BYTES: '4096',
        KAFKA_REQUEST_MS: '2000',
        // Their segments are as large as their clicks; mapped ones have 16 KiB before them.
        CLICK_JOURNAL_MODE: 'written',
        CLICK_JOURNAL_KEEP_BYTES: '20000',
        DRAIN_DEADLINE_MS: '60000',
      });
      const { short_code: code } = await createUrl(server);
      await eventually(async () => (await metric(server, 'switchyard_stream_up')) === 1, 60_000, 'Kafka');
      const topic = new FollowedTopic(broker.address, topicName);
      const visits = async (clicks: number, pauseMs: number): Promise<void> => {
        const load = startLoad(server.port, [code], CONNECTIONS, pauseMs);
        await eventually(() => load.total() >= clicks, 60_000, 'clicks');
        await load.stop();
        answered += load.total();
      };
      let answered = 0;
      await visits(100, 20);
      await eventually(async () => (await topic.count()) === answered, 60_000, 'their records');
      broker.signal('SIGSTOP');
      await visits(4000, 0);
      await eventually(
        async () => (await metric(server, 'switchyard_clicks_ingested_total')) === answered,
        60_000,
      );
      await eventually(async () => (await metric(server, 'switchyard_stream_removed_bytes_total')) > 0);
      expect(server.logs.map(({ message }) => message)).toContainEqual(
        expect.stringContaining('bytes of journal were removed before Kafka had their clicks'),
      );
      broker.signal('SIGCONT');
      const lost = (): Promise<number> => metric(server, 'switchyard_stream_clicks_lost_total');
      await eventually(
        async () => (await topic.count()) + (await lost()) >= answered,
        60_000,
        'a record or a loss for each',
      );
      await visits(50, 20);
      await eventually(async () => (await topic.count()) + (await lost()) >= answered, 60_000);
      expect(await lost()).toBeGreaterThan(500);
      expect((await topic.count()) + (await lost())).toBe(answered);
      const lines = server.logs.filter(({ message }) =>
        message.includes('are not in Kafka, nor ever will be'),
      );
      expect(lines.reduce((sum, { clicks }) => sum + Number(clicks), 0)).toBe(await lost());
      expect(await server.stop()).toBe(0);
      topic.close();
    },
  );

  it('says that its password is wrong, without telling it', async () => {
    const server = await startServer({
      DATABASE_URL: database.url,
      CLICK_STREAM: 'kafka',
      KAFKA_BROKERS: broker.secureAddress,
      ...secured(),
      KAFKA_PASSWORD: 'a-wrong-one',
    });
    const refused = await eventually(
      () => server.logs.find(({ message }) => message.includes('SASL_AUTHENTICATION_FAILED')),
      60_000,
    );
    expect(JSON.stringify(refused)).not.toContain('a-wrong-one');
    expect(await server.stop()).toBe(0);
  });

  it('refuses a topic of which only the last click of each link would stay, and serves', async () => {
    const cluster = new KafkaCluster(kafkaOptions(parseConfig({ KAFKA_BROKERS: broker.address })));
    const configs = [{ name: 'cleanup.policy', value: 'compact' }];
    const wanted = { name: topicName, numPartitions: 1, replicationFactor: 1, assignments: [], configs };
    await cluster.request(undefined, 'createTopics', [wanted], 30_000, false);
    cluster.close();
    const server = await startServer({
      DATABASE_URL: database.url,
      CLICK_STREAM: 'kafka',
      KAFKA_BROKERS: broker.secureAddress,
      KAFKA_TOPIC: topicName,
      ...secured(),
    });
    await eventually(
      () =>
        server.logs.some(({ message }) => message.includes(`the topic ${topicName} must not be compacted`)),
      60_000,
    );
    expect((await server.fetch('/health')).status).toBe(200);
    expect(await metric(server, 'switchyard_stream_up')).toBe(0);
    expect(await server.stop()).toBe(0);
  });
});

async function metric(server: TestServer, name: string): Promise<number> {
  const text = await (await server.fetch('/metrics')).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}
