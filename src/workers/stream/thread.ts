import type { Config } from '../../config.js';
import { Counters, type ThreadCounters } from '../../memory/counters.js';
import { createThreadLogger, type Logger } from '../../runtime/logger.js';
import { watchThread } from '../../runtime/thread-health.js';

/** What the supervisor starts the thread of the stream with. */
export interface StreamData {
  readonly config: Config;
  readonly role: 'stream';
  readonly counters: SharedArrayBuffer;
}

export interface StreamThread {
  readonly config: Config;
  readonly counters: ThreadCounters;
  readonly log: Logger;
}

export function startStreamThread({ config, role, counters }: StreamData): StreamThread {
  const claimed = new Counters(counters).claim(role);
  process.once('exit', claimed.release);
  watchThread(claimed.counters);
  const log = createThreadLogger(`${role}-${claimed.ordinal}`, config.LOG_LEVEL);
  return { config, counters: claimed.counters, log };
}
