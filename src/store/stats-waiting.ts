import type { Connection } from '../postgres/pool.js';

/** Who changes the sums holds this lock: one server at a time. */
const STATISTICS_LOCK = 0x5357_0003;

/** Takes the lock until the transaction ends; `false` where another has it. */
export async function hasStatisticsLock(connection: Connection): Promise<boolean> {
  const { rows } = await connection.query<{ locked: string }>(
    'SELECT pg_try_advisory_xact_lock($1) AS locked',
    [STATISTICS_LOCK],
  );
  return rows[0]?.locked === 't';
}

/** What waits to be added to the sums, and how far they are behind. */
export interface WaitingDifferences {
  /** Whether the sums hold all events; if not, they are to be built. */
  readonly isBuilt: boolean;
  /** Rows that still wait, and how long the oldest has, in seconds. */
  readonly queued: number;
  readonly behindSeconds: number;
}

/** Clicks and previews that are added in one transaction, about; and rows. */
const AMOUNT_A_STEP = 500_000;
const ROWS_A_STEP = 2000;
/** A row of the triggers does not say how much is in it. */
const AMOUNT_OF_OTHERS = 1000;

/** Differences that triggers have noted, and those of the ingest's batches. */
const WAITING = `
  (SELECT id, kind, noted_at, ${AMOUNT_OF_OTHERS} AS amount FROM stats_queue
   UNION ALL SELECT id, 'batch', noted_at, amount FROM stats_batches) AS waiting`;

const waitingStatement = `
  SELECT (SELECT is_whole FROM stats_state) AS is_built,
         count(*) AS queued, greatest(extract(epoch FROM clock_timestamp() - min(noted_at)), 0) AS behind
  FROM ${WAITING}`;

/** How far the sums are behind, without changing anything. */
export async function readWaiting(connection: Connection): Promise<WaitingDifferences> {
  const { rows } = await connection.query<{ is_built: string; queued: string; behind: string | null }>(
    waitingStatement,
  );
  const [row] = rows;
  return {
    isBuilt: row?.is_built !== 'f',
    queued: Number(row?.queued ?? 0),
    behindSeconds: Number(row?.behind ?? 0),
  };
}

/** Rows that are added to the sums together; what was summed before a reset is void. */
export interface WaitingRun {
  readonly ids: readonly string[];
  readonly reset: 'no_events' | 'no_owners' | undefined;
}

/**
 * What a step is to add, in order, and whether that is all. A TRUNCATE has the table for itself: who changed it before
 * has a lower id, who does so after a higher.
 */
export async function nextRuns(
  connection: Connection,
): Promise<{ readonly runs: readonly WaitingRun[]; readonly isAll: boolean }> {
  const { rows } = await connection.query<{ id: string; kind: string; all: string }>(
    `SELECT id, kind, (SELECT count(*) FROM ${WAITING}) AS all
     FROM (SELECT id, kind, row_number() OVER in_order AS place, sum(amount) OVER in_order - amount AS before
           FROM ${WAITING} WINDOW in_order AS (ORDER BY id)) AS placed
     WHERE place <= ${ROWS_A_STEP} AND before < ${AMOUNT_A_STEP}
     ORDER BY id`,
  );
  const runs: WaitingRun[] = [];
  let ids: string[] = [];
  for (const { id, kind } of rows) {
    ids.push(id);
    if (kind !== 'no_events' && kind !== 'no_owners') continue;
    runs.push({ ids, reset: kind });
    ids = [];
  }
  if (ids.length > 0) runs.push({ ids, reset: undefined });
  return { runs, isAll: rows.length === Number(rows[0]?.all ?? 0) };
}
