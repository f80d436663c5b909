import type { Connection } from '../postgres/pool.js';

/** Held by the server that changes the sums: one at a time. */
const STATISTICS_LOCK = 0x5357_0003;

/** Takes the lock until the transaction ends. @returns `false` if another server has it. */
export async function hasStatisticsLock(connection: Connection): Promise<boolean> {
  const { rows } = await connection.query<{ locked: string }>(
    'SELECT pg_try_advisory_xact_lock($1) AS locked',
    [STATISTICS_LOCK],
  );
  return rows[0]?.locked === 't';
}

/** What waits to be added to the sums, and how far behind they are. */
export interface WaitingDifferences {
  /** Whether the sums have all events; if not, they have to be built. */
  readonly isBuilt: boolean;
  /** Rows that still wait, and for how long the oldest has, in seconds. */
  readonly queued: number;
  readonly behindSeconds: number;
}

/** Roughly how many clicks and previews one transaction adds, and how many rows. */
const AMOUNT_A_STEP = 500_000;
const ROWS_A_STEP = 2000;
/** A guess: a row of the triggers does not say how much is in it. */
const AMOUNT_OF_OTHERS = 1000;

/** Differences noted by triggers, and those of the ingest's batches. */
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

/** Rows that are added to the sums together; a reset voids what was summed before. */
export interface WaitingRun {
  readonly ids: readonly string[];
  readonly reset: 'no_events' | 'no_owners' | undefined;
}

/**
 * What a step has to add, in order, and whether that is all. A TRUNCATE has the table to itself: changes before it have
 * lower ids, changes after it higher ones.
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
