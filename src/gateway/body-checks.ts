import { MessageChannel } from 'node:worker_threads';
import type { Checked } from '../api/check.js';
import type { SentBody } from '../api/json-body.js';
import type { ThreadCounters } from '../memory/counters.js';
import type { BodyChecked } from '../messages/body-checks.js';
import type { SupervisorLink } from './supervisor-link.js';

/** A worker parses larger bodies: in a gateway they would delay visitors. */
export const PARSED_HERE_BYTES = 128 * 1024;

/** Lets a worker check large bodies. */
export class BodyChecks {
  readonly #supervisor: Pick<SupervisorLink, 'checkBody'>;
  readonly #counters: ThreadCounters;
  readonly #deadlineMs: number;

  constructor(supervisor: Pick<SupervisorLink, 'checkBody'>, counters: ThreadCounters, deadlineMs: number) {
    this.#supervisor = supervisor;
    this.#counters = counters;
    this.#deadlineMs = deadlineMs;
  }

  /** @param sent Its bytes are transferred. @returns UNAVAILABLE if no answer came in time. */
  check(route: { readonly method: string; readonly path: string }, sent: SentBody): Promise<Checked> {
    this.#counters.add('largeBodies');
    return new Promise((resolve) => {
      const { port1, port2: port } = new MessageChannel();
      const settle = (checked: Checked): void => {
        clearTimeout(timer);
        port1.close();
        resolve(checked);
      };
      const giveUp = (): void => settle({ ok: false, error: 'UNAVAILABLE' });
      const timer = setTimeout(giveUp, this.#deadlineMs);
      port1.on('message', (checked: BodyChecked) => settle(checked));
      port1.on('close', giveUp);
      const { method, path } = route;
      const { contentType, limits } = sent;
      this.#supervisor.checkBody({ method, path, contentType, limits, bytes: ownBytes(sent.bytes), port });
    });
  }
}

/** The bytes in their own memory, which can be transferred. */
function ownBytes(bytes: Buffer): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = bytes;
  const isWhole = byteOffset === 0 && byteLength === buffer.byteLength && buffer instanceof ArrayBuffer;
  return isWhole ? buffer : new Uint8Array(bytes).buffer;
}
