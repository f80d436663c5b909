import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate } from 'node:zlib';
import type { ErrorCode } from '../../errors.js';
import type { ThreadCounters } from '../../memory/counters.js';
import type { Exchange } from './exchange.js';
import { GrowingBuffer } from './pieces.js';

export interface BodyReaderOptions {
  readonly counters: ThreadCounters;
  /** Largest sum of the bodies held at one time. */
  readonly totalBytes: number;
  readonly deadlineMs: number;
}

export type Body =
  | { readonly ok: true; readonly bytes: Buffer }
  /** `undefined`: the client went away. */
  | { readonly ok: false; readonly error: ErrorCode | undefined };

const SWEEP_MS = 100;
/** The library gives up on slow bodies; this is how often we reset its clock. */
const NUDGE_MS = 4000;
/** The minimum cost of a body, however little of it has arrived. */
const BODY_FLOOR_BYTES = 512;

const unpackers: Readonly<
  Record<string, (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>>
> = {
  gzip: promisify(gunzip) as never,
  'x-gzip': promisify(gunzip) as never,
  deflate: promisify(inflate) as never,
  br: promisify(brotliDecompress) as never,
};

interface Reading {
  readonly deadlineMs: number;
  nudgeMs: number;
  readonly exchange: Exchange;
  readonly giveUp: () => void;
}

/**
 * Reads whole request bodies, within a limit for each, a limit for all and a deadline. A request may be
 * answered before its whole body has arrived: the library reads and discards the rest, to let its sender see
 * the answer.
 */
export class BodyReader {
  readonly #options: BodyReaderOptions;
  readonly #reading = new Set<Reading>();
  readonly #sweeper: NodeJS.Timeout;
  #heldBytes = 0;

  constructor(options: BodyReaderOptions) {
    this.#options = options;
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
  }

  /**
   * Call it in the request's handler, before anything is awaited.
   * @param maxBytes Of the body as sent, and of the unpacked one.
   */
  async read(exchange: Exchange, maxBytes: number): Promise<Body> {
    const coding = exchange.contentCoding;
    const unpack = unpackers[coding];
    if (coding !== '' && coding !== 'identity' && unpack === undefined)
      return { ok: false, error: exchange.isOver ? undefined : 'CONTENT_CODING' };
    const body = await this.#receive(exchange, maxBytes);
    if (!body.ok || unpack === undefined) return body;
    try {
      return { ok: true, bytes: await unpack(body.bytes, { maxOutputLength: maxBytes }) };
    } catch (error) {
      const isTooLarge = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
      return { ok: false, error: isTooLarge ? 'BODY_TOO_LARGE' : 'BAD_REQUEST' };
    }
  }

  #receive(exchange: Exchange, maxBytes: number): Promise<Body> {
    if (exchange.isOver) return Promise.resolve({ ok: false, error: undefined });
    return new Promise((resolve) => {
      const now = performance.now();
      const buffer = new GrowingBuffer();
      let held = BODY_FLOOR_BYTES;
      const end = (body: Body): void => {
        if (!this.#reading.delete(reading)) return;
        this.#hold(-held);
        resolve(body);
      };
      const reading: Reading = {
        deadlineMs: now + this.#options.deadlineMs,
        nudgeMs: now + NUDGE_MS,
        exchange,
        giveUp: () => end({ ok: false, error: 'BODY_DEADLINE' }),
      };
      this.#reading.add(reading);
      this.#hold(held);
      exchange.onAborted(() => end({ ok: false, error: undefined }));
      exchange.res.onData((chunk, isLast) => {
        if (!this.#reading.has(reading)) return;
        const nowHeld = Math.max(BODY_FLOOR_BYTES, buffer.length + chunk.byteLength);
        this.#hold(nowHeld - held);
        held = nowHeld;
        if (buffer.length + chunk.byteLength > maxBytes) {
          end({ ok: false, error: 'BODY_TOO_LARGE' });
        } else if (this.#heldBytes > this.#options.totalBytes) {
          end({ ok: false, error: 'UNAVAILABLE' });
        } else {
          buffer.add(chunk);
          if (!isLast) return;
          // Later bytes on the connection wait in the kernel: the library would cut the connection.
          exchange.pause();
          const complete = (): void => end({ ok: true, bytes: buffer.bytes });
          // A trailer may follow the last chunk, at which the library breaks off: then nothing must be done.
          if (exchange.isChunked) setImmediate(complete);
          else complete();
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
      if (now >= reading.deadlineMs) {
        reading.giveUp();
      } else if (now >= reading.nudgeMs) {
        reading.nudgeMs = now + NUDGE_MS;
        reading.exchange.nudge();
      }
    }
  }
}
