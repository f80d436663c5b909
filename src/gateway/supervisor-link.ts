import type { MessagePort } from 'node:worker_threads';
import { JournalSlots } from '../memory/journal-slots.js';
import type { BodyCheck } from '../messages/body-checks.js';
import type { BarrierTarget, FromGateway, Question, ToGateway } from '../messages/supervisor.js';
import type { TransferJob, TransferRequest } from '../messages/transfers.js';

/** Deadline for metrics or logs from the supervisor. */
const ASK_DEADLINE_MS = 2000;
/** A gateway's questions under way; further ones are refused. */
const ASKED_MAX = 8;

/** A gateway's conversation with the supervisor. */
export class SupervisorLink {
  readonly #port: Pick<MessagePort, 'postMessage'>;
  readonly #journals: JournalSlots;
  readonly #answers = new Map<number, (body: string | undefined) => void>();
  readonly #barriers = new Map<number, () => void>();
  #metrics: Promise<string | undefined> = Promise.resolve(undefined);
  #nextMetrics: Promise<string | undefined> | undefined;
  #lastId = 0;

  constructor(port: Pick<MessagePort, 'postMessage'>, journals: JournalSlots) {
    this.#port = port;
    this.#journals = journals;
  }

  tell(message: Exclude<FromGateway, { kind: 'transfer' | 'check' }>): void {
    this.#port.postMessage(message);
  }

  /** Hands one end of a channel on to a worker. */
  requestTransfer(job: TransferJob<TransferRequest>): void {
    this.#port.postMessage({ kind: 'transfer', job } satisfies FromGateway, [job.port]);
  }

  checkBody(job: BodyCheck): void {
    this.#port.postMessage({ kind: 'check', job } satisfies FromGateway, [job.bytes, job.port]);
  }

  /**
   * @returns the answer's body, or `undefined` if none came in time, or too many requests wait. Simultaneous
   * requests for metrics share one answer.
   */
  ask(question: Question): Promise<string | undefined> {
    if (question.of !== 'metrics') return this.#ask(question);
    // Not the answer under way, which may lack the latest counts.
    this.#nextMetrics ??= this.#metrics.then(() => {
      this.#nextMetrics = undefined;
      const asked = this.#ask(question);
      this.#metrics = asked;
      return asked;
    });
    return this.#nextMetrics;
  }

  #ask(question: Question): Promise<string | undefined> {
    if (this.#answers.size >= ASKED_MAX) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#lastId += 1;
      const id = this.#lastId;
      const settle = (body: string | undefined): void => {
        clearTimeout(timer);
        this.#answers.delete(id);
        resolve(body);
      };
      const timer = setTimeout(settle, ASK_DEADLINE_MS, undefined);
      this.#answers.set(id, settle);
      this.tell({ kind: 'ask', id, question });
    });
  }

  /**
   * Waits until the clicks that all gateways of this server have answered so far are in the database, for at
   * most `boundMs`.
   * @returns how many of them are still missing.
   */
  async clicksIngested(boundMs: number): Promise<number> {
    const targets = this.#pendingTargets();
    if (targets.length === 0) return 0;
    if (boundMs > 0) await this.#barrier(targets, boundMs);
    return targets.reduce((sum, [slot, clicks]) => {
      const journal = this.#journals.slot(slot);
      return (
        sum + Math.max(0, clicks - journal.get('ingested') - journal.get('lost') - journal.get('elsewhere'))
      );
    }, 0);
  }

  /** Clicks answered but not yet in the database, over all gateways. */
  get pendingClicks(): number {
    let sum = 0;
    for (let index = 0; index < JournalSlots.count; index += 1) sum += this.#journals.slot(index).pending;
    return sum;
  }

  receive(message: ToGateway): void {
    if (message.kind === 'answer') this.#answers.get(message.id)?.(message.body);
    if (message.kind === 'barrier') this.#barriers.get(message.id)?.();
  }

  #pendingTargets(): BarrierTarget[] {
    const targets: BarrierTarget[] = [];
    for (let index = 0; index < JournalSlots.count; index += 1) {
      const journal = this.#journals.slot(index);
      if (journal.pending > 0) targets.push([index, journal.get('accepted')]);
    }
    return targets;
  }

  #barrier(targets: readonly BarrierTarget[], boundMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#lastId += 1;
      const id = this.#lastId;
      const settle = (): void => {
        clearTimeout(timer);
        this.#barriers.delete(id);
        resolve();
      };
      const timer = setTimeout(settle, boundMs);
      this.#barriers.set(id, settle);
      this.tell({ kind: 'barrier', id, targets });
    });
  }
}
