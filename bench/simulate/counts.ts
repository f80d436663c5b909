/** What happened in a stretch of time, of all servers. */
export interface Counts {
  /** Visits; each is a hit or a miss. */
  requests: number;
  hits: number;
  misses: number;
  /** Misses that asked for their link, and those that waited for one that did. */
  flights: number;
  coalesced: number;
  queries: number;
  /** Misses that were redirected, and visits that failed. */
  resolved: number;
  failed: number;
  ingested: number;
  /** Changes that were heard by every server. */
  invalidations: number;
  /** Seconds that the resolved misses waited, together. */
  waited: number;
}

export function noCounts(): Counts {
  return {
    requests: 0,
    hits: 0,
    misses: 0,
    flights: 0,
    coalesced: 0,
    queries: 0,
    resolved: 0,
    failed: 0,
    ingested: 0,
    invalidations: 0,
    waited: 0,
  };
}

export function difference(later: Counts, earlier: Counts): Counts {
  const names = Object.keys(later) as (keyof Counts)[];
  return Object.fromEntries(names.map((name) => [name, later[name] - earlier[name]])) as unknown as Counts;
}
