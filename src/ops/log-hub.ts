import { BroadcastChannel } from 'node:worker_threads';
import {
  createLogger,
  LOG_CHANNEL,
  LOG_LEVEL_CHANNEL,
  type Logger,
  type LogLevel,
  type LogMessage,
} from '../runtime/logger.js';
import type { LogOutput } from './log-output.js';
import { LogRing } from './log-ring.js';

export interface LogHubOptions {
  readonly level: LogLevel;
  readonly ringMax: number;
  readonly output: LogOutput;
  /** What the output gets instead of a line of JSON. */
  readonly format?: ((line: string) => string) | undefined;
}

/** How long a stop waits for an output that accepts no lines. */
const CLOSE_MS = 300;

/**
 * Where all threads' log lines meet: written out in one place, and the newest kept for GET /logs.
 */
export class LogHub {
  readonly logger: Logger;
  readonly ring: LogRing;
  readonly #output: LogOutput;
  readonly #format: LogHubOptions['format'];
  readonly #channel = new BroadcastChannel(LOG_CHANNEL);
  readonly #levels = new BroadcastChannel(LOG_LEVEL_CHANNEL);

  constructor(options: LogHubOptions) {
    this.ring = new LogRing(options.ringMax);
    this.#output = options.output;
    this.#format = options.format;
    this.logger = createLogger('supervisor', options.level, (line) => this.#take(line));
    this.#channel.onmessage = (event: unknown) => {
      for (const line of (event as { data: LogMessage }).data) this.#take(line);
    };
    this.#channel.unref();
    this.#levels.unref();
  }

  /** Lines that the output did not accept. */
  get droppedLines(): number {
    return this.#output.droppedLines;
  }

  /** For all threads, from now on. */
  setLevel(level: LogLevel): void {
    this.logger.level = level;
    this.#levels.postMessage(level);
  }

  /** Writes out lines that are still in memory, as far as the output accepts them in a moment. */
  async close(): Promise<void> {
    this.#channel.close();
    this.#levels.close();
    await this.#output.drain(CLOSE_MS);
  }

  #take(line: string): void {
    this.#output.write(this.#format === undefined ? line : this.#format(line));
    this.ring.add(line.trimEnd());
  }
}
