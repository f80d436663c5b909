/** The limits at which the rules in ops/prometheus/rules raise an alert. */
export const alertsAt = {
  /** RedirectsSlow, once it lasts a minute. */
  p99Ms: 50,
  /** ClickJournalLag. */
  ingestBehindSeconds: 30,
  /** ClickJournalFilling. */
  journalPendingBytes: 2 ** 30,
  /** ClicksLost: any, within this time. */
  clicksLostMs: 300_000,
} as const;

const LASTING = 60;

/** Whether each of the last 60 values is beyond its limit: a single slow second is no alert. */
export function isBeyond(values: readonly (number | null)[], limit: number): boolean {
  const last = values.slice(-LASTING);
  return last.length === LASTING && last.every((value) => value !== null && value > limit);
}
