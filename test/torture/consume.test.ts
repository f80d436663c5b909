import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCountedLoad } from '../support/clients/keep-alive-load.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { KafkaBroker } from '../support/kafka/broker.js';
import { describeWithKafka } from '../support/kafka/jars.js';
import { eventually } from '../support/machine/wait.js';
import { TestConsumer } from '../support/server/consumer.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { createUrl } from '../support/server/suite.js';
import { countClicks, Random, report, rounds, timeout, totalOf } from './torture.js';

/** test/resilience/consume.test.ts is the short form. */
const KILLS = rounds(0, 30);
const LINKS = 20;
const CONSUMERS = 2;

let broker: KafkaBroker;
let database: TestDatabase;
let server: TestServer;
let settings: Record<string, string>;

const withKafka = KILLS === 0 ? describe.skip : describeWithKafka();

withKafka('clicks by Kafka into PostgreSQL', () => {
  beforeAll(async () => {
    [broker, database] = await Promise.all([KafkaBroker.start(), createDatabase()]);
    settings = {
      DATABASE_URL: database.url,
      CLICK_STREAM: 'kafka',
      KAFKA_BROKERS: broker.address,
      CLICK_INGEST: 'consume',
      CLICK_INGEST_BATCH: '500',
    };
    server = await startServer(settings);
  }, 300_000);

  afterAll(async () => {
    await server?.stop();
    await broker?.kill();
    await database?.drop();
  });

  it(
    `${KILLS} kills of consumers and the broker under load: each click once`,
    timeout(KILLS, 60),
    async () => {
      const random = new Random('consume');
      const codes = await Promise.all(
        Array.from({ length: LINKS }, async () => (await createUrl(server)).short_code),
      );
      const consumers = Array.from({ length: CONSUMERS }, () => TestConsumer.start(settings));
      const load = startCountedLoad(server.port, codes, 4, 2);
      try {
        for (let kill = 0; kill < KILLS; kill += 1) {
          const target = load.total() + random.between(50, 600);
          await eventually(() => load.total() >= target, 60_000);
          if (random.between(1, 4) === 1) {
            await broker.kill();
            const later = load.total() + random.between(1, 400);
            await eventually(() => load.total() >= later, 60_000);
            await broker.restart();
          } else {
            const victim = random.between(0, CONSUMERS - 1);
            await consumers[victim]?.kill();
            consumers[victim] = TestConsumer.start(settings);
          }
        }
        await load.stop();
        let counted = await countClicks(database);
        await eventually(
          async () => {
            counted = await countClicks(database);
            return totalOf(counted) >= load.total();
          },
          120_000,
          () => `${load.total()} clicks (there are ${totalOf(counted)})`,
        );
        // Had one come twice, it would be here by then: the consumers have nothing left.
        await eventually(
          async () => (await server.fetch('/events')).headers.get('x-clicks-pending') === null,
          60_000,
        );
        counted = await countClicks(database);
        report({
          run: 'kills of consumers and of Kafka’s broker',
          faults: KILLS,
          redirects: load.total(),
          unknown: 0,
          clicks: totalOf(counted),
          lost: Math.max(0, load.total() - totalOf(counted)),
          twice: Math.max(0, totalOf(counted) - load.total()),
        });
        for (const code of codes) {
          const clicks = load.answered.get(code) ?? 0;
          expect(counted.get(code)).toEqual({ counter: clicks, events: clicks });
        }
      } finally {
        await load.stop();
        await Promise.all(consumers.map((consumer) => consumer.stop()));
      }
    },
  );
});
