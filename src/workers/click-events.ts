import type { Connection } from '../postgres/pool.js';
import { endChunk, newestChunk } from '../store/chunk-end.js';
import { type ClickChunksStep, noteRemoval, readRemoval, removeClickChunks } from '../store/click-chunks.js';
import { foldDropped } from '../store/dropped-events.js';
import { isInChunks } from '../store/event-chunks.js';
import type { WorkerThread } from './thread.js';

const STEP_DEADLINE_MS = 60_000;
/** How often minutes become quarters of an hour. */
const FOLD_MS = 60_000;

/** The chunk with the newest clicks, and since when it has been seen with any. */
let newest: { readonly name: string; readonly sinceMs: number } | undefined;
let foldedMs = 0;

/** Chunks without clicks; they are looked at again now and then, for a click may be added by hand. */
let settled = new Set<string>();
let settledMs = 0;
const LOOK_AGAIN_MS = 3_600_000;

/** How often a server notes that it removes clicks, and how often one that keeps them looks for such a note. */
const NOTE_MS = 5000;
const LOOK_MS = 2000;
let notedMs = Number.NEGATIVE_INFINITY;
let lookedMs = Number.NEGATIVE_INFINITY;
/** The note of before this server's start; `undefined` until it has been read. */
let firstNote: string | undefined;
let isWarned = false;

/**
 * CLICK_EVENTS=off: takes clicks out of chunks that get no more, and ends the newest one when it has had some for a while.
 * @param stayMs How long.
 */
export async function stepClickEvents(
  { pool, counters }: WorkerThread,
  stayMs: number,
): Promise<ClickChunksStep> {
  try {
    const step = await pool.run(STEP_DEADLINE_MS, async (connection) => {
      if (!(await isInChunks(connection))) return { removed: 0, isMore: false, isBlocked: false };
      if (performance.now() - notedMs > NOTE_MS) {
        await noteRemoval(connection);
        notedMs = performance.now();
      }
      const chunk = await newestChunk(connection);
      if (chunk === undefined || chunk.bytes === 0) newest = undefined;
      else if (chunk.name !== newest?.name) newest = { name: chunk.name, sinceMs: performance.now() };
      else if (performance.now() - newest.sinceMs > stayMs && (await endChunk(connection, chunk)))
        newest = undefined;
      if (performance.now() - settledMs > LOOK_AGAIN_MS) {
        settled = new Set();
        settledMs = performance.now();
      }
      return removeClickChunks(connection, settled);
    });
    counters.add('retentionRemoved', step.removed);
    if (!step.isMore && performance.now() - foldedMs > FOLD_MS) {
      if (!(await pool.run(STEP_DEADLINE_MS, foldDropped))) foldedMs = performance.now();
    }
    return step;
  } catch (error) {
    counters.add('retentionFailures');
    throw error;
  }
}

/** CLICK_EVENTS=on: logs, once, that another server removes clicks nevertheless. */
export async function warnOfRemoval({ config, log }: WorkerThread, connection: Connection): Promise<void> {
  if (config.CLICK_EVENTS === 'off' || isWarned || performance.now() - lookedMs < LOOK_MS) return;
  lookedMs = performance.now();
  const note = await readRemoval(connection);
  firstNote ??= note ?? '';
  if ((note ?? '') === firstNote) return;
  isWarned = true;
  log.warn(
    'another server with CLICK_EVENTS=off removes the events of clicks from this database: none are kept, in spite of CLICK_EVENTS=on here',
  );
}
