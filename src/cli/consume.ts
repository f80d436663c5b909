import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Config, ConfigError } from '../config.js';
import type { ClickConsumer as Consumer } from '../consume/click-consumer.js';
import { ConsumeFigures } from '../consume/figures.js';
import { retryDecisionOf, UnusableDatabaseError } from '../postgres/failures.js';
import { inTransaction } from '../postgres/pool.js';
import { Backoff } from '../runtime/backoff.js';
import { describeError } from '../runtime/describe-error.js';
import { createLogger, type Logger } from '../runtime/logger.js';
import { forgetConsumed, settleIngestWay, wrongWay } from '../store/click-ingest.js';
import { databaseId, prepareDatabase } from '../store/migrate.js';
import type { IngestContext } from '../workers/ingest/ingest.js';
import { openDatabase, type ToolDatabase } from './database.js';

const PREPARE_MS = 600_000;
const BACKOFF = { firstMs: 200, maxMs: 5000 };
/** Partitions that are ingested at the same time. */
const CONNECTIONS = 4;
/** What can't be ingested is kept in this folder of DATA_DIR. */
const FOLDER = 'consume';

export interface ConsumeFlags {
  readonly acceptTopic: boolean;
}

/** Takes clicks from Kafka into PostgreSQL, until a signal ends it. @returns whether it ended in time. */
export async function consume(config: Config, { acceptTopic }: ConsumeFlags): Promise<boolean> {
  if (config.CLICK_STREAM !== 'kafka')
    throw new ConfigError(
      'switchyard consume needs CLICK_STREAM=kafka, with the KAFKA_ settings of the servers',
    );
  const log = createLogger('consume', config.LOG_LEVEL, (line) => process.stdout.write(line));
  const stopping = new AbortController();
  let consumer: Consumer | undefined;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping.signal.aborted) {
      log.warn(`${signal} again: the consumer ends at once`);
      process.kill(process.pid, 'SIGKILL');
    }
    log.info(`${signal}: the consumer drains`);
    stopping.abort();
    consumer?.stop();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stop);
  const database = await openWhenUp(config, log, stopping.signal);
  if (database === undefined) return true;
  // Loaded only now: no other command needs the library.
  const { ClickConsumer } = await import('../consume/click-consumer.js');
  const { kafkaOptions } = await import('../kafka/options.js');
  const figures = new ConsumeFigures();
  const { serveMetrics } = await import('../consume/consume-metrics.js');
  const server =
    config.CONSUME_PORT === 0
      ? undefined
      : await serveMetrics(config.HOST, config.CONSUME_PORT, database.counters, figures);
  try {
    consumer = new ClickConsumer({
      context: database,
      kafka: kafkaOptions(config),
      topic: config.KAFKA_TOPIC,
      databaseId: database.id,
      figures,
      folder: path.resolve(config.DATA_DIR, FOLDER),
      acceptsTopic: acceptTopic,
    });
    if (stopping.signal.aborted) consumer.stop();
    log.info({ topic: config.KAFKA_TOPIC, database: database.id }, `consuming ${config.KAFKA_TOPIC}`);
    const isInTime = await within(config.DRAIN_DEADLINE_MS, consumer.run(), stopping.signal);
    log.info('the consumer has ended');
    return isInTime;
  } finally {
    server?.closeAllConnections();
    server?.close();
    await within(config.DRAIN_DEADLINE_MS, database.close(), AbortSignal.abort());
  }
}

interface ConsumeDatabase extends ToolDatabase {
  readonly id: string;
}

/** Waits for PostgreSQL. @returns `undefined` if a signal came first. */
async function openWhenUp(
  config: Config,
  log: Logger,
  signal: AbortSignal,
): Promise<ConsumeDatabase | undefined> {
  const backoff = new Backoff(BACKOFF);
  let hasFailed = false;
  while (!signal.aborted) {
    let database: ToolDatabase | undefined;
    try {
      database = await openDatabase(config, {
        name: 'switchyard consume',
        connections: CONNECTIONS,
        log,
        isLong: true,
      });
      return { ...database, id: await prepare(database) };
    } catch (error) {
      await database?.close();
      const isFinal = error instanceof ConfigError || error instanceof UnusableDatabaseError;
      if (isFinal || retryDecisionOf(error) !== 'unavailable') throw error;
      if (!hasFailed) log.warn({ error }, `waiting for PostgreSQL: ${describeError(error)}`);
      hasFailed = true;
      await sleep(backoff.next(), undefined, { signal }).catch(() => undefined);
    }
  }
  return undefined;
}

/** Brings the schema up to date, and makes sure that the database gets its clicks from Kafka. @returns its id. */
async function prepare({ pool }: IngestContext): Promise<string> {
  return pool.runOnce(PREPARE_MS, async (connection) => {
    await prepareDatabase(connection);
    const way = await inTransaction(connection, () => settleIngestWay(connection, 'consume'));
    if (way !== 'consume') throw new ConfigError(wrongWay(way, 'consume'));
    await forgetConsumed(connection);
    return (await databaseId(connection)) as string;
  });
}

/** Waits for work that a signal ends; from then on only for a time. @returns whether it ended. */
async function within(ms: number, work: Promise<void>, signal: AbortSignal): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    const begin = (): void => {
      timer = setTimeout(resolve, ms, false);
    };
    if (signal.aborted) begin();
    else signal.addEventListener('abort', begin, { once: true });
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
