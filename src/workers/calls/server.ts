import type { MessagePort } from 'node:worker_threads';
import type {
  AnswerBatch,
  Call,
  CallAnswer,
  CallBatch,
  Resolution,
  ResolvedLinks,
} from '../../messages/calls.js';
import { errorCodeOf, retryDecisionOf } from '../../postgres/failures.js';
import type { Connection } from '../../postgres/pool.js';
import { type ResolvedRow, resolveCodes } from '../../store/links.js';
import type { WorkerThread } from '../thread.js';
import { createLinks, isLong, perform } from './handlers.js';

/** Codes of one SELECT, links of one INSERT: beyond it a statement takes longer without gaining. */
const CODES_A_BATCH = 512;
const LINKS_A_BATCH = 256;
/**
 * While a batch of a kind is under way, the next of that kind gathers: one statement for sixty links
 * costs the database and us a fraction of four for fifteen. A second one starts beside it only when so
 * many wait, or when the first takes so long that something holds it up.
 */
const CODES_FOR_ANOTHER = 24;
const LINKS_FOR_ANOTHER = 24;
const PATIENCE_MS = 5;

interface QueuedCall {
  readonly call: Call;
  readonly replies: Replies;
}

interface QueuedResolve {
  readonly resolveId: number;
  readonly deadlineMs: number;
  readonly codes: readonly string[];
  readonly replies: Replies;
}

/**
 * Runs the calls of all gateways on this thread's connections.
 *
 * Whatever waits when a connection becomes free is taken together: all codes to resolve as one
 * SELECT, all links to create as one INSERT and one commit. So batches are as large as the load makes
 * them, and a lone call waits for nobody. A call whose asker has stopped waiting is not begun.
 */
export class CallServer {
  readonly #thread: WorkerThread;
  #resolves: QueuedResolve[] = [];
  #creates: QueuedCall[] = [];
  #others: QueuedCall[] = [];
  #long: QueuedCall[] = [];
  readonly #resolving = new Gathering(PATIENCE_MS, () => this.#dispatch());
  readonly #creating = new Gathering(PATIENCE_MS, () => this.#dispatch());
  #busy = 0;
  #busyWithLong = 0;
  #turn = 0;

  constructor(thread: WorkerThread) {
    this.#thread = thread;
  }

  /** Serves a gateway until it closes its port. */
  serve(port: MessagePort): Promise<void> {
    const replies = new Replies(port);
    port.on('message', (batch: CallBatch) => this.#receive(batch, replies));
    return new Promise((resolve) => {
      port.on('close', resolve);
    });
  }

  #receive(batch: CallBatch, replies: Replies): void {
    if (batch.codes.length > 0) {
      const { resolveId, codes, resolveDeadlineMs: deadlineMs } = batch;
      this.#resolves.push({ resolveId, deadlineMs, codes, replies });
    }
    for (const call of batch.calls) {
      if (call.request.op === 'createUrl') this.#creates.push({ call, replies });
      else if (isLong(call.request)) this.#long.push({ call, replies });
      else this.#others.push({ call, replies });
    }
    this.#dispatch();
  }

