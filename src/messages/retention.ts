/** How far a round of removing old events is. */
export interface RetentionCursor {
  /** Events from then on stay. As PostgreSQL writes it, as is `timestamp`. */
  readonly before: string;
  /** The last event that was looked at: events are, in the order of their times and ids. */
  readonly timestamp: string;
  readonly id: string;
}

/** What became of one piece of a round. */
export interface RetentionOutcome {
  /** Where to go on; `undefined` at the end of the round. */
  readonly next: RetentionCursor | undefined;
  readonly removed: number;
  /** Events that are left for not being in an archive, though their month has been over for a day. */
  readonly unarchived: number;
  /** Whether another server removes events now: the round is left to it. */
  readonly isElsewhere: boolean;
}
