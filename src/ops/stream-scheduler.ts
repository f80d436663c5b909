import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.js';
import { comparePositions } from '../journal/position.js';
import type { StreamJob, StreamOutcome } from '../messages/stream.js';
import { Backoff } from '../runtime/backoff.js';
import { describeError } from '../runtime/describe-error.js';
import type { Logger } from '../runtime/logger.js';
import type { JournalProgress } from '../stream/journal-progress.js';
import { type IngestTiming, JournalTurn } from './ingest-policy.js';
import type { TrackedJournal } from './tracked-journal.js';

export interface StreamSchedulerOptions {
  readonly config: Config;
  readonly log: Logger;
  /** All journals that there are, by id. */
  readonly journals: ReadonlyMap<string, TrackedJournal>;
  readonly step: (job: StreamJob) => Promise<StreamOutcome>;
  /** @returns why Kafka can't be used; `undefined` if it can. */
  readonly check: () => Promise<string | undefined>;
  readonly forget: (journalId: string) => void;
  /** Segments before this position are no longer needed. */
  readonly onPassed: (journal: TrackedJournal, position: JournalProgress) => void;
}

/** Journals that are streamed at the same time. */
const PARALLEL = 4;
const TICK_MS = 100;
/** How often Kafka is asked for while nothing is sent. */
const CHECK_MS = 10_000;
const SETTLE_MS = 5;
const BACKOFF = { firstMs: 100, maxMs: 5000 };

interface Streamed {
  readonly turn: JournalTurn;
  progress: JournalProgress | undefined;
  pendingBytes: number;
  /** Bytes that its writer had written by the last look. */
  writtenBytesThen: number;
  /** Whether everything of a journal whose writer is gone is in Kafka. */
  isDone: boolean;
}

/**
 * Decides which journal is streamed when, beside the ingest and from positions of its own; the work is the stream's
 * thread's. That a click becomes one record depends on Kafka's transactions alone: src/workers/stream/stream.ts.
 */
export class StreamScheduler {
  readonly #options: StreamSchedulerOptions;
  readonly #timing: IngestTiming;
  readonly #streamed = new Map<string, Streamed>();
  readonly #checkBackoff = new Backoff(BACKOFF);
  #timer: NodeJS.Timeout | undefined;
  #running = 0;
  #isChecking = false;
  #checkAtMs = 0;
  #isUp = false;
  #hasFailed = false;
  #isDraining = false;
  #isClosing = false;

  constructor(options: StreamSchedulerOptions) {
    this.#options = options;
    const lingerMs = options.config.CLICK_INGEST_LINGER_MS;
    this.#timing = { lingerMs, settleMs: SETTLE_MS, backoff: BACKOFF };
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
  }

  /** Whether Kafka answered last. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Known bytes of journal that are not in Kafka. */
  get pendingBytes(): number {
    let sum = 0;
    for (const [journalId, { slot }] of this.#options.journals) {
      const streamed = this.#streamed.get(journalId);
      const written = slot?.get('writtenBytes') ?? 0;
      sum += (streamed?.pendingBytes ?? 0) + Math.max(0, written - (streamed?.writtenBytesThen ?? 0));
    }
    return sum;
  }

  /** Clicks of this server's gateways that are journalled and not in Kafka. */
  get pendingClicks(): number {
    let sum = 0;
    for (const [journalId, { slot }] of this.#options.journals) {
      const clicks = this.#streamed.get(journalId)?.progress?.clicks ?? 0;
      sum += Math.max(0, (slot?.get('framed') ?? 0) - clicks);
    }
    return sum;
  }

