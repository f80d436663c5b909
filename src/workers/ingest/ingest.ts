import type { ClickTotals } from '../../journal/click-totals.js';
import type { Damage } from '../../journal/damage-files.js';
import { JournalReader } from '../../journal/reader.js';
import type { JournalPiece } from '../../journal/segment-reader.js';
import { type IngestJob, type IngestOutcome, nothingIngested } from '../../messages/ingest.js';
import { retryDecisionOf, sqlStateOf } from '../../postgres/failures.js';
import { describeError } from '../../runtime/describe-error.js';
import { type CheckpointRow, forgetJournal, readCheckpoint } from '../../store/clicks.js';
import type { WorkerThread } from '../thread.js';
import { ingestPiece } from './ingest-piece.js';
import { keepRejected } from './rejected-clicks.js';

const ROUNDS = 4;

/** A journal as far as this thread knows it. */
interface Known {
  readonly reader: JournalReader;
  totals: ClickTotals | undefined;
  /** The largest totals that it is known to have had. */
  noted: ClickTotals | undefined;
  /** The latest database to report. */
  databaseId: string | undefined;
  /** Whether a fault that waiting won't cure blocks its clicks. */
  isStopped: boolean;
  /** Databases for which waiting clicks have been logged. */
  elsewhere: string;
}

const journals = new Map<string, Known>();

/** What ingesting needs of its surroundings: a worker thread, or the command-line tool. */
export type IngestContext = Pick<WorkerThread, 'pool' | 'config' | 'counters' | 'log'>;

/** Ingests what a journal has, up to the largest batch. */
export async function takeInJournal(thread: IngestContext, job: IngestJob): Promise<IngestOutcome> {
  const key = `${job.folder}/${job.journalId}`;
  const known = journals.get(key) ?? {
    reader: newReader(thread, job),
    totals: undefined,
    noted: undefined,
    databaseId: undefined,
    isStopped: false,
    elsewhere: '',
  };
  journals.set(key, known);
  try {
    const outcome = await step(thread, known, job);
    if (outcome.isGone) journals.delete(key);
    setStopped(thread, known, false);
    return outcome;
  } catch (error) {
    // The checkpoint shows whether a commit without an answer took place.
    known.reader.seek(undefined);
    thread.counters.add('ingestFailures');
    const decision = retryDecisionOf(error);
    const message = describeError(error);
    const failure = `${decision}: ${message}`;
    const isStopped = !['again', 'reconnect', 'unavailable', 'incomplete'].includes(decision);
    if (isStopped && !known.isStopped) {
      const { constraint } = error as { constraint?: string };
      thread.log.error(
        { journal: job.journalId, sqlstate: sqlStateOf(error), constraint },
        `click ingest stopped: ${message}; clicks stay in the journal until the database takes them`,
      );
    }
    setStopped(thread, known, isStopped);
    return { ...nothingIngested, pendingBytes: pendingBytes(known.reader, job), hasMore: true, failure };
  }
}

/** The listing that this needs may be the very thing that failed. */
function pendingBytes(reader: JournalReader, { written }: IngestJob): number | undefined {
  try {
    return reader.pendingBytes(written);
  } catch {
    return undefined;
  }
}

function setStopped(thread: IngestContext, known: Known, isStopped: boolean): void {
  known.isStopped = isStopped;
  thread.counters.set('ingestStopped', [...journals.values()].filter((one) => one.isStopped).length);
}

function newReader(thread: IngestContext, { folder, journalId }: IngestJob): JournalReader {
  return new JournalReader(folder, journalId, (damage) => tellDamage(thread, damage));
}

async function step(thread: IngestContext, known: Known, job: IngestJob): Promise<IngestOutcome> {
  const { pool, config, counters } = thread;
  const { reader } = known;
  // A removed segment can't be ingested again: first check that the database still has it.
  if (job.mustAsk || reader.hasExpired(job.keep)) reader.seek(undefined);
  for (let round = 0; round < ROUNDS; round += 1) {
    if (reader.position === undefined) {
      const checkpoint = await pool.runReadOnly(config.CALL_DEADLINE_MS, (connection) =>
        readCheckpoint(connection, job.journalId),
      );
      resume(known, checkpoint);
    }
    const before = known.totals;
    const piece = reader.read(config.CLICK_INGEST_BATCH, job.written);
    if (piece === undefined) return finish(thread, known, job);
    const startMs = performance.now();
    const result = await ingestPiece(thread, {
      ...piece,
      journalId: job.journalId,
      keepRejected: (rejected) => keepRejected(job.folder, job.journalId, piece.from, rejected),
    });
    if (!result.done) {
      resume(known, result.checkpoint);
      continue;
    }
    reader.seek(piece.to, undefined, result.totals);
    known.totals = result.totals;
    if (piece.isGap) tellGap(thread, job, piece.unreadable);
    tellDropped(thread, result.totals.dropped - (before?.dropped ?? 0));
    const removedBytes = removeIngested(thread, reader, job);
    counters.add('ingestBatches');
    counters.add('ingestBytes', bytesOf(piece));
    counters.add('ingestSeconds', (performance.now() - startMs) / 1000);
    const pendingBytes = reader.pendingBytes(job.written);
    return {
      ...nothingIngested,
      before,
      after: result.totals,
      noted: known.noted,
      databaseId: known.databaseId,
      removedBytes,
      ...whatIsKept(reader, job),
      pendingBytes,
      newestMs: piece.clicks.at(-1)?.timeMs,
      hasMore: hasAnother(piece, pendingBytes, job),
    };
  }
  // Another server is ingesting the same journal, and is ahead.
  return { ...nothingIngested, pendingBytes: reader.pendingBytes(job.written), hasMore: true };
}

