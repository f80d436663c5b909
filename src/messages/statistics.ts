/** What became of one step of the statistics' sums. */
export interface StatisticsOutcome {
  /** Whether the sums hold all events; if not, they are to be built. */
  readonly isBuilt: boolean;
  /** Whether another step would find something at once. */
  readonly hasMore: boolean;
}
