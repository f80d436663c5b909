import { keepLinks, linksByAsked, type RedirectLink, type ResolvedLinks } from '../../api/redirect-link.js';
import type { Coherence } from '../../memory/coherence.js';
import type { ThreadCounters } from '../../memory/counters.js';
import { resolveOnStandby, type StandbyLinks } from '../../store/standby-resolve.js';
import { requireFit, type Standbys } from '../standbys.js';
import { Batcher } from './batcher.js';
import { answerAll, codesOf, type QueuedResolve, ResolveQueue, timeLeft } from './resolve-queue.js';

/** How long a standby may take: a healthy one takes a few, and the primary needs the rest of the time. */
const ANSWER_MS = 500;
/** Codes that have so little time go to the primary at once. */
const MIN_MS = 20;

interface FoundLinks {
  readonly links: ResolvedLinks;
  /** By code. */
  readonly found: ReadonlyMap<string, RedirectLink>;
}

const NOTHING: FoundLinks = { links: { text: '', databaseId: null }, found: new Map() };

export interface StandbyResolvesOptions {
  readonly standbys: Standbys;
  readonly coherence: Coherence;
  readonly counters: ThreadCounters;
  /** Called with the codes that the primary has to be asked for. */
  readonly onRest: (rest: readonly QueuedResolve[]) => void;
}

/**
 * The links that a standby's snapshot is sure to have as they are, or were when they were last known to change: what
 * this server has changed itself, or heard of, is in it.
 */
export function provenLinks({ text, proof }: StandbyLinks, coherence: Coherence): string {
  return keepLinks(text, (shortCode) => coherence.isProven(shortCode, proof));
}

/**
 * Resolves short codes on hot standbys, in batches of their own. A standby answers for a link only if its snapshot has
 * every change of the link that this server made or heard of. For all else the primary is asked: codes changed lately,
 * codes that are unknown or inactive there, and everything while no standby answers.
 */
export class StandbyResolves {
  readonly #options: StandbyResolvesOptions;
  readonly #queue = new ResolveQueue();
  readonly #batcher = new Batcher(() => this.#dispatch());
  #busy = 0;

  constructor(options: StandbyResolvesOptions) {
    this.#options = options;
  }

  /** @returns whether it will be answered, if need be by `onRest`. */
  add(queued: QueuedResolve): boolean {
    const { standbys, counters } = this.#options;
    if (!standbys.isAnyFit) {
      counters.add('standbyCodesLeft', queued.count);
      return false;
    }
    this.#queue.add(queued);
    // A message's turns come together.
    queueMicrotask(() => this.#dispatch());
    return true;
  }

  #dispatch(): void {
    while (this.#busy < this.#options.standbys.connections) {
      const batch = this.#queue.next(this.#batcher);
      if (batch.length === 0) return;
      this.#busy += 1;
      void this.#batcher
        .track(() => this.#resolve(batch))()
        .finally(() => {
          this.#busy -= 1;
          this.#dispatch();
        });
    }
  }

  async #resolve(batch: readonly QueuedResolve[]): Promise<void> {
    const { counters, onRest } = this.#options;
    const { links, found } = await this.#read(batch);
    const complete: QueuedResolve[] = [];
    const left: QueuedResolve[] = [];
    for (const queued of batch) {
      const rest = queued.codes.split('\n').filter((code) => !found.has(code));
      counters.add('standbyCodes', queued.count - rest.length);
      counters.add('standbyCodesLeft', rest.length);
      if (rest.length === 0) {
        complete.push(queued);
        continue;
      }
      const codes = rest.join('\n');
      left.push({ ...queued, codes, count: rest.length });
      const { resolveId, replies, count } = queued;
      if (rest.length < count)
        replies.addResolution({ resolveIds: [resolveId], ok: true, links, rest: codes });
    }
    answerAll(complete, (resolveIds) => ({ resolveIds, ok: true, links }));
    if (left.length > 0) onRest(left);
  }

  /** @returns nothing found if the standby is of no use. */
  async #read(batch: readonly QueuedResolve[]): Promise<FoundLinks> {
    const next = this.#options.standbys.next();
    const deadlineMs = Math.min(ANSWER_MS, timeLeft(batch) / 2);
    if (next === undefined || deadlineMs < MIN_MS) return NOTHING;
    const { standby, of } = next;
    try {
      const read = await standby.pool.runOnce(deadlineMs, async (connection) =>
        requireFit(await resolveOnStandby(connection, codesOf(batch), of)),
      );
      standby.hasAnswered();
      const text = provenLinks(read, this.#options.coherence);
      return { links: { text, databaseId: read.databaseId }, found: linksByAsked(text) };
    } catch (error) {
      standby.hasFailed(error);
      return NOTHING;
    }
  }
}