/**
 * Whether the next batch may follow at once. There is a segment after a complete one; after a full batch, what is left is
 * ingested at once if it fills another one, and gathers more clicks if not.
 */
function hasAnother(piece: JournalPiece, pendingBytes: number, { written }: IngestJob): boolean {
  if (written === undefined || piece.to.segment < written.segment) return true;
  return piece.isFull && pendingBytes >= bytesOf(piece);
}

/** Continues at the database's position, which may be before its last one. */
function resume(known: Known, checkpoint: CheckpointRow): void {
  const { databaseId, totals } = checkpoint;
  known.noted = known.reader.most(databaseId);
  known.reader.seek(checkpoint, databaseId, totals);
  known.totals = totals;
  known.databaseId = databaseId;
}

function removeIngested(
  { counters, log }: IngestContext,
  reader: JournalReader,
  { journalId, written, keep }: IngestJob,
): number {
  const removedBytes = reader.removeIngested(written, keep);
  const unseen = reader.takeUnseenBytes();
  if (unseen > 0) {
    counters.add('streamUnseenBytes', unseen);
    log.error(
      { journal: journalId, bytes: unseen },
      `${unseen} bytes of journal were removed before Kafka had their clicks: CLICK_JOURNAL_KEEP_BYTES is reached, or the disk refuses new clicks`,
    );
  }
  return removedBytes;
}

function whatIsKept(
  reader: JournalReader,
  { keep }: IngestJob,
): Pick<IngestOutcome, 'keptBytes' | 'keptForMs'> {
  if (keep === undefined) return { keptBytes: 0, keptForMs: undefined };
  const { bytes, msToNext } = reader.keeps(keep);
  return { keptBytes: bytes, keptForMs: msToNext };
}

/** Nothing to read: removes ingested segments, and the last trace of an ended journal. */
async function finish(thread: IngestContext, known: Known, job: IngestJob): Promise<IngestOutcome> {
  const { reader, totals } = known;
  const removedBytes = removeIngested(thread, reader, job);
  const isGone = job.written === undefined && reader.isGone;
  const isKept = job.written === undefined && reader.isKept;
  const kept = whatIsKept(reader, job);
  if (isGone) reader.forget();
  // The files first, for good: a checkpoint without files is harmless, files without one would count twice.
  // If the whole folder is missing, they may come back with it.
  if (isGone && reader.syncRemovals()) {
    await thread.pool.run(thread.config.CALL_DEADLINE_MS, (connection) =>
      forgetJournal(connection, job.journalId),
    );
  }
  const isForOthers = job.written === undefined && !isGone && !isKept && reader.isForOthers;
  const elsewhere = tellElsewhere(thread, known, job);
  // Perhaps we are on another database: the next step asks which one.
  if (elsewhere > 0) reader.seek(undefined);
  return {
    ...nothingIngested,
    before: totals,
    after: totals,
    noted: known.noted,
    databaseId: known.databaseId,
    removedBytes,
    ...kept,
    isAtEnd: true,
    isGone,
    isKept,
    isForOthers,
    elsewhere,
  };
}

/** Clicks on links of another database stay where they are; this is logged once. */
function tellElsewhere({ log }: IngestContext, known: Known, { journalId, written }: IngestJob): number {
  const { clicks, databaseIds } = known.reader.elsewhere(written);
  const databases = databaseIds.join(', ');
  if (clicks > 0 && databases !== known.elsewhere) {
    log.error(
      { journal: journalId, clicks, databases: databaseIds },
      `${clicks} clicks are on links of another database (${databases}): they stay in the journal and wait for it`,
    );
  }
  known.elsewhere = databases;
  return clicks;
}

function tellDropped({ log }: IngestContext, clicks: number): void {
  if (clicks <= 0) return;
  log.info(
    { clicks },
    `${clicks} clicks were dropped: their links were deleted, or their ids are other links' now`,
  );
}

function tellGap({ log }: IngestContext, { journalId }: IngestJob, clicks: number): void {
  log.error(
    { journal: journalId, clicks },
    `the database has fallen back to before what the journal keeps: ${clicks} clicks are lost (see CLICK_JOURNAL_KEEP_SECONDS)`,
  );
}

function bytesOf({ from, to }: JournalPiece): number {
  return to.offset - (from.segment === to.segment ? from.offset : 0);
}

function tellDamage({ log }: IngestContext, damage: Damage): void {
  const kept = damage.keptAs === undefined ? 'could not be kept' : `kept as ${damage.keptAs}`;
  log.error(
    { ...damage },
    `click journal: ${damage.reason} at byte ${damage.offset} of ${damage.file}: ${damage.bytes} bytes, ${kept}`,
  );
}
