/** How long a batch under way may keep the next one from beginning. */
const MAX_WAIT_MS = 5;

/**
 * Whether a batch of one kind waits for the one under way: one statement for sixty links costs the database
 * and us a fraction of four for fifteen. A second one starts beside it only if enough calls wait, or if the
 * first takes so long that something must be blocking it.
 */
export class Batcher {
  readonly #onWaitOver: () => void;
  #underWay = 0;
  #lastBeganMs = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param onWaitOver Called when waiting work may start. */
  constructor(onWaitOver: () => void) {
    this.#onWaitOver = onWaitOver;
  }

  /** @param isFull Whether enough wait for another batch. */
  mustWait(isFull: boolean): boolean {
    if (this.#underWay === 0 || isFull) return false;
    const leftMs = this.#lastBeganMs + MAX_WAIT_MS - performance.now();
    if (leftMs <= 0) return false;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#onWaitOver();
    }, leftMs);
    return true;
  }

  track(work: () => Promise<void>): () => Promise<void> {
    this.#underWay += 1;
    this.#lastBeganMs = performance.now();
    return async () => {
      try {
        await work();
      } finally {
        this.#underWay -= 1;
      }
    };
  }
}

/** Waiting work is divided among this many statements, if each is worth it: answers travel while the next one runs. */
const STATEMENTS_AT_ONCE = 2;

/**
 * How much of the waiting work goes into the next statement.
 * @param least What makes a statement worth it.
 * @param most What one statement may have.
 */
export function shareOf(waiting: number, least: number, most: number): number {
  const isWorthMore = waiting >= least * STATEMENTS_AT_ONCE;
  return Math.min(most, isWorthMore ? Math.ceil(waiting / STATEMENTS_AT_ONCE) : waiting);
}
