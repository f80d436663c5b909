import type { MessagePort } from 'node:worker_threads';
import type { AnswerBatch, CallAnswer, Resolution } from '../../messages/calls.js';

/**
 * Answers to one gateway: those of a turn travel as one message. It also knows the calls for which no caller
 * waits any more.
 */
export class Replies {
  readonly #port: MessagePort;
  #answers: (readonly [id: number, answer: CallAnswer])[] = [];
  #resolutions: Resolution[] = [];
  #isScheduled = false;
  #givenUpTo = 0;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  /** All calls of this gateway up to this id were answered without us. */
  giveUp(upTo: number): void {
    this.#givenUpTo = upTo;
  }

  isGivenUp(id: number): boolean {
    return id <= this.#givenUpTo;
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
