import type { Config } from '../config.js';
import type { Coherence } from '../memory/coherence.js';
import type { Primary } from '../memory/primary.js';
import { isConnectionLoss } from '../postgres/failures.js';
import type { Connection } from '../postgres/pool.js';
import { describeError } from '../runtime/describe-error.js';
import type { Logger } from '../runtime/logger.js';
import { leaveMark, markOf, renewMark } from '../store/primary-marks.js';

/** A standby that lags further is not read from; neither is, after twice that, one that follows another primary now. */
const MAX_LAG_MS = 10_000;
/** How old the latest proof may become while nothing changes. */
const RENEW_AFTER_MS = 10_000;

export interface StandbyProofsOptions {
  readonly config: Pick<Config, 'DATABASE_READ_URL'>;
  readonly coherence: Coherence;
  readonly primary: Primary;
  readonly log: Logger;
}

/**
 * Writes proofs into the primary's database, by which a standby shows which changes it has (`Coherence`): one at each
 * LISTEN connection, one after changes, at most one a heartbeat, and one every 10 s. While changes are not heard there
 * is no mark, and no standby is read from.
 */
export class StandbyProofs {
  readonly #options: StandbyProofsOptions;
  /** The latest mark. */
  #mark: string | undefined;
  /** Proofs that were committed, and when; the first one is the least that a standby must have. */
  #committed: { readonly proof: number; readonly atMs: number }[] = [];
  #restsUntilMs = 0;

  constructor(options: StandbyProofsOptions) {
    this.#options = options;
  }

  /** Begins anew, on a connection that hears all changes from now on. @returns the mark for its standbys. */
  async begin(connection: Connection): Promise<string | undefined> {
    const { config, coherence } = this.#options;
    if (config.DATABASE_READ_URL === undefined) return undefined;
    const proof = coherence.beginProof();
    this.#mark = await this.#tried(() => leaveMark(connection, proof));
    this.#committed = [{ proof, atMs: performance.now() }];
    return this.#mark;
  }

  /** Call it repeatedly. */
  async keep(connection: Connection): Promise<void> {
    const { coherence, primary } = this.#options;
    const before = this.#mark;
    const last = this.#committed.at(-1);
    const startedMs = performance.now();
    if (before === undefined || last === undefined || startedMs < this.#restsUntilMs) return;
    if (startedMs - last.atMs < RENEW_AFTER_MS && !coherence.isOvertaken(last.proof)) return;
    const proof = coherence.beginProof();
    const mark = await this.#tried(() => renewMark(connection, before, proof));
    // The connection was given up meanwhile.
    if (this.#mark !== before) return;
    if (mark === undefined) {
      primary.mark = undefined;
      return;
    }
    this.#mark = mark;
    const nowMs = performance.now();
    this.#committed.push({ proof, atMs: nowMs });
    while ((this.#committed[1]?.atMs ?? nowMs) <= nowMs - MAX_LAG_MS) this.#committed.shift();
    primary.mark = markOf(mark, this.#committed[0]?.proof ?? proof);
  }

  /** Changes are no longer heard. */
  end(): void {
    this.#mark = undefined;
    this.#options.primary.mark = undefined;
  }

  async #tried(leave: () => Promise<string>): Promise<string | undefined> {
    try {
      return await leave();
    } catch (error) {
      if (isConnectionLoss(error)) throw error;
      this.#restsUntilMs = performance.now() + RENEW_AFTER_MS;
      this.#options.log.warn({ error }, `reads don't use standbys: ${describeError(error)}`);
      return undefined;
    }
  }
}
