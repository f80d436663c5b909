import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Admin, Producer, stringSerializers } from '@platformatic/kafka';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { openPositions } from '../../src/cli/stream-positions.js';
import { parseConfig } from '../../src/config.js';
import { startCountedLoad } from '../support/clients/keep-alive-load.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { endNewestChunk, wrongCounters } from '../support/database/retention.js';
import { KafkaBroker } from '../support/kafka/broker.js';
import { describeWithKafka } from '../support/kafka/jars.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import { runTool, TestConsumer } from '../support/server/consumer.js';
import { freePort } from '../support/server/program.js';
import { runServer, startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl, createUser } from '../support/server/suite.js';
import { untilEnd } from '../support/server/until-end.js';

const TOPIC = 'clicks';
const KILLS = 2;
/** A journal of which nobody here has files. */
const ELSEWHERE = '11111111-1111-4111-8111-111111111111';
/** On a busy machine. */
const TIMEOUT_MS = 300_000;
/** READ_BARRIER_MS. */
const BARRIER_MS = 10_000;

let broker: KafkaBroker;
/** Gets its clicks from Kafka. */
let database: TestDatabase;
/** Gets them from its server's journals, and sends them to the same topic. */
let direct: TestDatabase;
let server: TestServer;
let directServer: TestServer;

const kafka = (): Record<string, string> => ({
  CLICK_STREAM: 'kafka',
  KAFKA_BROKERS: broker.address,
  KAFKA_TOPIC: TOPIC,
});

const consumeSettings = (): Record<string, string> => ({
  ...kafka(),
  DATABASE_URL: database.url,
  CLICK_INGEST: 'consume',
  CLICK_INGEST_BATCH: '200',
});

function startConsumer(...flags: string[]): TestConsumer {
  return untilEnd(TestConsumer.start(consumeSettings(), ...flags));
}

async function idOf({ query }: TestDatabase): Promise<string> {
  const [row] = await query<{ id: string }>('SELECT id FROM switchyard_database');
  return row?.id ?? '';
}

/** Click events and counter of each link, by short code. */
async function counted({ query }: TestDatabase): Promise<Map<string, string>> {
  const rows = await query<{ short_code: string; counts: string }>(
    `SELECT short_code, click_count || '=' || (SELECT count(*) FROM events WHERE url_id = short_urls.id AND event_type = 'click')
       AS counts FROM short_urls`,
  );
  return new Map(rows.map(({ short_code, counts }) => [short_code, counts]));
}

async function settles(codes: readonly string[], wanted: ReadonlyMap<string, number>): Promise<void> {
  let now = new Map<string, string>();
  await eventually(
    async () => {
      now = await counted(database);
      return codes.every((code) => now.get(code)?.split('=')[1] === String(wanted.get(code) ?? 0));
    },
    90_000,
    () =>
      `the clicks in the database: ${JSON.stringify(codes.map((code) => [code, wanted.get(code), now.get(code)]))}`,
  );
  for (const code of codes) expect(now.get(code)).toBe(`${wanted.get(code) ?? 0}=${wanted.get(code) ?? 0}`);
}

/** A browser, a crawler, a tool, and nobody known. */
const visits: readonly Record<string, string>[] = [
  {
    'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0',
    referer: 'https://news.example/a',
  },
  { 'user-agent': 'Googlebot/2.1 (+http://www.google.com/bot.html)', 'x-country': 'DE' },
  { 'user-agent': 'curl/8.0', referer: 'https://xn--mlaut-kva.example/' },
  {},
];
let attempts = 0;
/** Of the topic of clicks, as Kafka has it. */
let topicId: string | undefined;

async function visit(one: TestServer, code: string, headers: Record<string, string> = {}): Promise<void> {
  await (await one.fetch(`/${code}`, { headers, redirect: 'manual' })).arrayBuffer();
}

