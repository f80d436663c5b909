import type { Config } from '../config.js';
import { type JournalMode, journalMode } from '../journal/mode.js';
import { SegmentSupplier } from '../journal/supplier.js';

/** How clicks are journalled, and the maker of mapped segments. */
export interface JournalSegments {
  readonly mode: JournalMode;
  readonly supplier: SegmentSupplier | undefined;
}

/** @throws JournalModeError if the settings ask for the impossible. */
export function openSegments(config: Config, folder: string): JournalSegments {
  const mode = journalMode(config.CLICK_JOURNAL_MODE, folder);
  if (mode.kind === 'written') return { mode, supplier: undefined };
  const supplier = new SegmentSupplier({
    folder,
    segmentBytes: config.CLICK_JOURNAL_SEGMENT_BYTES,
    isSynced: config.CLICK_JOURNAL_SYNC !== 'never',
    native: mode.native,
  });
  return { mode, supplier };
}
