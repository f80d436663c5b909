import type { CodesToResolve, Resolution } from '../../messages/calls.js';
import { type Batcher, shareOf } from './batcher.js';
import type { Replies } from './replies.js';

/** Codes of one SELECT: beyond it a statement takes longer without gaining. */
const CODES_A_BATCH = 512;
/** This many waiting codes begin another SELECT in parallel to the one under way. */
const CODES_FOR_ANOTHER = 24;

/** Codes of one gateway's turn, and when it stops waiting for them. */
export interface QueuedResolve extends CodesToResolve {
  readonly deadlineMs: number;
  readonly replies: Replies;
}

/** Codes that wait for a statement. */
export class ResolveQueue {
  readonly #queued: QueuedResolve[] = [];
  #codes = 0;

  /** Gateways' turns that wait. */
  get length(): number {
    return this.#queued.length;
  }

  add(queued: QueuedResolve): void {
    this.#queued.push(queued);
    this.#codes += queued.count;
  }

  /** What goes into the next statement; nothing if none is to begin now. */
  next(batcher: Batcher): QueuedResolve[] {
    const waiting = this.#codes;
    if (waiting === 0 || batcher.mustWait(waiting >= CODES_FOR_ANOTHER)) return [];
    return this.#take(shareOf(waiting, CODES_FOR_ANOTHER, CODES_A_BATCH));
  }

  /** Takes the first codes, in whole turns, until there are this many. */
  #take(codes: number): QueuedResolve[] {
    const taken: QueuedResolve[] = [];
    for (let count = 0; count < codes; ) {
      const queued = this.#queued.shift();
      if (queued === undefined) break;
      taken.push(queued);
      count += queued.count;
      this.#codes -= queued.count;
    }
    return taken;
  }
}

/** All codes of a batch, one a line. */
export function codesOf(batch: readonly QueuedResolve[]): string {
  return batch.length === 1 ? (batch[0]?.codes ?? '') : batch.map(({ codes }) => codes).join('\n');
}

/** How long the last gateway still waits, in ms. */
export function timeLeft(batch: readonly QueuedResolve[]): number {
  return Math.max(...batch.map(({ deadlineMs }) => deadlineMs)) - Date.now();
}

/** Sends each gateway the results of all that it asked for, in one message. */
export function answerAll(
  batch: readonly QueuedResolve[],
  resolutionOf: (resolveIds: number[]) => Resolution,
): void {
  const idsOf = new Map<Replies, number[]>();
  for (const { replies, resolveId } of batch) {
    const ids = idsOf.get(replies);
    if (ids === undefined) idsOf.set(replies, [resolveId]);
    else ids.push(resolveId);
  }
  for (const [replies, ids] of idsOf) replies.addResolution(resolutionOf(ids));
}
