import type { Question } from '../messages/supervisor.js';
import type { LogRing } from './log-ring.js';
import type { Metrics } from './metrics.js';

type LogQuestion = Extract<Question, { of: 'logs' }>;

/** `undefined` without an answer in time. */
type Answer = (body: string | undefined) => void;

interface Search {
  readonly waiting: Waiting;
  readonly steps: Generator<void, string>;
}

interface Waiting {
  readonly question: LogQuestion;
  readonly untilMs: number;
  readonly answer: Answer;
}

/** Beyond this many, questions are refused at once. */
const WAITING_MAX = 64;
const EXPIRES_MS = 2000;
/** The supervisor searches for this long at a time, then leaves its thread to other work. */
const SLICE_MS = 1;
const PAUSE_MS = 4;

/**
 * Questions to the supervisor through a gateway. Coherence, ingest and stopping are the same thread's work,
 * and no number of questions may delay them: few wait, none for long, and together they get a fifth of the
 * thread's time.
 */
export class Questions {
  readonly #metrics: Metrics;
  readonly #logs: LogRing;
  readonly #expiresMs: number;
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  #search: Search | undefined;

  /** @param expiresMs How long a question may wait; a gateway waits as long for the answer. */
  constructor(metrics: Metrics, logs: LogRing, expiresMs = EXPIRES_MS) {
    this.#metrics = metrics;
    this.#logs = logs;
    this.#expiresMs = expiresMs;
  }

  ask(question: Question, answer: Answer): void {
    switch (question.of) {
      case 'metrics':
        this.#metrics.text().then(answer, () => answer(undefined));
        break;
      case 'logs':
        if (this.#waiting.length >= WAITING_MAX) {
          answer(undefined);
          return;
        }
        this.#waiting.push({ question, untilMs: performance.now() + this.#expiresMs, answer });
        this.#timer ??= setTimeout(() => this.#work(), 0).unref();
        break;
      default:
        throw new Error(`no such question: ${String(question satisfies never)}`);
    }
  }

  /** Waiting questions get no answer. */
  close(): void {
    clearTimeout(this.#timer);
    for (const { answer } of this.#waiting) answer(undefined);
    this.#search?.waiting.answer(undefined);
    this.#waiting = [];
    this.#search = undefined;
  }

  #work(): void {
    const endMs = performance.now() + SLICE_MS;
    while (performance.now() < endMs) {
      this.#search ??= this.#next();
      if (this.#search === undefined) {
        this.#timer = undefined;
        return;
      }
      const step = this.#search.steps.next();
      if (step.done !== true) continue;
      this.#search.waiting.answer(step.value);
      this.#search = undefined;
    }
    this.#timer = setTimeout(() => this.#work(), PAUSE_MS).unref();
  }

  #next(): Search | undefined {
    for (;;) {
      const waiting = this.#waiting.shift();
      if (waiting === undefined) return undefined;
      if (performance.now() < waiting.untilMs) return { waiting, steps: this.#logs.search(waiting.question) };
      waiting.answer(undefined);
    }
  }
}
