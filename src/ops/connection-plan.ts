/** How the server's connections are divided; the sum is DATABASE_POOL_MAX. */
export interface ConnectionPlan {
  /** The supervisor's, for LISTEN. */
  readonly listen: number;
  /** Connections of each interactive thread. */
  readonly interactive: readonly number[];
  /** Imports and streamed lists. */
  readonly transfer: number;
  /** Click ingest; 0 when it takes turns with transfers on their connection. */
  readonly ingest: number;
}

const MAX_TRANSFER = 3;
const MAX_INGEST = 2;

/**
 * Divides the budget, to keep every kind of work from waiting for another's connection: 10 become 1 to
 * listen, 4 for calls, 3 for transfers and 2 for ingest. With 3, transfers and ingest take turns.
 * @param threads Interactive threads wanted; there are never more than connections for them.
 */
export function planConnections(budget: number, threads: number): ConnectionPlan {
  const listen = 1;
  const ingest = budget <= 3 ? 0 : budget < 8 ? 1 : MAX_INGEST;
  const transfer = budget < 8 ? 1 : budget < 10 ? 2 : MAX_TRANSFER;
  const calls = budget - listen - ingest - transfer;
  const count = Math.min(threads, calls);
  const interactive = Array.from(
    { length: count },
    (_, index) => Math.floor(calls / count) + (index < calls % count ? 1 : 0),
  );
  const plan = { listen, interactive, transfer, ingest };
  // A PostgreSQL that allows no more would refuse one connection beyond the budget, and only under load.
  const sum = listen + transfer + ingest + interactive.reduce((all, part) => all + part, 0);
  if (sum !== budget || count < 1 || interactive.some((part) => part < 1)) {
    throw new Error(`a plan of ${JSON.stringify(plan)} for ${budget} connections`);
  }
  return plan;
}
