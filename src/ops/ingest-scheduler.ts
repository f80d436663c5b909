import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.js';
import type { ThreadCounters } from '../memory/counters.js';
import { type JournalSlot, JournalSlots } from '../memory/journal-slots.js';
import { Database, type ServerState } from '../memory/server-state.js';
import { type IngestJob, type IngestOutcome, nothingIngested } from '../messages/ingest.js';
import type { BarrierTarget } from '../messages/supervisor.js';
import { describeError } from '../runtime/describe-error.js';
import type { Logger } from '../runtime/logger.js';
import { IngestAccount } from './ingest-account.js';
import { IngestPolicy, type IngestTiming, JournalTurn, keepOf, occasionOf } from './ingest-policy.js';
import { JournalFolders } from './journal-folders.js';
import { hasWork, type TrackedJournal, trackJournal } from './tracked-journal.js';

export interface IngestSchedulerOptions {
  readonly config: Config;
  readonly state: Pick<ServerState, 'database' | 'clicksInStream'>;
  readonly slots: JournalSlots;
  readonly counters: ThreadCounters;
  readonly log: Logger;
  /** Journals that may be ingested at the same time. */
  readonly parallel: number;
  readonly ingest: (job: IngestJob) => Promise<IngestOutcome>;
  /** Whether a gateway holds clicks in memory because the disk refuses them. */
  readonly isDiskRefusing: () => boolean;
  /** The database has less of a journal than it had. */
  readonly onFallBack: () => void;
}

interface Waiter {
  readonly targets: readonly BarrierTarget[];
  readonly resolve: () => void;
}

const FOLDER = 'journal';
/** How often folders of servers that are no more are looked for, and journals that nobody announced. */
const SCAN_MS = 1000;
/** After a look that found nothing, however urgent: what a reader waits for may be held up by the disk. */
const IDLE_MS = 5;
/** After a look that found only what is for another database, or a newer server. */
const OTHERS_MS = 5000;
const BACKOFF = { firstMs: 50, maxMs: 5000 };

/**
 * Decides which journal is ingested when, in the supervisor; the work itself is a worker's. Whose journals are
 * whose is the folders' matter (journal-folders.ts). That a click counts once depends on neither: src/store/clicks.ts.
 */
export class IngestScheduler {
  readonly #options: IngestSchedulerOptions;
  readonly #folders: JournalFolders;
  readonly #account: IngestAccount;
  readonly #policy = new IngestPolicy();
  readonly #timing: IngestTiming;
  /** All journals, those of servers that are gone among them; to others only to be read. */
  readonly journals = new Map<string, TrackedJournal>();
  #waiters: Waiter[] = [];
  #running = 0;
  #isDraining = false;
  #isClosing = false;
  #hasFailed = false;
  #scanTimer: NodeJS.Timeout | undefined;
  #pumpTimer: NodeJS.Timeout | undefined;

  private constructor(options: IngestSchedulerOptions, folders: JournalFolders) {
    this.#options = options;
    this.#folders = folders;
    this.#account = new IngestAccount(options.counters, options.log, options.state);
    const lingerMs = options.config.CLICK_INGEST_LINGER_MS;
    this.#timing = { lingerMs, settleMs: IDLE_MS, backoff: BACKOFF };
  }

  /** Makes this server's journal folder. @throws when the data folder can't be written. */
  static async open(options: IngestSchedulerOptions): Promise<IngestScheduler> {
    const folders = await JournalFolders.open({
      root: path.resolve(options.config.DATA_DIR, FOLDER),
      counters: options.counters,
      log: options.log,
      hasJournals: (folder) => scheduler.#hasJournals(folder),
      onAdopted: (folder, journalIds) => scheduler.#adopted(folder, journalIds),
    });
    const scheduler = new IngestScheduler(options, folders);
    return scheduler;
  }

  /** This server's own folder. */
  get folder(): string {
    return this.#folders.own;
  }

  start(): void {
    this.#scan();
    this.#scanTimer = setInterval(() => this.#scan(), SCAN_MS);
  }

  /** A journal for a gateway that is about to start. */
  register(): { journalId: string; slot: number } {
    const { slots } = this.#options;
    const claimed = slots.claim() ?? this.#freeSlot();
    const journal = this.#add(randomUUID(), this.folder, claimed.slot);
    journal.isLive = true;
    journal.slotIndex = claimed.index;
    return { journalId: journal.journalId, slot: claimed.index };
  }

