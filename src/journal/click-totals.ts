/** The fate of a journal's clicks, from its beginning. */
export interface ClickTotals {
  /** In the database. */
  readonly clicks: number;
  /** Dropped: their link was deleted before they were ingested. */
  readonly dropped: number;
  /** Rejected by the database and set aside. */
  readonly rejected: number;
  /** Damaged in the journal. */
  readonly unreadable: number;
}

export const noClicks: ClickTotals = { clicks: 0, dropped: 0, rejected: 0, unreadable: 0 };

/** How many clicks of the journal are accounted for. */
export function sumOf({ clicks, dropped, rejected, unreadable }: ClickTotals): number {
  return clicks + dropped + rejected + unreadable;
}
