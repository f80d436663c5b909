/** What a running consumer says of itself, besides the counters of its ingest. */
export class ConsumeFigures {
  /** Records of other databases, never credited. */
  foreign = 0;
  /** Databases whose records have been logged. */
  readonly foreignDatabases = new Set<string>();
  /** Records that are no click, set aside. */
  unreadable = 0;
  /** Offsets that were skipped because Kafka no longer has them, or never had: at most as many clicks are lost. */
  skipped = 0;
  /** Times the database had less of a partition than before. */
  rewinds = 0;
  /** By partition of ours: records not yet in the database, and whether a fault has stopped it. */
  readonly lag = new Map<number, number>();
  readonly stopped = new Set<number>();

  get lagRecords(): number {
    return [...this.lag.values()].reduce((sum, records) => sum + records, 0);
  }

  /** A partition is another consumer's now. */
  forget(partition: number): void {
    this.lag.delete(partition);
    this.stopped.delete(partition);
  }
}