async function metric(port: number, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\d+)`, 'm').exec(text)?.[1] ?? Number.NaN);
}

/** All that the topic of clicks has, as its retention does. */
async function removeRecords(): Promise<void> {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [broker.address] });
  try {
    const [topic] = (await admin.metadata({ topics: [TOPIC] })).topics.values();
    const partitions = Array.from({ length: topic?.partitionsCount ?? 0 }, (_, partition) => ({
      partition,
      offset: -1n,
    }));
    await admin.deleteRecords({ topics: [{ name: TOPIC, partitions }] });
  } finally {
    await admin.close();
  }
}

/** Clicks that a read of events lacks. */
async function pending(): Promise<number> {
  const answer = await server.fetch('/events?limit=1');
  await answer.arrayBuffer();
  return Number(answer.headers.get('x-clicks-pending') ?? 0);
}

describeWithKafka()('clicks by Kafka', { timeout: TIMEOUT_MS }, () => {
  beforeAll(async () => {
    [broker, database, direct] = await Promise.all([KafkaBroker.start(), createDatabase(), createDatabase()]);
    // A copy of the same template.
    await direct.query('UPDATE switchyard_database SET id = gen_random_uuid()');
    const both = {
      ...kafka(),
      READ_BARRIER_MS: String(BARRIER_MS),
      CLICK_DETAILS: 'full',
      COUNT_BOTS: 'false',
      CLICK_COUNTRY_HEADER: 'x-country',
    };
    server = await startServer({ ...both, DATABASE_URL: database.url, CLICK_INGEST: 'consume' });
    directServer = await startServer({ ...both, DATABASE_URL: direct.url });
  }, TIMEOUT_MS);

  afterAll(async () => {
    await Promise.all([server?.stop(), directServer?.stop()]);
    await broker?.kill();
    await Promise.all([database?.drop(), direct?.drop()]);
  });

  it('gives events and statistics as the direct way does, says how many are under way, and credits no other database', async () => {
    attempts += 1;
    const codes = [`same${attempts}`, `free${attempts}`];
    const see = async (one: TestServer): Promise<{ id: number; owner: number }> => {
      const owner = await createUser(one);
      const target = 'https://example.com/ü?"';
      const link = await createUrl(one, { user_id: owner.id, short_code: codes[0], original_url: target });
      await createUrl(one, { short_code: codes[1] });
      for (const code of codes) for (const headers of visits) await visit(one, code, headers);
      return { id: link.id, owner: owner.id };
    };
    const here = await see(server);
    // Nobody consumes: a read does not wait for what does not come, and says so.
    const startMs = performance.now();
    expect(await pending()).toBeGreaterThanOrEqual(2 * visits.length);
    expect(performance.now() - startMs).toBeLessThan(BARRIER_MS - 2000);
    const there = await see(directServer);
    const consumer = startConsumer();
    const eventsOf = async ({ query }: TestDatabase, owner: number): Promise<string[]> => {
      const rows = await query<{ event: string }>(
        `SELECT concat_ws(' ', event_type, user_id IS NOT DISTINCT FROM $1, user_id IS NULL, details) AS event FROM events
         WHERE event_type IN ('click', 'preview') AND details::jsonb ->> 'short_code' = ANY ($2)`,
        [owner, codes],
      );
      return rows.map(({ event }) => event).sort();
    };
    await eventually(async () => (await eventsOf(direct, there.owner)).length === 2 * visits.length);
    await eventually(
      async () => (await eventsOf(database, here.owner)).length >= 2 * visits.length,
      30_000,
      () => consumer.output,
    );
    expect(await eventsOf(database, here.owner)).toEqual(await eventsOf(direct, there.owner));
    await eventually(async () => (await pending()) === 0);
    const statsOf = async (one: TestServer, id: number): Promise<unknown> => {
      const answer = (await one.json(`/urls/${id}/stats`)) as Record<string, unknown>;
      return { ...answer, as_of: undefined };
    };
    expect(await statsOf(server, here.id)).toEqual(await statsOf(directServer, there.id));
    // The other server's clicks are in the same topic, on links with the same codes.
    await consumer.says(`clicks of another database (${await idOf(direct)})`);
    const [mine, others] = [await counted(database), await counted(direct)];
    for (const code of codes) expect(mine.get(code)).toBe(others.get(code));
    expect(await consumer.stop()).toBe(0);
  });

  it('counts each click once, link by link, while consumers and the broker are killed', async () => {
    const codes = await Promise.all(
      Array.from({ length: 5 }, async () => (await createUrl(server)).short_code),
    );
    let consumers = [startConsumer(), startConsumer()];
    const load = startCountedLoad(server.port, codes, 4, 2);
    for (let kill = 0; kill < KILLS; kill += 1) {
      const target = load.total() + 300;
      await eventually(() => load.total() >= target);
      if (kill === 1) {
        await broker.kill();
        await eventually(() => load.total() >= target + 200);
        await broker.restart();
      } else {
        await consumers[0]?.kill();
        consumers = [...consumers.slice(1), startConsumer()];
      }
    }
    await load.stop();
    expect(load.others()).toBe(0);
    await settles(codes, load.answered);
    await eventually(async () => (await pending()) === 0);
    for (const consumer of consumers) expect(await consumer.stop()).toBe(0);
  });

  it('needs no events to stay: a server with CLICK_EVENTS=off removes what a consumer brings', async () => {
    const consumer = startConsumer();
    const off = await startServer({
      ...kafka(),
      DATABASE_URL: database.url,
      CLICK_INGEST: 'consume',
      CLICK_EVENTS: 'off',
    });
    try {
      const { id, short_code } = await createUrl(off);
      for (let n = 0; n < 20; n += 1) await visit(off, short_code);
      await eventually(
        async () => {
          await endNewestChunk(database);
          const [row] = await database.query<{ clicks: string; events: string }>(
            `SELECT click_count AS clicks, (SELECT count(*) FROM events WHERE event_type IN ('click', 'preview')) AS events
             FROM short_urls WHERE id = $1`,
            [id],
          );
          return row?.clicks === '20' && row.events === '0';
        },
        60_000,
        () => consumer.output,
      );
      expect(await wrongCounters(database)).toEqual([]);
    } finally {
      await off.stop();
    }
    expect(await consumer.stop()).toBe(0);
  });

  it('sets records aside that can’t be read, and ingests the rest', async () => {
    const producer = new Producer({
      clientId: 'test',
      bootstrapBrokers: [broker.address],
      serializers: stringSerializers,
    });
    const { short_code: code, id } = await createUrl(server);
    const [row] = await database.query<{ made: string }>(
      `SELECT (extract(epoch FROM created_at) * 1000)::bigint AS made FROM short_urls WHERE id = $1`,
      [id],
    );
    const headers = { database: await idOf(database) };
    const record = {
      v: 1,
      code,
      link: String(id),
      made: Number(row?.made),
      at: Date.now(),
      target: 'https://example.com/',
    };
    const values = [
      'no JSON',
      JSON.stringify(record),
      '{"v":1}',
      JSON.stringify({ ...record, made: undefined }),
    ];
    await producer.send({
      messages: values.map((value) => ({ topic: TOPIC, key: code, value, headers, partition: 0 })),
    });
    await producer.close();
    const consumer = startConsumer();
    await settles([code], new Map([[code, 2]]));
    await consumer.says('2 records could not be read and set aside');
    const [file = ''] = readdirSync(path.join(consumer.dataDir, 'consume'));
    const lines = readFileSync(path.join(consumer.dataDir, 'consume', file), 'utf8')
      .trim()
      .split('\n');
    expect(
      lines
        .map((line) => JSON.parse(line).value as string)
        .map((text) => Buffer.from(text, 'base64').toString()),
    ).toEqual(['no JSON', '{"v":1}']);
    await consumer.stop();
  });

  it('refuses a database of the other way, and a server that knows of none', async () => {
    const refused = 'set CLICK_INGEST=';
    const asServer = await runServer({ DATABASE_URL: database.url });
    expect(asServer.code).toBe(2);
    expect(asServer.stderr).toContain(`${refused}consume`);
    const asConsume = await runServer({ ...kafka(), DATABASE_URL: direct.url, CLICK_INGEST: 'consume' });
    expect(asConsume.code).toBe(2);
    expect(asConsume.stderr).toContain(`${refused}server`);
    const consumer = await runTool({ ...kafka(), DATABASE_URL: direct.url }, 'consume');
    expect(consumer).toMatchObject({ code: 2, output: expect.stringContaining(`${refused}server`) });
    const without = await runServer({ DATABASE_URL: database.url, CLICK_INGEST: 'consume' });
    expect(without).toMatchObject({ code: 2, stderr: expect.stringContaining('CLICK_STREAM=kafka') });
    // What a server of the previous release does first.
    await expect(
      database.query(`INSERT INTO journal_checkpoints (journal_id) VALUES (gen_random_uuid())`),
    ).rejects.toThrow('gets its clicks from Kafka');
  });

  it('ends with one line when the topic is another one, or lacks records, and goes on if told to', async () => {
    const [noted] = await database.query<{ topic_id: string }>('SELECT topic_id FROM click_streams');
    topicId ??= noted?.topic_id;
    await database.query(`UPDATE click_streams SET topic_id = gen_random_uuid()`);
    const another = TestConsumer.start(consumeSettings());
    expect(await another.exit).toBe(3);
    expect(another.output).toMatch(/switchyard: topic clicks was made anew .*--accept-topic\n$/);
    await database.query(`UPDATE click_streams SET topic_id = $1`, [topicId]);
    await database.query(
      `BEGIN; SET LOCAL switchyard.ingest = 'consume'; UPDATE journal_checkpoints SET byte_offset = byte_offset + 1000000; COMMIT`,
    );
    const beyond = TestConsumer.start(consumeSettings());
    expect(await beyond.exit).toBe(3);
    expect(beyond.output).toMatch(
      /switchyard: partition \d of topic clicks ends at offset \d+, .*--accept-topic\n$/,
    );
    const accepting = startConsumer('--accept-topic');
    await accepting.says('goes on from offset');
    const { short_code: code } = await createUrl(server);
    await eventually(async () => {
      await visit(server, code, visits[0]);
      return (await counted(database)).get(code) !== '0=0';
    }, 60_000);
    expect(await accepting.stop()).toBe(0);
  });

  it('never passes over records that Kafka has removed in silence, and counts what it skips when told to', async () => {
    // It ends when Kafka has all of its clicks.
    const another = untilEnd(await startServer(consumeSettings()));
    const { short_code: code } = await createUrl(another);
    for (let times = 0; times < 5; times += 1) await visit(another, code, visits[0]);
    expect(await another.stop()).toBe(0);
    await removeRecords();
    const refusing = TestConsumer.start(consumeSettings());
    expect(await refusing.exit).toBe(3);
    expect(refusing.output).toMatch(
      /switchyard: partition \d of topic clicks begins at offset \d+, and the database is at \d+: up to \d+ clicks were removed before they were ingested.*--accept-topic\n$/,
    );
    expect((await counted(database)).get(code)).toBe('0=0');
    const port = await freePort();
    const accepting = untilEnd(
      TestConsumer.start({ ...consumeSettings(), CONSUME_PORT: String(port) }, '--accept-topic'),
    );
    await accepting.says('the clicks between are lost');
    expect(await metric(port, 'switchyard_consume_skipped_total')).toBeGreaterThanOrEqual(5);
    await visit(server, code, visits[0]);
    await settles([code], new Map([[code, 1]]));
    expect(await accepting.stop()).toBe(0);
  });

  it('changes the way of a database only when all of its clicks are in, and counts none twice', async () => {
    const other = await createDatabase();
    onTestFinished(() => other.drop());
    const settings = { ...kafka(), KAFKA_TOPIC: `ways${Date.now()}`, DATABASE_URL: other.url };
    const dataDir = makeFolder('ways');
    const byKafka = { ...settings, CLICK_INGEST: 'consume', DATA_DIR: dataDir };
    const byJournals = { ...settings, DATA_DIR: dataDir };
    const change = (...args: string[]): ReturnType<typeof runTool> =>
      runTool(settings, 'database', 'ingest', ...args);
    const counts = async (code: string, clicks: number): Promise<void> => {
      await eventually(async () => (await counted(other)).get(code) === `${clicks}=${clicks}`, 60_000);
    };
    let one = untilEnd(await startServer(byKafka));
    const { short_code: code } = await createUrl(one);
    await click(one, code);
    expect(await change()).toMatchObject({ code: 0, output: 'ingest: consume\n' });
    expect(await change('server')).toMatchObject({
      code: 3,
      output: expect.stringContaining('stop them first'),
    });
    let consumer = untilEnd(TestConsumer.start(byKafka));
    await counts(code, 1);
    expect(await consumer.stop()).toBe(0);
    // Its journal stays behind, with the click that came in by Kafka.
    await one.kill();
    await eventually(async () => (await change('server')).code === 0, 60_000);

    one = untilEnd(await startServer(byJournals));
    await click(one, code);
    await counts(code, 2);
    await one.stop();
    expect((await counted(other)).get(code)).toBe('2=2');
    // A journal of a server that was elsewhere, of which Kafka has nothing.
    await other.query(
      `INSERT INTO journal_checkpoints (journal_id, segment, byte_offset, clicks) VALUES ($1, 1, 4096, 9)`,
      [ELSEWHERE],
    );
    expect(await change('consume')).toMatchObject({
      code: 3,
      output: expect.stringContaining('journal drain'),
    });
    expect(await change('consume', '--abandon')).toMatchObject({ code: 0, output: 'ingest: consume\n' });
    // If it comes back after all, it is not sent from its beginning.
    const positions = await openPositions(parseConfig(settings));
    expect(await positions.read(ELSEWHERE)).toEqual({ segment: 1, offset: 4096, clicks: 9 });
    positions.close();

    // Clicks of that time are in the topic too, and not to be counted again.
    one = untilEnd(await startServer(byKafka));
    consumer = untilEnd(TestConsumer.start(byKafka));
    await click(one, code);
    await counts(code, 3);
    // What Kafka has not passed on is given up, by whichever way it could come.
    expect(await consumer.stop()).toBe(0);
    await click(one, code);
    await one.stop();
    expect(await change('server')).toMatchObject({
      code: 3,
      output: expect.stringContaining('records of ways'),
    });
    expect(await change('server', '--abandon')).toMatchObject({ code: 0, output: 'ingest: server\n' });
    one = untilEnd(await startServer(byJournals));
    await click(one, code);
    await counts(code, 4);
    await one.stop();
    expect((await counted(other)).get(code)).toBe('4=4');
  });
});
