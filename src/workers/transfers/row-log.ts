import type { RowError } from '../../messages/transfers.js';

/** Maximum errors in an answer; further skipped rows are only counted. */
const MAX_ERRORS = 100;

/** The rows that an import skips, or can't store. */
export class RowLog {
  count = 0;
  readonly byReason = new Map<string, number>();
  readonly errors: RowError[] = [];

  add(line: number, error: string): void {
    this.count += 1;
    this.byReason.set(error, (this.byReason.get(error) ?? 0) + 1);
    if (this.errors.length < MAX_ERRORS) this.errors.push({ line, error });
  }
}
