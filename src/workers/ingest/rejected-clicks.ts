import type { JournalPosition } from '../../journal/position.js';
import type { RejectedClick } from '../../store/clicks.js';
import { type SetAside, setAside } from './set-aside.js';
import type { IngestedClick } from './visit-details.js';

/**
 * Keeps clicks that PostgreSQL refused, each with its reason, in a file beside the journal, named after the
 * batch's beginning.
 * @throws as `setAside`.
 */
export function keepRejected(
  folder: string,
  journalId: string,
  from: JournalPosition,
  rejected: readonly RejectedClick<IngestedClick>[],
): SetAside | undefined {
  if (rejected.length === 0) return undefined;
  const name = `${journalId}.${from.segment}.${from.offset}.rejected.ndjson`;
  const lines = rejected.map(({ click, reason }) => JSON.stringify({ reason, ...click }));
  return setAside(folder, name, lines, `${rejected.length} clicks were rejected`);
}
