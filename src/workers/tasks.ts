import { isMainThread, type MessagePort, workerData } from 'node:worker_threads';
import type { BodyCheck } from '../messages/body-checks.js';
import type { IngestJob, IngestOutcome } from '../messages/ingest.js';
import type { StatisticsOutcome } from '../messages/statistics.js';
import type { ImportRequest, ListRequest, TransferJob } from '../messages/transfers.js';
import type { Connection } from '../postgres/pool.js';
import { buildMissingIndexes, missingIndexes } from '../store/background-indexes.js';
import type { ClickChunksStep } from '../store/click-chunks.js';
import { readConsumed } from '../store/click-ingest.js';
import { keepClickOrder } from '../store/click-order.js';
import { isInChunks, keepEventChunks } from '../store/event-chunks.js';
import { maintainDatabase } from '../store/migrate.js';
import { chunkOldEvents, dropTightConstraint } from '../store/old-events.js';
import { type RemovalStep, removeDeleted } from '../store/removal.js';
import type { RetentionCursor, RetentionStep } from '../store/retention.js';
import { dropRetiredIndexes } from '../store/retired-indexes.js';
import { buildSums } from '../store/stats-build.js';
import { CallServer } from './calls/server.js';
import { checkBodyOf } from './check-body.js';
import { stepClickEvents, warnOfRemoval } from './click-events.js';
import { takeInJournal } from './ingest/ingest.js';
import { passJournal } from './ingest/pass-journal.js';
import { stepRetention } from './retention.js';
import { stepStatistics } from './statistics.js';
import { startWorkerThread, type WorkerData, type WorkerThread } from './thread.js';
import { importFromPort as importUsersFromPort } from './transfers/import.js';
import { listToPort as streamListToPort } from './transfers/list.js';

/**
 * The entry of every worker thread: each export is a task that Piscina runs by its name. The thread's context
 * is made for its first task, and passed to all of them.
 */
let thread: WorkerThread | undefined;
let calls: CallServer | undefined;

function own(): WorkerThread {
  if (isMainThread) throw new Error('worker tasks run in worker threads');
  thread ??= startWorkerThread(workerData as WorkerData);
  return thread;
}

/** A turn comes when the earlier transfers are over, which have their own deadlines. */
const TURN_DEADLINE_MS = 86_400_000;

export async function ingestJournal(job: IngestJob): Promise<IngestOutcome> {
  if (own().config.CLICK_INGEST === 'consume') return passJournal(own(), job);
  return inTurn(() => takeInJournal(own(), job));
}

/** With few connections, the ingest and upkeep take turns with transfers. */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const { role, admission } = own();
  return role === 'transfer' ? admission.withConnection(TURN_DEADLINE_MS, work) : work();
}

export function importFromPort(job: TransferJob<ImportRequest>): Promise<void> {
  return importUsersFromPort(own(), job);
}

export function listToPort(job: TransferJob<ListRequest>): Promise<void> {
  return streamListToPort(own(), job);
}

export function checkBody(job: BodyCheck): Promise<void> {
  return checkBodyOf(own(), job);
}

/** Serves one gateway's calls until it closes the port. */
export async function serveCalls({ port }: { port: MessagePort }): Promise<void> {
  calls ??= new CallServer(own());
  await calls.serve(port);
}

/** How many clicks of these journals have come from Kafka. */
export function readConsumedClicks(journalIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const { pool, config } = own();
  return inTurn(() =>
    pool.runReadOnly(config.CALL_DEADLINE_MS, (connection) => readConsumed(connection, journalIds)),
  );
}

/** The database's upkeep, now and then. */
export async function maintain(): Promise<void> {
  const { pool, config } = own();
  await inTurn(() => pool.run(config.DELETE_DEADLINE_MS, maintainDatabase));
}

/** An index of a table with a hundred million rows takes less, and so do the sums of them. */
const BUILD_DEADLINE_MS = 86_400_000;

/** Builds the indexes that an upgrade leaves for the running server. */
export function buildIndexes(): Promise<void> {
  return inTurn(build);
}

