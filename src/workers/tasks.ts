import type { MessagePort } from 'node:worker_threads';
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

/** Says that the thread is there. */
export function ready(): void {
  workerThread();
}
