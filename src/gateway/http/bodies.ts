import type { ErrorCode } from '../../errors.js';
import type { ThreadCounters } from '../../memory/counters.js';
import type { Exchange } from './exchange.js';

export interface BodiesOptions {
  readonly counters: ThreadCounters;
  /** Largest body. */
  readonly maxBytes: number;
  /** Largest sum of the bodies held at one time. */
  readonly totalBytes: number;
  readonly deadlineMs: number;
}

export type Body =
  | { readonly ok: true; readonly bytes: Buffer }
  /** `undefined`: the client went away, there is nobody to answer. */
  | { readonly ok: false; readonly error: ErrorCode | undefined };

const SWEEP_MS = 100;

/**
 * Reads whole request bodies, within a limit each, a limit in all and a deadline. A request may be
 * answered before its body has come in whole: the library reads the rest and throws it away, so that
 * its sender gets to see the answer.
 */
export class Bodies {
  readonly #options: BodiesOptions;
  readonly #reading = new Set<{ readonly deadlineMs: number; readonly giveUp: () => void }>();
  readonly #sweeper: NodeJS.Timeout;
  #heldBytes = 0;

  constructor(options: BodiesOptions) {
    this.#options = options;
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
  }

  /** To be called in the request's handler, before anything is awaited. */
  read(exchange: Exchange): Promise<Body> {
    return new Promise((resolve) => {
      const chunks: Buffer[] = [];
      let received = 0;
      const end = (body: Body): void => {
        if (!this.#reading.delete(reading)) return;
        this.#hold(-received);
        resolve(body);
      };
      const reading = {
        deadlineMs: performance.now() + this.#options.deadlineMs,
        giveUp: () => end({ ok: false, error: 'BODY_DEADLINE' }),
      };
      this.#reading.add(reading);
      exchange.onAborted(() => end({ ok: false, error: undefined }));
      exchange.res.onData((chunk, isLast) => {
        if (!this.#reading.has(reading)) return;
        received += chunk.byteLength;
        this.#hold(chunk.byteLength);
        if (received > this.#options.maxBytes) {
          end({ ok: false, error: 'BODY_TOO_LARGE' });
        } else if (this.#heldBytes > this.#options.totalBytes) {
          end({ ok: false, error: 'UNAVAILABLE' });
        } else {
          // The chunk's memory is gone when this handler returns.
          chunks.push(Buffer.from(new Uint8Array(chunk)));
          if (isLast)
            end({ ok: true, bytes: chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks) });
        }
      });
    });
  }

  close(): void {
    clearInterval(this.#sweeper);
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes;
    this.#options.counters.set('heldBodyBytes', this.#heldBytes);
  }

  #sweep(): void {
    const now = performance.now();
    for (const reading of this.#reading) {
      if (now >= reading.deadlineMs) reading.giveUp();
    }
  }
}
