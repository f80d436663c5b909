import type { Config } from '../config.js';
import type { Logger } from '../runtime/logger.js';
import type { Teardown } from '../runtime/teardown.js';
import type { IngestScheduler } from './ingest-scheduler.js';
import { StreamScheduler } from './stream-scheduler.js';
import { passStream } from './tracked-journal.js';
import type { Workers } from './worker-threads.js';

export interface StreamParts {
  readonly config: Config;
  readonly ingest: IngestScheduler;
  readonly workers: Workers;
  readonly teardown: Teardown;
  readonly log: Logger;
}

/** The stream of clicks to Kafka, where there is one. */
export function startStream({
  config,
  ingest,
  workers,
  teardown,
  log,
}: StreamParts): StreamScheduler | undefined {
  if (config.CLICK_STREAM === 'off') return undefined;
  const stream = new StreamScheduler({
    config,
    log,
    journals: ingest.journals,
    step: (job) => workers.streamJournal(job),
    check: () => workers.checkStream(),
    forget: (journalId) => void workers.forgetStreamed(journalId).catch(() => undefined),
    onPassed: passStream,
  });
  // After the gateways and before the ingest, to which it leaves half of the time.
  teardown.add({
    end: async (deadlineMs) => {
      const now = Date.now();
      await stream.close(now + Math.max(0, deadlineMs - now) / 2);
      return undefined;
    },
  });
  return stream;
}
