import type { Config } from '../config.js';
import type { Keep } from '../journal/kept-segments.js';
import type { JournalPosition } from '../journal/position.js';
import type { IngestOutcome } from '../messages/ingest.js';
import { Backoff } from '../runtime/backoff.js';

/** A journal's place in the turns of the ingest. */
export type Phase =
  /** May have its turn as soon as it has clicks. */
  | 'resting'
  /** Lets clicks gather, for fewer transactions; a reader who waits for them ends the pause. */
  | 'lingering'
  /** A look found nothing: another one at once would find no more, however urgent. */
  | 'settling'
  /** A step failed: not before its time, however urgent. */
  | 'backing-off'
  /** A worker is ingesting it. */
  | 'running';

/** What changes a journal's phase. */
export type Occasion =
  /** Its turn has come. */
  | 'start'
  /** A batch is in the database, and more is there. */
  | 'more'
  /** A batch is in the database, and no more is there. */
  | 'done'
  /** There was nothing to read. */
  | 'at-end'
  | 'failed'
  /** PostgreSQL is back: earlier failures are no longer a reason to wait. */
  | 'database-back';

/** Impossible transitions are `undefined`. */
export const transitions: Readonly<Record<Phase, Readonly<Record<Occasion, Phase | undefined>>>> = {
  resting: {
    start: 'running',
    more: undefined,
    done: undefined,
    'at-end': undefined,
    failed: undefined,
    'database-back': 'resting',
  },
  lingering: {
    start: 'running',
    more: undefined,
    done: undefined,
    'at-end': undefined,
    failed: undefined,
    'database-back': 'lingering',
  },
  settling: {
    start: 'running',
    more: undefined,
    done: undefined,
    'at-end': undefined,
    failed: undefined,
    'database-back': 'settling',
  },
  'backing-off': {
    start: 'running',
    more: undefined,
    done: undefined,
    'at-end': undefined,
    failed: undefined,
    'database-back': 'resting',
  },
  running: {
    start: undefined,
    more: 'resting',
    done: 'lingering',
    'at-end': 'settling',
    failed: 'backing-off',
    'database-back': 'running',
  },
};

/** In ms. */
export interface IngestTiming {
  readonly lingerMs: number;
  readonly settleMs: number;
  readonly backoff: { readonly firstMs: number; readonly maxMs: number };
}

/** One journal's turns. Times are of one clock that only goes forward, in ms. */
export class JournalTurn {
  readonly #timing: IngestTiming;
  readonly #backoff: Backoff;
  #phase: Phase = 'resting';
  #untilMs = 0;
  #urgentUntilMs = 0;

  constructor(timing: IngestTiming) {
    this.#timing = timing;
    this.#backoff = new Backoff(timing.backoff);
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** @throws if that can't happen in the journal's phase. */
  on(occasion: Occasion, nowMs: number): void {
    const before = this.#phase;
    const after = transitions[before][occasion];
    if (after === undefined) throw new Error(`a journal that is ${before} met ${occasion}`);
    if (occasion !== 'start' && occasion !== 'failed') this.#backoff.reset();
    this.#phase = after;
    if (after === before) return;
    this.#untilMs = nowMs + this.#pauseMs(after);
    this.#urgentUntilMs = after === 'settling' ? nowMs + this.#timing.settleMs : 0;
  }

  /** When it may have its next turn. @param isUrgent Whether a reader waits for clicks. */
  earliestMs(isUrgent: boolean): number {
    if (this.#phase === 'running') return Number.POSITIVE_INFINITY;
    return isUrgent && this.#phase !== 'backing-off' ? this.#urgentUntilMs : this.#untilMs;
  }

  #pauseMs(phase: Phase): number {
    switch (phase) {
      case 'resting':
      case 'running':
        return 0;
      case 'lingering':
        return this.#timing.lingerMs;
      case 'settling':
        return Math.max(this.#timing.lingerMs, this.#timing.settleMs);
      case 'backing-off':
        return this.#backoff.next();
      default:
        throw new Error(`no such phase: ${String(phase satisfies never)}`);
    }
  }
}

/** What the outcome of a step means for its journal's turns. */
export function occasionOf(outcome: IngestOutcome): Occasion {
  if (outcome.isAtEnd && !outcome.isGone) return 'at-end';
  return outcome.hasMore ? 'more' : 'done';
}

export interface Candidate {
  readonly turn: JournalTurn;
  /** Whether its writer is alive; otherwise it was left behind. */
  readonly isLive: boolean;
  /** Since when there has been something to ingest, ms since 1970; `undefined` if unknown. */
  readonly behindSinceMs: number | undefined;
}

export interface Choice<Journal> {
  readonly start: readonly Journal[];
  /** When the next of the others may have its turn; `undefined` if none waits for a time. */
  readonly againMs: number | undefined;
}

/**
 * Chooses whose turn it is: the longest behind first. Living journals and abandoned ones take turns, so that
 * neither many old journals nor a steady load starves the others.
 */
export class IngestPolicy {
  #wasLive = false;

  /** @param waiting Journals with something to ingest. @param places How many may be started. */
  choose<Journal extends Candidate>(
    waiting: readonly Journal[],
    places: number,
    nowMs: number,
    isUrgent: boolean,
  ): Choice<Journal> {
    const isReady = ({ turn }: Journal): boolean => turn.earliestMs(isUrgent) <= nowMs;
    const ready = waiting.filter(isReady).sort((one, other) => behind(one) - behind(other));
    const [live, left] = [ready.filter(({ isLive }) => isLive), ready.filter(({ isLive }) => !isLive)];
    const start: Journal[] = [];
    while (start.length < places) {
      const next = this.#wasLive ? (left.shift() ?? live.shift()) : (live.shift() ?? left.shift());
      if (next === undefined) break;
      this.#wasLive = next.isLive;
      start.push(next);
    }
    const times = waiting.filter((journal) => !isReady(journal)).map(({ turn }) => turn.earliestMs(isUrgent));
    const againMs = times.reduce((one, other) => Math.min(one, other), Number.POSITIVE_INFINITY);
    return { start, againMs: Number.isFinite(againMs) ? againMs : undefined };
  }
}

function behind({ behindSinceMs }: Candidate): number {
  return behindSinceMs ?? Number.MAX_SAFE_INTEGER;
}

/**
 * How to keep ingested segments; if the disk has no room for new clicks, none are kept.
 * @param streamed How far the stream of clicks has the journal; where there is one, it needs what is behind that.
 */
export function keepOf(
  { CLICK_JOURNAL_KEEP_SECONDS, CLICK_JOURNAL_KEEP_BYTES, CLICK_STREAM }: Config,
  isDiskRefusing: boolean,
  streamed: JournalPosition,
): Keep {
  const passed = CLICK_STREAM === 'off' ? {} : { passed: streamed };
  if (isDiskRefusing) return { ms: 0, bytes: 0, ...passed };
  return { ms: CLICK_JOURNAL_KEEP_SECONDS * 1000, bytes: CLICK_JOURNAL_KEEP_BYTES, ...passed };
}
