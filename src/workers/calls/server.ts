import type { MessagePort } from 'node:worker_threads';
import type { OperationResult } from '../../api/results.js';
import type { Call, CallAnswer, CallBatch, CallName } from '../../messages/calls.js';
import { errorCodeOf, retryDecisionOf } from '../../postgres/failures.js';
import type { Connection } from '../../postgres/pool.js';
import { describeError } from '../../runtime/describe-error.js';
import { runOnce } from '../../store/idempotency.js';
import { type BatchOperation, failed, type OperationContext } from '../../store/operation.js';
import { resolveCodes } from '../../store/resolve.js';
import type { StandbyReads } from '../standby-reads.js';
import type { WorkerThread } from '../thread.js';
import { Batcher, shareOf } from './batcher.js';
import { isRead, operationNames, operationOf } from './operations.js';
import { perform } from './perform.js';
import { alone, isStillWanted, linksMadeBy, type QueuedCall, type QueuedSingle } from './queued-call.js';
import { Replies } from './replies.js';
import { answerAll, codesOf, type QueuedResolve, ResolveQueue, timeLeft } from './resolve-queue.js';
import { StandbyResolves } from './standby-resolves.js';

/** Calls of one operation that are made together. */
interface BatchQueue {
  readonly operation: BatchOperation<unknown>;
  readonly batcher: Batcher;
  readonly calls: QueuedCall[];
}

type Work = () => Promise<void>;

/**
 * Runs the calls of all gateways on this thread's connections.
 *
 * Whatever waits when a connection becomes free is made together: all codes to resolve as one
 * SELECT, all calls of a batch operation as one statement and one commit. Batches are therefore as
 * large as the load makes them, and a lone call waits for nobody. A call whose asker has stopped
 * waiting is not begun.
 */
export class CallServer {
  readonly #thread: WorkerThread;
  readonly #standbyResolves: StandbyResolves | undefined;
  readonly #resolves = new ResolveQueue();
  readonly #resolving = new Batcher(() => this.#dispatch());
  readonly #batches = new Map<CallName, BatchQueue>();
  readonly #singles: QueuedSingle[] = [];
  readonly #long: QueuedSingle[] = [];
  /** Where work comes from, in turns, so that no kind starves another. */
  readonly #sources: readonly (() => Work | undefined)[];
  #busy = 0;
  #busyWithLong = 0;
  #turn = 0;