  /** Sends what it can before the deadline; all gateways have ended their journals. */
  async close(deadlineMs: number): Promise<void> {
    // What Kafka does not answer now stays in the journal.
    this.#isDraining = true;
    const isDone = (): boolean => this.#running === 0 && [...this.#waiting()].length === 0;
    while (Date.now() < deadlineMs && !this.#hasFailed && !isDone()) {
      this.#tick();
      await sleep(10);
    }
    this.#isClosing = true;
    clearInterval(this.#timer);
    while (this.#running > 0 && Date.now() < deadlineMs) await sleep(10);
    const { pendingBytes } = this;
    if (pendingBytes > 0)
      this.#options.log.warn(
        { bytes: pendingBytes },
        `${pendingBytes} bytes of journal are not in Kafka yet: they stay until a server with CLICK_STREAM=kafka adopts them`,
      );
  }

  #tick(): void {
    if (this.#isClosing) return;
    const now = performance.now();
    this.#forgetGone();
    if (now >= this.#checkAtMs && !this.#isChecking) void this.#check();
    for (const [journal, streamed] of this.#waiting()) {
      if (this.#running >= PARALLEL) return;
      if (streamed.turn.earliestMs(this.#isDraining) <= now) void this.#run(journal, streamed);
    }
  }

  /** Journals with something to send. */
  *#waiting(): Generator<[TrackedJournal, Streamed]> {
    for (const journal of this.#options.journals.values()) {
      let streamed = this.#streamed.get(journal.journalId);
      if (streamed === undefined) {
        const turn = new JournalTurn(this.#timing);
        streamed = { turn, progress: undefined, pendingBytes: 0, writtenBytesThen: 0, isDone: false };
        this.#streamed.set(journal.journalId, streamed);
      }
      if (hasMore(journal, streamed)) yield [journal, streamed];
    }
  }

  #forgetGone(): void {
    for (const [journalId, { turn }] of this.#streamed) {
      if (this.#options.journals.has(journalId) || turn.phase === 'running') continue;
      this.#streamed.delete(journalId);
      this.#options.forget(journalId);
    }
  }

  async #run(journal: TrackedJournal, streamed: Streamed): Promise<void> {
    streamed.turn.on('start', performance.now());
    this.#running += 1;
    const { journalId, folder, slot, isLive, isOwn } = journal;
    const writtenBytes = slot?.get('writtenBytes') ?? 0;
    const written = isLive ? slot?.written : undefined;
    const outcome = await this.#options.step({ journalId, folder, written, isOwn }).catch(failedOutcome);
    this.#running -= 1;
    this.#said(outcome.failure);
    if (outcome.pendingBytes !== undefined) {
      streamed.pendingBytes = outcome.pendingBytes;
      streamed.writtenBytesThen = writtenBytes;
    }
    const { progress } = outcome;
    if (progress !== undefined) {
      streamed.progress = progress;
      this.#options.onPassed(journal, progress);
    }
    if (outcome.failure === undefined) {
      streamed.isDone = outcome.isAtEnd && !isLive;
      streamed.turn.on(outcome.isAtEnd ? 'at-end' : outcome.hasMore ? 'more' : 'done', performance.now());
    } else streamed.turn.on('failed', performance.now());
    this.#tick();
  }

  async #check(): Promise<void> {
    this.#isChecking = true;
    const failure = await this.#options.check().catch(describeError);
    this.#isChecking = false;
    this.#said(failure);
    if (failure !== undefined) this.#checkAtMs = performance.now() + this.#checkBackoff.next();
  }

  #said(failure: string | undefined): void {
    this.#isUp = failure === undefined;
    if (failure === undefined) {
      this.#checkBackoff.reset();
      this.#checkAtMs = performance.now() + CHECK_MS;
      if (this.#hasFailed) this.#options.log.info('clicks are sent to Kafka again');
      this.#hasFailed = false;
      return;
    }
    if (this.#hasFailed || this.#isClosing) return;
    this.#hasFailed = true;
    this.#options.log.warn({ failure }, `Kafka can’t be used, clicks for it stay in the journal: ${failure}`);
  }
}

function hasMore({ isLive, isOwn, slot }: TrackedJournal, { progress, turn, isDone }: Streamed): boolean {
  if (turn.phase === 'running' || isDone) return false;
  // A journal that nothing was written to has nothing to be asked for.
  if (isOwn && progress === undefined && slot?.get('framed') === 0) return false;
  return (
    !isLive || slot === undefined || progress === undefined || comparePositions(slot.written, progress) > 0
  );
}

function failedOutcome(error: unknown): StreamOutcome {
  const failure = describeError(error);
  return { progress: undefined, pendingBytes: undefined, hasMore: true, isAtEnd: false, failure };
}
