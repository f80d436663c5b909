import type { JournalledLink } from '../shared/journal-format.js';
import { formatTimestamp } from '../shared/text.js';
import {
  type Checkpoint,
  type ClickBatch,
  forgetJournal,
  ingestClicks,
  readCheckpoint,
} from '../store/clicks.js';
import { COPY_NULL, copyText } from '../store/copy.js';
import { verdictOf } from '../store/failures.js';
import { inTransaction } from '../store/pool.js';
import { type Damage, type JournalledClick, type JournalPiece, JournalReader } from './journal-reader.js';
import { type WorkerThread, workerThread } from './thread.js';

/** One step of taking in a journal. */
export interface IngestJob {
  readonly folder: string;
  readonly journalId: string;
  /** How far a living gateway has written; `undefined` for a journal whose writer is no more. */
  readonly written: Checkpoint | undefined;
}

export interface IngestOutcome {
  /** Clicks that are in the database now, and those on links that are not there any more. */
  readonly ingested: number;
  readonly dropped: number;
  /** Clicks that were damaged in the journal. */
  readonly unreadable: number;
  readonly removedBytes: number;
  readonly pendingBytes: number;
  /** Time of the last click taken in by this step, ms since 1970. */
  readonly newestMs: number | undefined;
  /** Whether there may be more to take in at once. */
  readonly hasMore: boolean;
  /** Whether nothing is left of a journal whose writer is no more. */
  readonly isGone: boolean;
  /** Why nothing could be taken in; to be tried again later. */
  readonly failure?: string;
}

const TRANSACTION_DEADLINE_MS = 120_000;
const ROUNDS = 4;
const CHUNK_CHARACTERS = 128 * 1024;

const readers = new Map<string, JournalReader>();

/** Takes in what a journal has, up to the largest batch. */
export async function ingestJournal(job: IngestJob): Promise<IngestOutcome> {
  const thread = workerThread();
  const key = `${job.folder}/${job.journalId}`;
  const reader =
    readers.get(key) ?? new JournalReader(job.folder, job.journalId, (damage) => tellDamage(thread, damage));
  readers.set(key, reader);
  try {
    const outcome = await step(thread, reader, job);
    if (outcome.isGone) readers.delete(key);
    return outcome;
  } catch (error) {
    // Whether a commit that got no answer took place is for the checkpoint to tell.
    reader.seek(undefined);
    thread.counters.add('ingestFailures');
    const failure = `${verdictOf(error)}: ${error instanceof Error ? error.message : String(error)}`;
    return { ...nothing, pendingBytes: reader.pendingBytes(), hasMore: true, failure };
  }
}

const nothing: IngestOutcome = {
  ingested: 0,
  dropped: 0,
  unreadable: 0,
  removedBytes: 0,
  pendingBytes: 0,
  newestMs: undefined,
  hasMore: false,
  isGone: false,
};

async function step(thread: WorkerThread, reader: JournalReader, job: IngestJob): Promise<IngestOutcome> {
  const { pool, config, counters } = thread;
  for (let round = 0; round < ROUNDS; round += 1) {
    if (reader.position === undefined) {
      reader.seek(
        await pool.runReadOnly(config.CALL_DEADLINE_MS, (connection) =>
          readCheckpoint(connection, job.journalId),
        ),
      );
    }
    const piece = reader.read(config.CLICK_INGEST_BATCH, job.written);
    if (piece === undefined) return finish(thread, reader, job);
    const startMs = performance.now();
    const result = await pool.run(TRANSACTION_DEADLINE_MS, (connection) =>
      inTransaction(connection, () => ingestClicks(connection, batchOf(job.journalId, piece))),
    );
    if (!result.done) {
      reader.seek(result.checkpoint);
      continue;
    }
    reader.seek(piece.to);
    const removedBytes = reader.removeIngested(job.written);
    counters.add('ingestBatches');
    counters.add('ingestedClicks', result.ingested);
    counters.add('ingestDropped', result.dropped);
    counters.add('ingestBytes', bytesOf(piece));
    counters.add('ingestSeconds', (performance.now() - startMs) / 1000);
    return {
      ...nothing,
      ingested: result.ingested,
      dropped: result.dropped,
      unreadable: piece.unreadable,
      removedBytes,
      pendingBytes: reader.pendingBytes(),
      newestMs: piece.clicks.at(-1)?.timeMs,
      hasMore: piece.isFull || job.written === undefined,
    };
  }
  // Somebody else is taking in the same journal, and faster.
  return { ...nothing, pendingBytes: reader.pendingBytes(), hasMore: true };
}

/** Nothing to read: what was ingested is removed, and of an ended journal the last trace too. */
async function finish(thread: WorkerThread, reader: JournalReader, job: IngestJob): Promise<IngestOutcome> {
  const removedBytes = reader.removeIngested(job.written);
  const isGone = job.written === undefined && reader.isGone;
  if (isGone) {
    // The files first: a checkpoint without files is harmless, files without it would count twice.
    await thread.pool.run(thread.config.CALL_DEADLINE_MS, (connection) =>
      forgetJournal(connection, job.journalId),
    );
  }
  return { ...nothing, removedBytes, isGone };
}

function batchOf(journalId: string, piece: JournalPiece): ClickBatch {
  const countsByUrl = new Map<string, number>();
  for (const { link } of piece.clicks) countsByUrl.set(link.urlId, (countsByUrl.get(link.urlId) ?? 0) + 1);
  return {
    journalId,
    from: piece.from,
    to: piece.to,
    countsByUrl,
    clicks: piece.clicks.length,
    rows: (existing) => copyRows(piece.clicks, existing),
  };
}

/** Events in COPY's text form. All of a click but its time is the same for every click on its link. */
function* copyRows(clicks: readonly JournalledClick[], existing: ReadonlySet<string>): Generator<string> {
  const parts = new Map<JournalledLink, readonly [before: string, after: string]>();
  let chunk = '';
  let timeMs = Number.NaN;
  let time = '';
  for (const click of clicks) {
    const { link } = click;
    if (!existing.has(link.urlId)) continue;
    let part = parts.get(link);
    if (part === undefined) {
      const details = JSON.stringify({ short_code: link.shortCode, original_url: link.target });
      part = [`${link.urlId}\t${link.userId ?? COPY_NULL}\tclick\t`, `\t${copyText(details)}\n`];
      parts.set(link, part);
    }
    if (click.timeMs !== timeMs) {
      timeMs = click.timeMs;
      time = formatTimestamp(timeMs);
    }
    chunk += part[0] + time + part[1];
    if (chunk.length < CHUNK_CHARACTERS) continue;
    yield chunk;
    chunk = '';
  }
  if (chunk !== '') yield chunk;
}

function bytesOf({ from, to }: JournalPiece): number {
  return to.offset - (from.segment === to.segment ? from.offset : 0);
}

function tellDamage({ log }: WorkerThread, damage: Damage): void {
  const kept = damage.keptAs === undefined ? 'could not be kept' : `kept as ${damage.keptAs}`;
  log.error(
    { ...damage },
    `click journal: ${damage.reason} at byte ${damage.offset} of ${damage.file}: ${damage.bytes} bytes, ${kept}`,
  );
}
