import type { MessagePort } from 'node:worker_threads';
import { buildMissingIndexes } from '../store/background-indexes.js';
import { maintainDatabase } from '../store/migrate.js';
import { CallServer } from './calls/server.js';
import { workerThread } from './thread.js';

export { ingestJournal } from './ingest/ingest.js';
/**
 * The entry of every worker thread: each export is a task that Piscina runs by its name.
 */
export { importFromPort } from './transfers/import.js';
export { listToPort } from './transfers/list.js';

let calls: CallServer | undefined;

/** Serves one gateway's calls until it closes the port. */
export async function serveCalls({ port }: { port: MessagePort }): Promise<void> {
  calls ??= new CallServer(workerThread());
  await calls.serve(port);
}

/** The database's upkeep, now and then. */
export async function maintain(): Promise<void> {
  const { pool, config } = workerThread();
  await pool.run(config.DELETE_DEADLINE_MS, maintainDatabase);
}

/** An index of a table with a hundred million rows takes less. */
const INDEX_DEADLINE_MS = 86_400_000;

/** Builds the indexes that an upgrade left to be built while the server serves. */
export async function buildIndexes(): Promise<void> {
  const { pool, log } = workerThread();
  await pool.runOnce(INDEX_DEADLINE_MS, async (connection) => {
    await connection.query('SET statement_timeout = 0');
    try {
      const isComplete = await buildMissingIndexes(connection, ({ name, missing }) =>
        log.info(
          { index: name, missing },
          `building the index ${name}, ${missing} to go; links are served meanwhile`,
        ),
      );
      if (!isComplete) log.info('another server builds the missing indexes');
    } finally {
      await connection.query('RESET statement_timeout');
    }
  });
}

/** Says that the thread is there. */
export function ready(): void {
  workerThread();
}
