/** What became of a journal's clicks, from its beginning. */
export interface ClickTotals {
  /** In the database. */
  readonly clicks: number;
  /** Dropped: their link was deleted before they came. */
  readonly dropped: number;
  /** Rejected by the database and set aside. */
  readonly rejected: number;
  /** Damaged in the journal. */
  readonly unreadable: number;
}
