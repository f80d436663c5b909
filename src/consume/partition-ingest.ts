import { mkdirSync } from 'node:fs';
import type { CommittedRecord } from '../kafka/committed.js';
import { retryDecisionOf, sqlStateOf } from '../postgres/failures.js';
import { inTransaction } from '../postgres/pool.js';
import { Backoff } from '../runtime/backoff.js';
import { describeError } from '../runtime/describe-error.js';
import {
  beginConsume,
  movePosition,
  noteConsumed,
  ownersOf,
  type StreamIdentity,
} from '../store/click-ingest.js';
import { type CheckpointRow, type IngestResult, readCheckpoint } from '../store/clicks.js';
import type { IngestContext } from '../workers/ingest/ingest.js';
import { ingestPiece } from '../workers/ingest/ingest-piece.js';
import { keepRejected } from '../workers/ingest/rejected-clicks.js';
import { type SetAside, setAside } from '../workers/ingest/set-aside.js';
import type { IngestedClick } from '../workers/ingest/visit-details.js';
import { checkpointId } from './checkpoint-id.js';
import type { Fetched } from './fetcher.js';
import type { ConsumeFigures } from './figures.js';
import { readPiece, type StreamedLink, type StreamPiece, type UnreadableRecord } from './stream-clicks.js';

const BACKOFF = { firstMs: 50, maxMs: 5000 };
/** How often the database is asked for its offset while nothing comes: it may have fallen back in time. */
const ASK_MS = 2000;

export interface PartitionOptions {
  readonly context: IngestContext;
  readonly stream: StreamIdentity;
  readonly partition: number;
  /** The database that the process began with. */
  readonly databaseId: string;
  readonly figures: ConsumeFigures;
  /** For what can't be ingested. */
  readonly folder: string;
}

/**
 * One partition of the topic on its way into the database. Its offset is the position of a checkpoint, as a journal's
 * place in a file is: it moves in the transaction of the clicks, and only from where they begin. Two consumers that
 * both believe they have the partition can't count a click twice.
 */
export class PartitionIngest {
  readonly #options: PartitionOptions;
  readonly #id: string;
  readonly #backoff = new Backoff(BACKOFF);
  /** What the database has; `undefined` as long as it has to be asked. */
  #checkpoint: CheckpointRow | undefined;
  /** The largest offset that the database is known to have had. */
  #most = 0;
  #next = 0n;
  #waitUntilMs = 0;
  /** When the checkpoint last moved, by `performance.now`. */
  #movedMs = performance.now();
  /** When the database last said what the checkpoint is, by `performance.now`. */
  #askedMs = 0;
  #hasFailed = false;

  constructor(options: PartitionOptions) {
    this.#options = options;
    this.#id = checkpointId(options.stream, options.partition);
  }

  get partition(): number {
    return this.#options.partition;
  }

  /** Whether it may be fetched: no failure is a reason to wait. */
  get isReady(): boolean {
    return performance.now() >= this.#waitUntilMs;
  }

  /** How far the database has it; `undefined` while that is unknown. */
  get committed(): number | undefined {
    return this.#checkpoint?.offset;
  }

  /** Where the next fetch begins. @returns `undefined` if the database does not answer. */
  async offset(): Promise<bigint | undefined> {
    if (this.#checkpoint !== undefined && performance.now() - this.#askedMs < ASK_MS) return this.#next;
    return this.#guarded(async () => {
      const { pool, config } = this.#options.context;
      const read = await pool.runReadOnly(config.CALL_DEADLINE_MS, (connection) =>
        readCheckpoint(connection, this.#id),
      );
      const { offset, databaseId } = this.#checkpoint ?? {};
      if (read.offset === offset && read.databaseId === databaseId) this.#askedMs = performance.now();
      else this.#resume(read);
      return this.#next;
    });
  }

  /** @returns how many records were dealt with. */
  async take({ records, next, end }: Fetched): Promise<number> {
    const taken = await this.#guarded(() => this.#ingestAll(records, next));
    this.#options.figures.lag.set(this.partition, Number(end > this.#next ? end - this.#next : 0n));
    return taken ?? 0;
  }

