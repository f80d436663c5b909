import { comparePositions } from '../../journal/position.js';
import { JournalReader } from '../../journal/reader.js';
import { type IngestJob, type IngestOutcome, nothingIngested } from '../../messages/ingest.js';
import { describeError } from '../../runtime/describe-error.js';
import type { IngestContext } from './ingest.js';

const readers = new Map<string, JournalReader>();

/**
 * Removes what Kafka has of a journal, which is nobody else's to have (CLICK_INGEST=consume). It asks PostgreSQL for
 * nothing. Nothing is kept: what the database loses by falling back in time comes again from Kafka.
 */
export function passJournal({ log }: Pick<IngestContext, 'log'>, job: IngestJob): IngestOutcome {
  const { folder, journalId, written, streamed } = job;
  const key = `${folder}/${journalId}`;
  const reader = readers.get(key) ?? new JournalReader(folder, journalId, () => undefined);
  readers.set(key, reader);
  const position = streamed ?? { segment: 0, offset: 0, clicks: 0 };
  try {
    reader.seek(position);
    const removedBytes = reader.removeIngested(written);
    const pendingBytes = reader.pendingBytes(written);
    const isGone = written === undefined && reader.isGone;
    if (isGone) {
      reader.forget();
      reader.syncRemovals();
      readers.delete(key);
    }
    const isAtEnd = isGone || (written !== undefined && comparePositions(position, written) >= 0);
    return {
      ...nothingIngested,
      streamedClicks: position.clicks,
      removedBytes,
      pendingBytes,
      isAtEnd,
      isGone,
    };
  } catch (error) {
    const failure = describeError(error);
    log.debug({ error }, 'the segments of a journal could not be removed');
    return { ...nothingIngested, pendingBytes: undefined, failure };
  }
}
