import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerState } from '../memory/server-state.js';
import type { TrackedJournal } from './tracked-journal.js';

export interface ConsumedWatchOptions {
  readonly state: ServerState;
  /** All journals that there are, by id. */
  readonly journals: ReadonlyMap<string, TrackedJournal>;
  /** How many clicks of these journals PostgreSQL has got from Kafka. */
  readonly read: (journalIds: readonly string[]) => Promise<ReadonlyMap<string, number>>;
}

const EVERY_MS = 250;
/** How often PostgreSQL is asked of journals that it had all of: it may have fallen back in time. */
const ALL_MS = 5000;
/** An ended journal of which nothing more comes is given up: some of its clicks were lost, and counted where. */
const MAX_WAIT_MS = 600_000;

interface Sent {
  /** Clicks of the journal that Kafka has, and those of them that PostgreSQL is known to have. */
  clicks: number;
  consumed: number;
  /** When either changed last, by `performance.now`. */
  changedMs: number;
}

/**
 * How many of this server's clicks are in Kafka and not known to be in PostgreSQL (CLICK_INGEST=consume). As long as there are
 * any, it asks PostgreSQL four times a second, and else every five seconds.
 */
export class ConsumedWatch {
  readonly #options: ConsumedWatchOptions;
  readonly #sent = new Map<string, Sent>();
  readonly #stopping = new AbortController();
  /** When it last asked of all journals, by `performance.now`. */
  #allMs = 0;

  constructor(options: ConsumedWatchOptions) {
    this.#options = options;
  }

  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#look();
      await sleep(EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    const { read, state } = this.#options;
    this.#noteSent();
    const isAll = performance.now() - this.#allMs >= ALL_MS;
    if (isAll) this.#allMs = performance.now();
    const asked = [...this.#sent].filter(([, { clicks, consumed }]) => isAll || clicks > consumed);
    if (asked.length > 0) {
      // Without an answer what was known counts.
      const found = await read(asked.map(([journalId]) => journalId)).catch(() => undefined);
      for (const [journalId, consumed] of found ?? []) this.#note(journalId, { consumed });
    }
    // What was sent meanwhile too.
    this.#noteSent();
    this.#forget();
    state.clicksInStream = [...this.#sent.values()].reduce(
      (sum, { clicks, consumed }) => sum + Math.max(0, clicks - consumed),
      0,
    );
  }

  #noteSent(): void {
    for (const { journalId, isOwn, slot } of this.#options.journals.values())
      if (isOwn && slot !== undefined) this.#note(journalId, { clicks: slot.get('ingested') });
  }

  #note(journalId: string, news: { readonly clicks?: number; readonly consumed?: number }): void {
    const sent = this.#sent.get(journalId) ?? { clicks: 0, consumed: 0, changedMs: 0 };
    this.#sent.set(journalId, sent);
    const { clicks = sent.clicks, consumed = sent.consumed } = news;
    if (clicks !== sent.clicks || consumed !== sent.consumed) sent.changedMs = performance.now();
    sent.clicks = clicks;
    sent.consumed = consumed;
  }

  #forget(): void {
    for (const [journalId, { clicks, consumed, changedMs }] of this.#sent) {
      if (this.#options.journals.has(journalId)) continue;
      if (consumed >= clicks || performance.now() - changedMs > MAX_WAIT_MS) this.#sent.delete(journalId);
    }
  }
}
