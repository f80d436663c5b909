import type { MessagePort } from 'node:worker_threads';
import type { ResolvedLinks } from '../api/redirect-link.js';
import type { ErrorCode } from '../errors.js';
import type { ThreadCounters } from '../memory/counters.js';
import { Database, type ServerState } from '../memory/server-state.js';
import type {
  AnswerBatch,
  Call,
  CallAnswer,
  CallBatch,
  Caller,
  CallRequest,
  CodesToResolve,
  Resolution,
} from '../messages/calls.js';

export interface CallsOptions {
  readonly state: ServerState;
  readonly counters: ThreadCounters;
  /** Calls and codes that may wait for an answer at one time. */
  readonly pendingMax: number;
  readonly deadlineMs: number;
}

/** Called with the results for flights whose codes were resolved together. */
export interface FlightControl<Flight> {
  /** A flight whose code is not among the links has no link. */
  onLinks(links: ResolvedLinks, flights: readonly Flight[]): void;
  onFailed(error: ErrorCode, flights: readonly Flight[]): void;
}

/** A short code on its way, and its listener. All flights of a gateway share one control. */
interface FlightOf<Flight> {
  readonly shortCode: string;
  readonly control: FlightControl<Flight>;
}

interface PendingCall {
  readonly deadlineMs: number;
  /** The worker that has it; none while it is queued. */
  port: MessagePort | undefined;
  readonly answer: (answer: CallAnswer) => void;
}

interface PendingResolve<Flight> {
  readonly deadlineMs: number;
  readonly port: MessagePort;
  readonly flights: readonly Flight[];
}

const NO_CALLS = { calls: [], resolves: [], resolveDeadlineMs: 0 } satisfies CallBatch;

/** A turn's codes travel in parts of this size or more, for a worker to share them among its connections. */
const CODES_A_PART = 24;

/** One coarse timer looks for calls past their deadline. */
const SWEEP_MS = 25;

/**
 * A gateway's calls to the workers. All calls of a turn travel as one message to one worker. Every
 * call is answered once: by a worker, or with UNAVAILABLE when its deadline passes, its worker dies,
 * PostgreSQL is known to be down or too many calls are waiting.
 */
export class Calls<Flight extends FlightOf<Flight>> {
  readonly #options: CallsOptions;
  readonly #ports: MessagePort[] = [];
  #nextPort = 0;
  /** A gateway listens shortly before it has a worker; earlier calls wait for the first one. */
  #hasHadWorker = false;
  readonly #startedMs = Date.now();
  readonly #pending = new Map<number, PendingCall>();
  readonly #resolving = new Map<number, PendingResolve<Flight>>();
  #resolvingFlights = 0;
  #lastId = 0;
  #queuedCalls: Call[] = [];
  #queuedFlights: Flight[] = [];
  #isScheduled = false;
  readonly #sweeper: NodeJS.Timeout;
  readonly #sendQueued = (): void => this.#send();

  constructor(options: CallsOptions) {
    this.#options = options;
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
  }