  /**
   * Gateways that start again and again while PostgreSQL is away leave a journal each. The longest ended
   * of them gives up its slot: its clicks are counted as before, but no read of events waits for them.
   */
  #freeSlot(): { readonly index: number; readonly slot: JournalSlot } {
    const { slots } = this.#options;
    for (const journal of this.journals.values()) {
      const { slotIndex, slot } = journal;
      if (journal.isLive || slotIndex === undefined || slot === undefined) continue;
      this.#detach(journal, slot, slotIndex);
      const claimed = slots.claim();
      if (claimed !== undefined) return claimed;
    }
    throw new Error(`more than ${JournalSlots.count} gateways are alive`);
  }

  /** The gateway of this journal has closed it, or is gone. */
  ended(journalId: string): void {
    const journal = this.journals.get(journalId);
    if (journal === undefined) return;
    journal.isLive = false;
    this.#pump();
  }

  /** A gateway has written while the ingest slept. */
  wake(): void {
    const now = Date.now();
    for (const journal of this.journals.values()) {
      if ((journal.slot?.pending ?? 0) > 0) journal.behindSinceMs ??= now;
    }
    this.#pump();
  }

  /** PostgreSQL is back: earlier failures are no longer a reason to wait. */
  retryNow(): void {
    for (const { turn } of this.journals.values()) turn.on('database-back', performance.now());
    this.wake();
  }

  /** The database may have fallen back: asks it how far it has each journal. */
  askAgain(): void {
    for (const journal of this.journals.values()) journal.mustAsk = true;
    this.#pump();
  }

  /** Settles when this many clicks of each journal are in the database, or given up. */
  reached(targets: readonly BarrierTarget[]): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push({ targets, resolve });
      this.#settleWaiters();
      if (this.#waiters.length > 0) this.#pump();
    });
  }

  /** Known bytes of journal that are not in the database. */
  get pendingBytes(): number {
    return [...this.journals.values()].reduce((sum, { pendingBytes, slot, writtenBytesThen }) => {
      const since = slot === undefined ? 0 : slot.get('writtenBytes') - writtenBytesThen;
      return sum + pendingBytes + since;
    }, 0);
  }

  /** Clicks of this server's gateways that are not in the database. */
  get pendingClicks(): number {
    return [...this.journals.values()].reduce((sum, journal) => sum + (journal.slot?.pending ?? 0), 0);
  }

  /** Clicks in the journals that are on links of another database. */
  get clicksElsewhere(): number {
    return [...this.journals.values()].reduce((sum, { elsewhere }) => sum + elsewhere, 0);
  }

  /** Bytes of ingested segments that are kept in case the database falls back. */
  get keptBytes(): number {
    return [...this.journals.values()].reduce((sum, { keptBytes }) => sum + keptBytes, 0);
  }

  /** Age of the oldest click that is not in the database, in seconds. */
  get secondsBehind(): number {
    const since = [...this.journals.values()].map(
      (journal) => journal.behindSinceMs ?? Number.POSITIVE_INFINITY,
    );
    const oldest = Math.min(...since);
    return Number.isFinite(oldest) ? Math.max(0, (Date.now() - oldest) / 1000) : 0;
  }

  /** Ingests what it can before the deadline; all gateways have ended their journals. */
  async close(deadlineMs: number): Promise<void> {
    clearInterval(this.#scanTimer);
    this.#isDraining = true;
    const isDone = (): boolean =>
      ![...this.journals.values()].some(
        ({ folder, othersUntilMs, isKept }) => folder === this.folder && othersUntilMs === 0 && !isKept,
      );
    while (!isDone() && Date.now() < deadlineMs && this.#options.state.database === Database.UP) {
      this.#pump();
      await sleep(10);
    }
    this.#isClosing = true;
    clearTimeout(this.#pumpTimer);
    while (this.#running > 0 && Date.now() < deadlineMs) await sleep(10);
    await this.#folders.close();
  }

  #add(journalId: string, folder: string, slot?: JournalSlot): TrackedJournal {
    const journal = trackJournal(journalId, folder, new JournalTurn(this.#timing), slot);
    this.journals.set(journalId, journal);
    return journal;
  }

  #scan(): void {
    void this.#folders.scan();
    // Kept segments make room for new clicks.
    if (this.#options.isDiskRefusing()) {
      for (const journal of this.journals.values()) if (journal.keptBytes > 0) journal.keptUntilMs = 0;
    }
    this.wake();
  }

  #adopted(folder: string, journalIds: readonly string[]): void {
    for (const journalId of journalIds) {
      if (!this.journals.has(journalId)) this.#add(journalId, folder);
    }
    this.#pump();
  }

  #hasJournals(folder: string): boolean {
    return [...this.journals.values()].some((journal) => journal.folder === folder);
  }

  /** Starts the journals that may run, the longest behind first, and returns later for those that must wait. */
  #pump(): void {
    if (this.#isClosing || this.#options.state.database !== Database.UP) return;
    const now = performance.now();
    const waiting = [...this.journals.values()].filter(hasWork);
    const isUrgent = this.#waiters.length > 0 || this.#isDraining;
    const places = this.#options.parallel - this.#running;
    const { start, againMs } = this.#policy.choose(waiting, places, now, isUrgent);
    for (const journal of start) void this.#run(journal);
    if (againMs === undefined) return;
    clearTimeout(this.#pumpTimer);
    this.#pumpTimer = setTimeout(() => this.#pump(), Math.max(1, againMs - now));
  }

  async #run(journal: TrackedJournal): Promise<void> {
    journal.turn.on('start', performance.now());
    this.#running += 1;
    const { journalId, folder, slot, isLive } = journal;
    // Before the look at its progress: clicks written after the look wake us.
    slot?.armWake();
    const writtenBytes = slot?.get('writtenBytes') ?? 0;
    const framed = slot?.get('framed') ?? 0;
    const written = isLive ? slot?.written : undefined;
    const { mustAsk } = journal;
    journal.mustAsk = false;
    const job = {
      journalId,
      folder,
      written,
      keep: keepOf(this.#options.config, this.#options.isDiskRefusing(), journal.streamed),
      streamed: journal.streamed,
      mustAsk,
    };
    const outcome = await this.#options.ingest(job).catch(failedOutcome);
    this.#running -= 1;
    if (outcome.pendingBytes !== undefined) {
      journal.pendingBytes = outcome.pendingBytes;
      journal.writtenBytesThen = writtenBytes;
    }
    if (this.#account.settle(journal, outcome)) this.#options.onFallBack();
    if (outcome.elsewhere !== undefined) {
      journal.elsewhere = outcome.elsewhere;
      slot?.set('elsewhere', outcome.elsewhere);
    }
    if (outcome.isAtEnd) {
      this.#account.settleMissing(journal, framed);
      journal.clearedTo = Math.max(journal.clearedTo, written?.segment ?? 0);
    }
    if (outcome.failure !== undefined) {
      journal.mustAsk ||= mustAsk;
      this.#failed(journal, outcome.failure);
    } else this.#succeeded(journal, outcome);
    if (outcome.isGone && !isLive) this.#forget(journal);
    if (outcome.isKept && !isLive) this.#giveUpSlot(journal);
    this.#settleWaiters();
    this.#pump();
  }

  #failed(journal: TrackedJournal, failure: string): void {
    journal.turn.on('failed', performance.now());
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#options.log.warn({ failure }, `click ingest is waiting, clicks stay in the journal: ${failure}`);
  }

  #succeeded(journal: TrackedJournal, outcome: IngestOutcome): void {
    journal.turn.on(occasionOf(outcome), performance.now());
    journal.othersUntilMs = outcome.isForOthers ? performance.now() + OTHERS_MS : 0;
    journal.isKept = outcome.isKept;
    journal.keptBytes = outcome.keptBytes;
    journal.keptUntilMs = performance.now() + (outcome.keptForMs ?? Number.POSITIVE_INFINITY);
    const isBehind = outcome.hasMore || (journal.slot?.pending ?? 0) > 0;
    journal.behindSinceMs = isBehind ? (outcome.newestMs ?? journal.behindSinceMs ?? Date.now()) : undefined;
    if (!this.#hasFailed) return;
    this.#hasFailed = false;
    this.#options.log.info('click ingest resumed');
  }

  /** Nothing is left of a journal: clicks that its gateway accepted but never wrote died with it. */
  #forget(journal: TrackedJournal): void {
    this.journals.delete(journal.journalId);
    this.#giveUpSlot(journal);
  }

  /** An ended journal is ingested whole: releases its slot, and keeps a copy in case the database falls back. */
  #giveUpSlot(journal: TrackedJournal): void {
    const { slot, slotIndex } = journal;
    if (slot === undefined || slotIndex === undefined) return;
    if (slot.pending > 0) this.#account.lose(journal, slot.pending, 'were lost with a gateway’s last turn');
    this.#detach(journal, slot, slotIndex);
  }

  #detach(journal: TrackedJournal, slot: JournalSlot, slotIndex: number): void {
    journal.slot = JournalSlots.detach(slot);
    journal.slotIndex = undefined;
    this.#options.slots.release(slotIndex);
  }

  #settleWaiters(): void {
    this.#waiters = this.#waiters.filter(({ targets, resolve }) => {
      const isReached = targets.every(([index, clicks]) => {
        const slot = this.#options.slots.slot(index);
        return slot.get('ingested') + slot.get('lost') + slot.get('elsewhere') >= clicks;
      });
      if (isReached) resolve();
      return !isReached;
    });
  }
}

function failedOutcome(error: unknown): IngestOutcome {
  const failure = describeError(error);
  return { ...nothingIngested, pendingBytes: undefined, hasMore: true, failure };
}