async function build(): Promise<void> {
  const { pool, counters, log } = own();
  await pool.runOnce(BUILD_DEADLINE_MS, async (connection) => {
    await connection.query('SET statement_timeout = 0');
    try {
      const isComplete = await buildMissingIndexes(connection, ({ name, missing }) => {
        counters.set('indexesMissing', missing);
        log.info(
          { index: name, missing },
          `building the index ${name}, ${missing} to go; links are served meanwhile`,
        );
      });
      counters.set('indexesMissing', (await missingIndexes(connection)).length);
      if (!isComplete) log.info('another server builds the missing indexes');
      else if (!(await dropRetiredIndexes(connection)))
        log.info('indexes that are no longer needed will be dropped later: their table was never free');
      if (isComplete) await chunkOld(connection);
    } finally {
      await connection.query('RESET statement_timeout');
    }
  });
}

/** Brings events of an earlier release into chunks. */
async function chunkOld(connection: Connection): Promise<void> {
  const { log } = own();
  const wasInChunks = await isInChunks(connection);
  const outcome = await chunkOldEvents(connection);
  if (outcome.state === 'chunked' && !wasInChunks) log.info('events are in chunks by id from now on');
  if (outcome.state === 'later')
    log.info('events will be put into chunks by id later: their table was never free');
  if (outcome.state === 'kept')
    log.warn(
      { obstacles: outcome.obstacles },
      `events stay in months, which costs more a click: ${outcome.obstacles.join(', ')} would be left behind`,
    );
}

/** Longer than the indexes of a full chunk take. */
const CHUNK_DEADLINE_MS = 120_000;

/** Makes chunks of events ahead, and seals a full one. @returns whether another may be full. */
export async function keepChunks(): Promise<boolean> {
  const { pool, config, log } = own();
  const sealed = await inTurn(() =>
    pool.runOnce(CHUNK_DEADLINE_MS, async (connection) => {
      await warnOfRemoval(own(), connection);
      if (await isInChunks(connection)) return keepEventChunks(connection, config.CLICK_EVENTS === 'on');
      await dropTightConstraint(connection);
      return undefined;
    }),
  );
  if (sealed !== undefined) log.debug({ chunk: sealed }, `the chunk ${sealed} of events is sealed`);
  return sealed !== undefined;
}

/** Longer than a copy of a hundred million counters takes. */
const ORDER_DEADLINE_MS = 3_600_000;

/** Brings the order of links by clicks up to date even if no list asks for it. */
export async function keepOrder(): Promise<void> {
  const { pool } = own();
  await inTurn(() => pool.runOnce(ORDER_DEADLINE_MS, keepClickOrder));
}

/** Adds to the statistics' sums what the queue holds. */
export function addStatistics(): Promise<StatisticsOutcome> {
  return inTurn(() => stepStatistics(own()));
}

/** Makes the statistics' sums of events from before there were any. */
export async function buildStatistics(): Promise<void> {
  const { pool, log } = own();
  log.info('the statistics are being built; links are served meanwhile');
  const isBuilt = await inTurn(() => pool.runOnce(BUILD_DEADLINE_MS, (connection) => buildSums(connection)));
  log.info(isBuilt ? 'the statistics are built' : 'another server builds the statistics');
}

/** Removes a piece of what is older than `EVENTS_RETENTION_DAYS`. */
export function removeOldEvents({
  cursor,
}: {
  readonly cursor: RetentionCursor | undefined;
}): Promise<RetentionStep> {
  return inTurn(() => stepRetention(own(), cursor));
}

/** Takes clicks out of the events where none are kept. */
export function removeClickEvents({ stayMs }: { readonly stayMs: number }): Promise<ClickChunksStep> {
  return inTurn(() => stepClickEvents(own(), stayMs));
}

/** Many times what a piece takes. */
const REMOVAL_DEADLINE_MS = 30_000;

/** Removes a piece of the events of deleted links. */
export function removeDeletedEvents(): Promise<RemovalStep> {
  return inTurn(() => own().pool.runOnce(REMOVAL_DEADLINE_MS, removeDeleted));
}

/** Reports that the thread is ready. */
export function ready(): void {
  own();
}