  /** A port to a worker; it is dropped when the worker ends. */
  addWorker(port: MessagePort): void {
    this.#ports.push(port);
    this.#hasHadWorker = true;
    if (this.#queuedCalls.length + this.#queuedFlights.length > 0) this.#schedule();
    port.on('message', (batch: AnswerBatch) => this.#receive(batch));
    port.on('close', () => this.#removeWorker(port));
  }

  get pendingCount(): number {
    return this.#pending.size + this.#queuedFlights.length + this.#resolvingFlights;
  }

  /** Whether the database can be expected to answer a call. */
  get hasDatabase(): boolean {
    return this.#options.state.database === Database.UP;
  }

  call(request: CallRequest, caller: Caller, deadlineMs: number): Promise<CallAnswer> {
    return new Promise((resolve) => {
      const refusal = this.#refusal();
      if (refusal !== undefined) {
        resolve({ ok: false, error: refusal });
        return;
      }
      this.#lastId += 1;
      const call: Call = { id: this.#lastId, deadlineMs: Date.now() + deadlineMs, caller, request };
      this.#queuedCalls.push(call);
      this.#pending.set(call.id, { deadlineMs: call.deadlineMs, port: undefined, answer: resolve });
      this.#options.counters.add('calls');
      this.#schedule();
    });
  }

  /** Asks for the link of a flight's code; the flight control gets the answer. */
  resolve(flight: Flight): void {
    const refusal = this.#refusal();
    if (refusal !== undefined) {
      flight.control.onFailed(refusal, [flight]);
      return;
    }
    this.#queuedFlights.push(flight);
    this.#schedule();
  }

  close(): void {
    clearInterval(this.#sweeper);
    for (const port of this.#ports) port.close();
  }

  #refusal(): ErrorCode | undefined {
    const isBusy = this.pendingCount >= this.#options.pendingMax;
    const hasWorker = this.#ports.length > 0 || !this.#hasHadWorker;
    if (!isBusy && this.hasDatabase && hasWorker) return undefined;
    this.#options.counters.add('callsRefused');
    return 'UNAVAILABLE';
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#sendQueued);
  }

  #send(): void {
    this.#isScheduled = false;
    if (!this.#hasHadWorker) return;
    const calls = this.#queuedCalls;
    const flights = this.#queuedFlights;
    this.#queuedCalls = [];
    this.#queuedFlights = [];
    const port = this.#ports[this.#nextPort % this.#ports.length];
    this.#nextPort += 1;
    if (port === undefined) {
      for (const { id } of calls) this.#settle(id, { ok: false, error: 'UNAVAILABLE' });
      flights[0]?.control.onFailed('UNAVAILABLE', flights);
      return;
    }
    for (const { id } of calls) {
      const pending = this.#pending.get(id);
      if (pending !== undefined) pending.port = port;
    }
    const resolveDeadlineMs = Date.now() + this.#options.deadlineMs;
    const resolves = this.#partsOf(flights).map((part) => this.#track(part, port, resolveDeadlineMs));
    port.postMessage({ calls, resolves, resolveDeadlineMs } satisfies CallBatch);
    this.#publish();
  }

  #partsOf(flights: readonly Flight[]): (readonly Flight[])[] {
    if (flights.length < 2 * CODES_A_PART) return flights.length === 0 ? [] : [flights];
    const size = Math.ceil(flights.length / Math.floor(flights.length / CODES_A_PART));
    const parts: (readonly Flight[])[] = [];
    for (let start = 0; start < flights.length; start += size) parts.push(flights.slice(start, start + size));
    return parts;
  }

  #track(flights: readonly Flight[], port: MessagePort, deadlineMs: number): CodesToResolve {
    this.#lastId += 1;
    this.#resolving.set(this.#lastId, { deadlineMs, port, flights });
    this.#resolvingFlights += flights.length;
    return { resolveId: this.#lastId, codes: linesOf(flights), count: flights.length };
  }

  #receive(batch: AnswerBatch): void {
    for (const [id, answer] of batch.answers) this.#settle(id, answer);
    for (const resolution of batch.resolutions) this.#settleResolution(resolution);
    this.#publish();
  }

  /** An answer after its deadline has no receiver. */
  #settle(id: number, answer: CallAnswer): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    pending.answer(answer);
  }

  #settleResolution(resolution: Resolution): void {
    const flights: Flight[] = [];
    const rest = resolution.ok ? resolution.rest : undefined;
    for (const resolveId of resolution.resolveIds) {
      const pending = this.#resolving.get(resolveId);
      if (pending === undefined) continue;
      const answered = rest === undefined ? pending.flights : this.#keepRest(resolveId, pending, rest);
      if (rest === undefined) this.#resolving.delete(resolveId);
      this.#resolvingFlights -= answered.length;
      for (const flight of answered) flights.push(flight);
    }
    if (resolution.ok) flights[0]?.control.onLinks(resolution.links, flights);
    else flights[0]?.control.onFailed(resolution.error, flights);
  }

  /** @returns the flights of those codes that are answered now. */
  #keepRest(resolveId: number, pending: PendingResolve<Flight>, rest: string): readonly Flight[] {
    const codes = new Set(rest.split('\n'));
    const isLater = ({ shortCode }: Flight): boolean => codes.has(shortCode);
    this.#resolving.set(resolveId, { ...pending, flights: pending.flights.filter(isLater) });
    return pending.flights.filter((flight) => !isLater(flight));
  }

  #sweep(): void {
    if (this.pendingCount === 0) return;
    const isDown = this.#options.state.database === Database.DOWN;
    const now = Date.now();
    if (!this.#hasHadWorker && (isDown || now >= this.#startedMs + this.#options.deadlineMs)) {
      const flights = this.#queuedFlights;
      this.#queuedFlights = [];
      flights[0]?.control.onFailed('UNAVAILABLE', flights);
    }
    for (const [id, { deadlineMs }] of this.#pending) {
      if (isDown || now >= deadlineMs) this.#giveUp(id);
    }
    // The worker knows these deadlines itself.
    if (isDown) for (const port of this.#ports) port.postMessage({ ...NO_CALLS, givenUpTo: this.#lastId });
    for (const [resolveId, { deadlineMs }] of this.#resolving) {
      if (isDown || now >= deadlineMs)
        this.#settleResolution({ resolveIds: [resolveId], ok: false, error: 'UNAVAILABLE' });
    }
    this.#publish();
  }

  #giveUp(id: number): void {
    this.#options.counters.add('callDeadlines');
    this.#settle(id, { ok: false, error: 'UNAVAILABLE' });
  }

  #removeWorker(port: MessagePort): void {
    const index = this.#ports.indexOf(port);
    if (index !== -1) this.#ports.splice(index, 1);
    for (const [id, pending] of this.#pending) {
      if (pending.port === port) this.#settle(id, { ok: false, error: 'UNAVAILABLE' });
    }
    for (const [resolveId, pending] of this.#resolving) {
      if (pending.port === port)
        this.#settleResolution({ resolveIds: [resolveId], ok: false, error: 'UNAVAILABLE' });
    }
  }

  #publish(): void {
    this.#options.counters.set('pendingCalls', this.pendingCount);
  }
}

function linesOf(flights: readonly { readonly shortCode: string }[]): string {
  let lines = '';
  for (let index = 0; index < flights.length; index += 1)
    lines += index === 0 ? flights[index]?.shortCode : `\n${flights[index]?.shortCode}`;
  return lines;
}
