import type { Config } from '../config.js';
import { Database, type ServerState } from '../memory/server-state.js';
import type { Logger } from '../runtime/logger.js';
import type { Teardown } from '../runtime/teardown.js';
import { ConsumedWatch } from './consumed-watch.js';
import type { IngestScheduler } from './ingest-scheduler.js';
import { StreamScheduler } from './stream-scheduler.js';
import { passStream } from './tracked-journal.js';
import type { Workers } from './worker-threads.js';

export interface StreamParts {
  readonly config: Config;
  readonly state: ServerState;
  readonly ingest: IngestScheduler;
  readonly workers: Workers;
  readonly teardown: Teardown;
  readonly log: Logger;
}

/** The stream of clicks to Kafka, where there is one. */
export function startStream({
  config,
  state,
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
  if (config.CLICK_INGEST === 'consume') {
    const watch = new ConsumedWatch({
      state,
      journals: ingest.journals,
      read: (journalIds) => workers.readConsumed(journalIds),
    });
    watch.start();
    teardown.add({ end: async () => watch.stop() as undefined });
  }
  return stream;
}

/**
 * What the ingest needs to know of the database. Where PostgreSQL gets its clicks from Kafka, the ingest only removes what
 * Kafka has, with the database or without it.
 */
export function stateForIngest(
  { CLICK_INGEST }: Config,
  state: ServerState,
): Pick<ServerState, 'database' | 'clicksInStream'> {
  if (CLICK_INGEST === 'server') return state;
  return {
    database: Database.UP,
    get clicksInStream() {
      return state.clicksInStream;
    },
    set clicksInStream(clicks: number) {
      state.clicksInStream = clicks;
    },
  };
}