  constructor(thread: WorkerThread) {
    this.#thread = thread;
    const { standbys, coherence, counters } = thread;
    if (standbys !== undefined) {
      const onRest = (rest: readonly QueuedResolve[]): void => this.#resolveOnPrimary(rest);
      this.#standbyResolves = new StandbyResolves({ standbys, coherence, counters, onRest });
    }
    for (const name of operationNames) {
      const operation = operationOf(name);
      if (operation.kind !== 'batch') continue;
      const batcher = new Batcher(() => this.#dispatch());
      this.#batches.set(name, { operation, batcher, calls: [] });
    }
    this.#sources = [
      () => this.#nextResolve(),
      ...[...this.#batches.values()].map((queue) => () => this.#nextBatch(queue)),
      () => this.#nextSingle(),
    ];
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
    for (const { resolveId, codes, count } of batch.resolves) {
      const queued = { resolveId, deadlineMs: batch.resolveDeadlineMs, codes, count, replies };
      if (this.#standbyResolves?.add(queued) !== true) this.#resolves.add(queued);
    }
    for (const call of batch.calls) this.#enqueue(call, replies);
    if (batch.givenUpTo !== undefined) replies.giveUp(batch.givenUpTo);
    this.#dispatch();
  }

  #enqueue(call: Call, replies: Replies): void {
    const operation = operationOf(call.request.operation);
    switch (operation.kind) {
      case 'batch':
        if (call.caller.idempotent !== undefined)
          this.#singles.push({ call, replies, operation: alone(operation) });
        else this.#batches.get(call.request.operation)?.calls.push({ call, replies });
        break;
      case 'long':
        this.#long.push({ call, replies, operation });
        break;
      case 'read':
      case 'list':
        if (this.#thread.standbyReads !== undefined && isRead(call.request.operation))
          void this.#readOnStandby({ call, replies, operation }, this.#thread.standbyReads);
        else this.#singles.push({ call, replies, operation });
        break;
      case 'write':
        this.#singles.push({ call, replies, operation });
        break;
      default:
        throw new Error(`no such kind of operation: ${String(operation satisfies never)}`);
    }
  }

  /** Puts waiting work on free connections. Long work leaves one to the rest, where there are two. */
  #dispatch(): void {
    this.#putToWork();
    const batched = [...this.#batches.values()].reduce((sum, { calls }) => sum + calls.length, 0);
    const queued = this.#resolves.length + batched + this.#singles.length + this.#long.length;
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
      const long = this.#busyWithLong < Math.max(1, pool.max - 1) ? this.#nextLong() : undefined;
      if (long === undefined) return;
      this.#busyWithLong += 1;
      this.#begin(async () => {
        await this.#perform(long);
        this.#busyWithLong -= 1;
      });
    }
  }

  #begin(work: Work): void {
    this.#busy += 1;
    void work().finally(() => {
      this.#busy -= 1;
      this.#dispatch();
    });
  }

  #nextWork(): Work | undefined {
    for (let tries = 0; tries < this.#sources.length; tries += 1) {
      this.#turn = (this.#turn + 1) % this.#sources.length;
      const work = this.#sources[this.#turn]?.();
      if (work !== undefined) return work;
    }
    return undefined;
  }

  #nextResolve(): Work | undefined {
    const batch = this.#resolves.next(this.#resolving);
    return batch.length === 0 ? undefined : this.#resolving.track(() => this.#resolve(batch));
  }

  #nextBatch({ operation, batcher, calls }: BatchQueue): Work | undefined {
    if (calls.length === 0 || batcher.mustWait(calls.length >= operation.sizeForAnother)) return undefined;
    const share = shareOf(calls.length, operation.sizeForAnother, operation.maxSize);
    const batch = calls.splice(0, share).filter(isStillWanted);
    return batch.length === 0 ? undefined : batcher.track(() => this.#performBatch(operation, batch));
  }

  #nextSingle(): Work | undefined {
    for (let queued = this.#singles.shift(); queued !== undefined; queued = this.#singles.shift()) {
      const wanted = queued;
      if (isStillWanted(wanted)) return () => this.#perform(wanted);
    }
    return undefined;
  }

  #nextLong(): QueuedSingle | undefined {
    for (;;) {
      const queued = this.#long.shift();
      if (queued === undefined || isStillWanted(queued)) return queued;
    }
  }

  async #resolve(batch: readonly QueuedResolve[]): Promise<void> {
    const count = batch.reduce((sum, queued) => sum + queued.count, 0);
    const { pool, counters } = this.#thread;
    try {
      const links = await pool.runReadOnly(timeLeft(batch), (connection) =>
        resolveCodes(connection, codesOf(batch), count),
      );
      counters.add('resolveBatches');
      counters.add('resolvedCodes', count);
      answerAll(batch, (resolveIds) => ({ resolveIds, ok: true, links }));
    } catch (error) {
      this.#logFailure(error, 'resolving short codes failed');
      const code = errorCodeOf(error);
      answerAll(batch, (resolveIds) => ({ resolveIds, ok: false, error: code }));
    }
  }

  /** What standbys can't answer for. */
  #resolveOnPrimary(rest: readonly QueuedResolve[]): void {
    for (const queued of rest) this.#resolves.add(queued);
    this.#dispatch();
  }

  async #performBatch(operation: BatchOperation<unknown>, batch: readonly QueuedCall[]): Promise<void> {
    const { pool, counters } = this.#thread;
    const deadlineMs = Math.max(...batch.map(({ call }) => call.deadlineMs)) - Date.now();
    let wanted: readonly QueuedCall[] = [];
    try {
      const results = await pool.run(deadlineMs, async (connection) => {
        // Callers may have stopped waiting before there was a connection.
        wanted = batch.filter(isStillWanted);
        const items = wanted.map(({ call }) => ({
          input: call.request.input,
          context: this.#contextOf(call),
        }));
        return items.length === 0 ? [] : operation.runAll(connection, items);
      });
      if (batch[0]?.call.request.operation === 'createLink') {
        counters.add('createBatches');
        counters.add('linksAskedFor', wanted.length);
      }
      // Calls that nobody waits for have their answer.
      for (const [index, { call, replies }] of wanted.entries()) {
        const answer = results[index] ?? failed('INTERNAL');
        counters.add('linksCreated', linksMadeBy(answer));
        replies.addAnswer(call.id, answer);
      }
    } catch (error) {
      if (['rejected', 'conflict'].includes(retryDecisionOf(error)) && batch.length > 1) {
        // One of them can't be stored: each for itself, so that it alone fails.
        for (const queued of batch) await this.#performBatch(operation, [queued]);
        return;
      }
      this.#fail(batch, error);
    }
  }

  async #perform(queued: QueuedSingle): Promise<void> {
    const { call, operation } = queued;
    const { pool } = this.#thread;
    const context = this.#contextOf(call);
    const { input } = call.request;
    const { idempotent } = call.caller;
    const work = async (connection: Connection): Promise<CallAnswer> => {
      // Its caller may have stopped waiting before there was a connection.
      if (!isStillWanted(queued)) return failed('UNAVAILABLE');
      return idempotent === undefined || operation.kind === 'list'
        ? perform(connection, operation, input, context)
        : runOnce(connection, idempotent, input, context, (own) => operation.run(connection, input, own));
    };
    const isRepeatable = operation.kind === 'read' || operation.kind === 'list';
    try {
      const answer = isRepeatable
        ? await pool.runReadOnly(context.deadlineMs, work)
        : await pool.run(context.deadlineMs, work);
      if (call.request.operation === 'createLink' && answer.ok && !('isReplayed' in answer))
        this.#thread.counters.add('linksAskedFor');
      this.#thread.counters.add('linksCreated', linksMadeBy(answer));
      this.#answer(queued, answer, context);
    } catch (error) {
      this.#fail([queued], error);
    }
  }

  /** It has separate connections and does not wait for the primary's. What a standby can't do is queued for the primary. */
  async #readOnStandby(queued: QueuedSingle, standbys: StandbyReads): Promise<void> {
    const { call, operation } = queued;
    const context = this.#contextOf(call);
    const { input } = call.request;
    // The primary gets the rest of the time.
    const deadlineMs = context.deadlineMs / 2;
    const work = (connection: Connection): Promise<CallAnswer> =>
      perform(connection, operation, input, context);
    const read = await standbys.read({ deadlineMs, askMs: deadlineMs, work });
    if (read === undefined) {
      this.#singles.push(queued);
      this.#dispatch();
    } else this.#answer(queued, read.value, context);
  }

  #answer(queued: QueuedSingle, answer: CallAnswer, context: OperationContext): void {
    const { call, operation, replies } = queued;
    // Not awaited: the connection is free for others.
    if (operation.kind === 'read' && operation.finish !== undefined && answer.ok)
      void this.#finish(queued, operation.finish(answer, call.request.input, context));
    else replies.addAnswer(call.id, answer);
  }

  async #finish(queued: QueuedSingle, finished: Promise<OperationResult>): Promise<void> {
    try {
      queued.replies.addAnswer(queued.call.id, await finished);
    } catch (error) {
      this.#fail([queued], error);
    }
  }

  #contextOf({ deadlineMs, caller }: Call): OperationContext {
    const { coherence } = this.#thread;
    return {
      ...caller,
      knownTags: caller.knownTags ?? '',
      deadlineMs: deadlineMs - Date.now(),
      invalidate: (code) => coherence.invalidate(code),
      noteChosenCode: () => coherence.noteChosenCode(),
      links: this.#thread.linkSettings,
    };
  }

  #fail(batch: readonly QueuedCall[], error: unknown): void {
    const [first] = batch;
    this.#logFailure(error, `${first?.call.request.operation} failed`, first?.call.caller.requestId);
    const code = errorCodeOf(error);
    for (const { call, replies } of batch) replies.addAnswer(call.id, { ok: false, error: code });
  }

  #logFailure(error: unknown, what: string, requestId?: string): void {
    const { log } = this.#thread;
    const message = `${what}: ${describeError(error)}`;
    // The supervisor logs once that PostgreSQL is away; the calls don't.
    if (retryDecisionOf(error) === 'unavailable') log.debug({ request_id: requestId }, message);
    else log.error({ error, request_id: requestId }, message);
  }
}