  /** Puts waiting work on free connections. Long work leaves one to the rest, where there are two. */
  #dispatch(): void {
    this.#putToWork();
    const queued = this.#resolves.length + this.#creates.length + this.#others.length + this.#long.length;
    this.#thread.pool.setQueued(queued);
  }

  #putToWork(): void {
    const { pool } = this.#thread;
    while (this.#busy < pool.max) {
      const work = this.#nextWork();
      if (work !== undefined) {
        this.#begin(work);
        continue;
      }
      const long = this.#busyWithLong < Math.max(1, pool.max - 1) ? this.#long.shift() : undefined;
      if (long === undefined) return;
      this.#busyWithLong += 1;
      this.#begin(async () => {
        await this.#perform(long);
        this.#busyWithLong -= 1;
      });
    }
  }

  #begin(work: () => Promise<void>): void {
    this.#busy += 1;
    void work().finally(() => {
      this.#busy -= 1;
      this.#dispatch();
    });
  }

  /** The kinds of work take turns, so that none starves another. */
  #nextWork(): (() => Promise<void>) | undefined {
    for (let tries = 0; tries < 3; tries += 1) {
      this.#turn = (this.#turn + 1) % 3;
      const work = [this.#nextResolve, this.#nextCreate, this.#nextOther][this.#turn]?.call(this);
      if (work !== undefined) return work;
    }
    return undefined;
  }

  #nextResolve(): (() => Promise<void>) | undefined {
    const waiting = this.#resolves.reduce((sum, { codes }) => sum + codes.length, 0);
    if (waiting === 0 || this.#resolving.mustGather(waiting >= CODES_FOR_ANOTHER)) return undefined;
    const batch: QueuedResolve[] = [];
    for (let codes = 0; codes < CODES_A_BATCH; ) {
      const queued = this.#resolves.shift();
      if (queued === undefined) break;
      batch.push(queued);
      codes += queued.codes.length;
    }
    return this.#resolving.track(() => this.#resolve(batch));
  }

  #nextCreate(): (() => Promise<void>) | undefined {
    const waiting = this.#creates.length;
    if (waiting === 0 || this.#creating.mustGather(waiting >= LINKS_FOR_ANOTHER)) return undefined;
    const batch = stillWanted(this.#creates.splice(0, LINKS_A_BATCH));
    return batch.length === 0 ? undefined : this.#creating.track(() => this.#create(batch));
  }

  #nextOther(): (() => Promise<void>) | undefined {
    for (let queued = this.#others.shift(); queued !== undefined; queued = this.#others.shift()) {
      const [wanted] = stillWanted([queued]);
      if (wanted !== undefined) return () => this.#perform(wanted);
    }
    return undefined;
  }

  async #resolve(batch: readonly QueuedResolve[]): Promise<void> {
    const codes = [...new Set(batch.flatMap((queued) => queued.codes))];
    const { pool, counters } = this.#thread;
    try {
      const deadlineMs = Math.max(...batch.map((queued) => queued.deadlineMs)) - Date.now();
      const rows = await pool.runReadOnly(deadlineMs, (connection) => resolveCodes(connection, codes));
      counters.add('resolveBatches');
      counters.add('resolvedCodes', codes.length);
      for (const { resolveId, codes: wanted, replies } of batch) {
        replies.addResolution({
          resolveId,
          ok: true,
          links: linksOf(rows, batch.length === 1 ? undefined : wanted),
        });
      }
    } catch (error) {
      this.#logFailure(error, 'resolving short codes failed');
      const code = errorCodeOf(error);
      for (const { resolveId, replies } of batch)
        replies.addResolution({ resolveId, ok: false, error: code });
    }
  }

  async #create(batch: readonly QueuedCall[]): Promise<void> {
    const { pool, coherence, counters } = this.#thread;
    const deadlineMs = Math.max(...batch.map(({ call }) => call.deadlineMs)) - Date.now();
    try {
      const answers = await pool.run(deadlineMs, (connection) =>
        createLinks(
          connection,
          batch.map(({ call }) => call.request),
        ),
      );
      counters.add('createBatches');
      counters.add('createdLinks', batch.length);
      for (const [index, { call, replies }] of batch.entries()) {
        const answer: CallAnswer = answers[index] ?? { ok: false, error: 'INTERNAL' };
        // A gateway may believe the new code to be unknown.
        if (answer.ok && answer.shortCode !== undefined) coherence.invalidate(answer.shortCode);
        replies.addAnswer(call.id, answer);
      }
    } catch (error) {
      if (['rejected', 'conflict'].includes(retryDecisionOf(error)) && batch.length > 1) {
        // One of them can't be stored: each for itself, so that it alone fails.
        for (const queued of batch) await this.#create([queued]);
        return;
      }
      this.#fail(batch, error);
    }
  }

  async #perform(queued: QueuedCall): Promise<void> {
    const { call, replies } = queued;
    const { pool, coherence } = this.#thread;
    const deadlineMs = call.deadlineMs - Date.now();
    const work = (connection: Connection): Promise<CallAnswer> =>
      perform(connection, call.request, { deadlineMs, invalidate: (code) => coherence.invalidate(code) });
    try {
      const isRead = call.request.op.startsWith('get') || call.request.op === 'list';
      replies.addAnswer(
        call.id,
        await (isRead ? pool.runReadOnly(deadlineMs, work) : pool.run(deadlineMs, work)),
      );
    } catch (error) {
      this.#fail([queued], error);
    }
  }

  #fail(batch: readonly QueuedCall[], error: unknown): void {
    const [first] = batch;
    this.#logFailure(error, `${first?.call.request.op} failed`, first?.call.requestId);
    for (const { call, replies } of batch)
      replies.addAnswer(call.id, { ok: false, error: errorCodeOf(error) });
  }

  #logFailure(error: unknown, what: string, requestId?: string): void {
    const { log } = this.#thread;
    const message = `${what}: ${error instanceof Error ? error.message : String(error)}`;
    // PostgreSQL being away is said once, by the supervisor, not once a call.
    if (retryDecisionOf(error) === 'unavailable') log.debug({ request_id: requestId }, message);
    else log.error({ error, request_id: requestId }, message);
  }
}

/** Whether a batch of one kind is to wait for the one that is under way. */
class Gathering {
  readonly #patienceMs: number;
  readonly #onImpatient: () => void;
  #underWay = 0;
  #lastBeganMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(patienceMs: number, onImpatient: () => void) {
    this.#patienceMs = patienceMs;
    this.#onImpatient = onImpatient;
  }

  mustGather(isPlenty: boolean): boolean {
    if (this.#underWay === 0 || isPlenty) return false;
    const leftMs = this.#lastBeganMs + this.#patienceMs - performance.now();
    if (leftMs <= 0) return false;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#onImpatient();
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

function stillWanted(queued: QueuedCall[]): QueuedCall[] {
  const now = Date.now();
  return queued.filter(({ call }) => call.deadlineMs > now);
}

/** The links of the codes that one gateway asked for; all where nobody else asked. */
function linksOf(rows: readonly ResolvedRow[], wanted?: readonly string[]): ResolvedLinks {
  const codes = wanted === undefined ? undefined : new Set(wanted);
  const own = codes === undefined ? rows : rows.filter(([code]) => codes.has(code));
  return {
    shortCodes: own.map(([code]) => code),
    ids: own.map(([, id]) => id),
    userIds: own.map(([, , userId]) => userId),
    targets: own.map(([, , , target]) => target),
    options: own.map(([, , , , options]) => options),
  };
}

/** Answers to one gateway: those of a turn travel as one message. */
class Replies {
  readonly #port: MessagePort;
  #answers: (readonly [id: number, answer: CallAnswer])[] = [];
  #resolutions: Resolution[] = [];
  #isScheduled = false;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  addAnswer(id: number, answer: CallAnswer): void {
    this.#answers.push([id, answer]);
    this.#schedule();
  }

  addResolution(resolution: Resolution): void {
    this.#resolutions.push(resolution);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#port.postMessage({
        answers: this.#answers,
        resolutions: this.#resolutions,
      } satisfies AnswerBatch);
      this.#answers = [];
      this.#resolutions = [];
    });
  }
}
