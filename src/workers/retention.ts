import { statSync } from 'node:fs';
import path from 'node:path';
import { sqlStateOf } from '../postgres/failures.js';
import type { Connection } from '../postgres/pool.js';
import { wholeArchives } from '../store/archive.js';
import {
  beginRound,
  isAtBeginning,
  type RetentionCursor,
  type RetentionStep,
  removeOldEvents,
} from '../store/retention.js';
import { dropOldChunks } from '../store/retention-chunks.js';
import type { WorkerThread } from './thread.js';

const PIECE_DEADLINE_MS = 30_000;
/** A piece takes this long at most: others that need one of its events, or its link, may have to wait. */
const LONG_MS = 500;
const SHORT_MS = 200;
const MIN_ROWS = 100;
const MAX_ROWS = 20_000;
const QUERY_CANCELED = '57014';

/** Events that a piece looks at: as many as this database removes in half a second. */
let rows = 500;

/** Removes one piece of what is older than `EVENTS_RETENTION_DAYS`; without a cursor a round begins. */
export async function stepRetention(
  { pool, counters, config }: WorkerThread,
  cursor: RetentionCursor | undefined,
): Promise<RetentionStep> {
  let begun = performance.now();
  let from = cursor;
  try {
    const step = await pool.run(PIECE_DEADLINE_MS, async (connection) => {
      from ??= await beginRound(connection, config.EVENTS_RETENTION_DAYS);
      const archives = await archivesIn(config.ARCHIVE_DIR, connection);
      if (!isAtBeginning(from)) return removeOldEvents(connection, from, rows, archives);
      const { removed, isMore } = await dropOldChunks(connection, from.before, archives);
      if (isMore) return { next: from, removed, unarchived: 0, isElsewhere: false };
      begun = performance.now();
      const first = await removeOldEvents(connection, from, rows, archives);
      return { ...first, removed: removed + first.removed };
    });
    counters.add('retentionRemoved', step.removed);
    const took = performance.now() - begun;
    if (took > LONG_MS) rows = Math.max(MIN_ROWS, Math.floor(rows / 2));
    else if (took < SHORT_MS) rows = Math.min(MAX_ROWS, Math.ceil(rows * 1.5));
    return step;
  } catch (error) {
    // The piece was too large for its second.
    if (sqlStateOf(error) === QUERY_CANCELED && rows > MIN_ROWS) {
      rows = Math.max(MIN_ROWS, Math.floor(rows / 4));
      return { next: from, removed: 0, unarchived: 0, isElsewhere: false };
    }
    counters.add('retentionFailures');
    throw error;
  }
}

/** The archives in the folder that are as they were written; `undefined` without a folder. */
async function archivesIn(folder: string | undefined, connection: Connection): Promise<string[] | undefined> {
  if (folder === undefined) return undefined;
  const known = await wholeArchives(connection);
  return known.filter(({ file, bytes }) => sizeOf(path.join(folder, file)) === bytes).map(({ file }) => file);
}

function sizeOf(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.size;
}