  /** Goes on with another record: those between are gone, which the operator has accepted. */
  async skipTo(offset: bigint): Promise<void> {
    const { context, figures } = this.#options;
    const { pool, config, log } = context;
    await this.#guarded(async () => {
      const from = this.#checkpoint?.offset;
      if (from === undefined) return;
      await pool.run(config.CALL_DEADLINE_MS, (connection) =>
        inTransaction(connection, async () => {
          await beginConsume(connection);
          if (!(await movePosition(connection, this.#id, from, offset))) return;
          log.error(
            { partition: this.partition, from, to: String(offset) },
            `partition ${this.partition} goes on from offset ${offset}, not ${from}: the clicks between are lost`,
          );
          figures.skipped += Math.max(0, Number(offset) - from);
          this.#most = Number(offset);
        }),
      );
      this.#checkpoint = undefined;
    });
  }

  /** Notes in the database that only what is no click follows, where that is more than `forMs` old. */
  async settle(forMs: number): Promise<void> {
    const { offset } = this.#checkpoint ?? {};
    if (offset === undefined || BigInt(offset) === this.#next) return;
    if (performance.now() - this.#movedMs < forMs) return;
    const nothing = readPiece([], 0, this.#options.databaseId);
    await this.#guarded(() => this.#ingest(nothing, this.#next));
  }

  async #ingestAll(records: readonly CommittedRecord[], next: bigint): Promise<number> {
    const { context, databaseId } = this.#options;
    let left = records;
    while (left.length > 0) {
      const piece = readPiece(left, context.config.CLICK_INGEST_BATCH, databaseId);
      left = left.slice(piece.size);
      const isDone = await this.#ingest(piece, left[0]?.offset ?? next);
      // Somebody else got as far, or further; or the database has fallen back.
      if (!isDone) return records.length - left.length;
    }
    this.#next = next;
    return records.length;
  }

  async #ingest(piece: StreamPiece, next: bigint): Promise<boolean> {
    const { context, databaseId, figures } = this.#options;
    const before = this.#checkpoint as CheckpointRow;
    const from = { segment: 0, offset: before.offset };
    const startMs = performance.now();
    let unreadable: SetAside | undefined;
    const result: IngestResult<IngestedClick> = await ingestPiece(context, {
      journalId: this.#id,
      from,
      to: { segment: 0, offset: Number(next) },
      databaseId,
      clicks: piece.clicks,
      unreadable: piece.unreadable.length,
      begin: async (connection) => {
        await beginConsume(connection);
        const owners = await ownersOf(connection, [...new Set(piece.links.map(({ urlId }) => urlId))]);
        for (const link of piece.links) giveOwner(link, owners);
        unreadable = this.#keepUnreadable(piece.unreadable);
      },
      end: (connection) => noteConsumed(connection, this.partition, piece.journals),
      keepRejected: (rejected) => {
        if (rejected.length > 0) mkdirSync(this.#options.folder, { recursive: true });
        return keepRejected(this.#options.folder, this.#id, from, rejected);
      },
    });
    if (!result.done) {
      this.#resume(result.checkpoint);
      return false;
    }
    unreadable?.commit(context.log);
    this.#sayForeign(piece.foreign);
    figures.unreadable += piece.unreadable.length;
    this.#count(before, result.totals, startMs, piece.clicks.length);
    this.#checkpoint = { ...before, ...from, offset: Number(next), totals: result.totals };
    this.#most = Number(next);
    this.#next = next;
    this.#movedMs = performance.now();
    this.#askedMs = this.#movedMs;
    return true;
  }

  #count(
    { totals: before }: CheckpointRow,
    after: CheckpointRow['totals'],
    startMs: number,
    clicks: number,
  ): void {
    const { counters, log } = this.#options.context;
    const dropped = after.dropped - before.dropped;
    counters.add('ingestedClicks', after.clicks - before.clicks);
    counters.add('ingestDropped', dropped);
    counters.add('ingestRejected', after.rejected - before.rejected);
    counters.add('ingestBatches', clicks === 0 ? 0 : 1);
    counters.add('ingestSeconds', (performance.now() - startMs) / 1000);
    if (dropped > 0)
      log.info(
        { clicks: dropped },
        `${dropped} clicks were dropped: their links were deleted, or their ids are other links' now`,
      );
  }

  /** Continues where the database is, which may be before or after. */
  #resume(checkpoint: CheckpointRow): void {
    const { databaseId, figures, context } = this.#options;
    if (checkpoint.databaseId !== databaseId)
      throw new Error(
        `the address leads to another database (${checkpoint.databaseId}): the clicks wait for ${databaseId}`,
      );
    if (checkpoint.offset < this.#most) {
      figures.rewinds += 1;
      context.log.error(
        { partition: this.partition, from: this.#most, to: checkpoint.offset },
        `the database has fallen back in time: partition ${this.partition} is ingested again from offset ${checkpoint.offset}, not ${this.#most}`,
      );
    }
    this.#most = checkpoint.offset;
    this.#askedMs = performance.now();
    this.#checkpoint = checkpoint;
    this.#next = BigInt(checkpoint.offset);
  }

  /** Runs work on the database. A failure makes the partition wait, and is logged once. */
  async #guarded<T>(work: () => Promise<T>): Promise<T | undefined> {
    const { context, figures } = this.#options;
    try {
      const result = await work();
      if (this.#hasFailed) context.log.info({ partition: this.partition }, 'click ingest resumed');
      this.#hasFailed = false;
      this.#backoff.reset();
      figures.stopped.delete(this.partition);
      return result;
    } catch (error) {
      // Whether a commit without an answer took place is what the checkpoint says.
      this.#checkpoint = undefined;
      this.#waitUntilMs = performance.now() + this.#backoff.next();
      this.#fail(error);
      return undefined;
    } finally {
      context.counters.set('ingestStopped', figures.stopped.size);
    }
  }

  #fail(error: unknown): void {
    const { context, figures } = this.#options;
    context.counters.add('ingestFailures');
    const decision = retryDecisionOf(error);
    const message = describeError(error);
    const isStopped = !['again', 'reconnect', 'unavailable', 'incomplete'].includes(decision);
    if (isStopped && !figures.stopped.has(this.partition)) {
      const fields = { partition: this.partition, sqlstate: sqlStateOf(error) };
      context.log.error(
        fields,
        `click ingest stopped: ${message}; clicks stay in Kafka until the database takes them`,
      );
    } else if (!this.#hasFailed)
      context.log.warn({ error }, `click ingest is waiting, clicks stay in Kafka: ${message}`);
    this.#hasFailed = true;
    if (isStopped) figures.stopped.add(this.partition);
    else figures.stopped.delete(this.partition);
  }

  #keepUnreadable(unreadable: readonly UnreadableRecord[]): SetAside | undefined {
    const { folder, stream } = this.#options;
    const [first] = unreadable;
    if (first === undefined) return undefined;
    mkdirSync(folder, { recursive: true });
    const name = `${stream.topic}.${this.partition}.${first.record.offset}.unreadable.ndjson`;
    const lines = unreadable.map(({ record: { offset, key, value }, reason }) =>
      JSON.stringify({
        reason,
        offset: String(offset),
        key: base64(key),
        value: base64(value),
      }),
    );
    return setAside(folder, name, lines, `${unreadable.length} records could not be read`);
  }

  #sayForeign(foreign: StreamPiece['foreign']): void {
    const { figures, context } = this.#options;
    for (const [database, clicks] of foreign) {
      figures.foreign += clicks;
      if (figures.foreignDatabases.has(database)) continue;
      figures.foreignDatabases.add(database);
      context.log.warn(
        { database },
        `the topic has clicks of another database (${database}): they are left out`,
      );
    }
  }
}

function giveOwner(link: StreamedLink, owners: ReadonlyMap<string, string>): void {
  link.userId = owners.get(link.urlId) ?? null;
}

function base64(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString('base64');
}
