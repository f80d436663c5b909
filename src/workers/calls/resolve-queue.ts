import type { CodesToResolve, Resolution } from '../../messages/calls.js';
import type { Replies } from './replies.js';

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

  /** Codes that wait. */
  get codes(): number {
    return this.#codes;
  }

  add(queued: QueuedResolve): void {
    this.#queued.push(queued);
    this.#codes += queued.count;
  }

  /** Takes the first codes, in whole turns, until there are this many. */
  take(codes: number): QueuedResolve[] {
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
