import { BroadcastChannel } from 'node:worker_threads';
import pino from 'pino';
import { createLogger, LOG_CHANNEL, type Logger, type LogLevel, type LogMessage } from '../runtime/logger.js';

export interface LogHubOptions {
  readonly level: LogLevel;
  readonly ringMax: number;
  /** File descriptor that the lines go to. */
  readonly descriptor: number;
}

export interface LogQuery {
  readonly limit: number;
  /** Part of an entry's text, in any case; empty for all. */
  readonly filter: string;
  /** `INFO`, `WARNING`, `ERROR`; anything else for all. */
  readonly level: string;
}

/** Lines that a blocked output may leave in memory, in bytes; beyond it they are dropped. */
const OUTPUT_BUFFER_BYTES = 8 * 1024 * 1024;
const levels = new Set(['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL']);

/**
 * Where all threads' log lines meet: written out in one place, and the newest kept for GET /logs.
 */
export class LogHub {
  readonly logger: Logger;
  readonly #ring: string[];
  readonly #ringMax: number;
  #next = 0;
  readonly #output;
  readonly #channel = new BroadcastChannel(LOG_CHANNEL);

  constructor(options: LogHubOptions) {
    this.#ringMax = options.ringMax;
    this.#ring = [];
    this.#output = pino.destination({ fd: options.descriptor, sync: false, maxLength: OUTPUT_BUFFER_BYTES });
    // A reader of our output that goes away must not take the server with it.
    this.#output.on('error', () => undefined);
    this.logger = createLogger('supervisor', options.level, (line) => this.#take(line));
    this.#channel.onmessage = (event: unknown) => {
      for (const line of (event as { data: LogMessage }).data) this.#take(line);
    };
    this.#channel.unref();
  }

  /** The newest entries that match, oldest first, as the body of GET /logs. */
  query({ limit, filter, level }: LogQuery): string {
    const wantedLevel = levels.has(level) ? `"levelname":"${level}"` : '';
    const wantedText = filter.toLowerCase();
    const found: string[] = [];
    for (let age = 1; age <= this.#ring.length && found.length < limit; age += 1) {
      const line = this.#ring[(this.#next - age + this.#ring.length) % this.#ring.length] ?? '';
      if (wantedLevel !== '' && !line.includes(wantedLevel)) continue;
      if (wantedText !== '' && !textOf(line).includes(wantedText)) continue;
      found.push(line);
    }
    return `{"count":${found.length},"logs":[${found.reverse().join(',')}]}`;
  }

  /** Writes out what is still in memory, as far as the output takes it at once. */
  close(): void {
    this.#channel.close();
    try {
      this.#output.flushSync();
    } catch {
      // Nobody reads any more.
    }
  }

  #take(line: string): void {
    this.#output.write(line);
    const entry = line.trimEnd();
    if (this.#ring.length < this.#ringMax) this.#ring.push(entry);
    else this.#ring[this.#next] = entry;
    this.#next = (this.#next + 1) % this.#ringMax;
  }
}

/** The values of an entry, without the names of its fields, in lower case. */
function textOf(line: string): string {
  const values: string[] = [];
  const collect = (value: unknown): void => {
    if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) collect(inner);
    else values.push(String(value));
  };
  try {
    collect(JSON.parse(line));
  } catch {
    return line.toLowerCase();
  }
  return values.join('\n').toLowerCase();
}
