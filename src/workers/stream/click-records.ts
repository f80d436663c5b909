import type { JournalledClick, JournalledVisit } from '../../journal/known.js';
import type { JournalPiece } from '../../journal/segment-reader.js';
import type { OutgoingRecord } from '../../kafka/transactions.js';
import { encodeProgress, type JournalProgress, positionsTopic } from '../../stream/journal-progress.js';
import { type ClickRecord, encodeClick, Header } from '../../stream/record.js';
import { isVisit, visitFacts } from '../ingest/visit-details.js';

const DATABASE = Buffer.from(Header.DATABASE);
const JOURNAL = Buffer.from(Header.JOURNAL);
const noHeaders: ReadonlyMap<Buffer, Buffer> = new Map();

/**
 * The clicks of a piece as records.
 * @param before Clicks of the journal before them.
 */
export function recordsOf(
  topic: string,
  journalId: string,
  { databaseId, clicks }: Pick<JournalPiece, 'databaseId' | 'clicks'>,
  before: number,
): OutgoingRecord[] {
  const facts = new Map<JournalledVisit, VisitFields>();
  const database: readonly (readonly [Buffer, Buffer])[] =
    databaseId === undefined ? [] : [[DATABASE, Buffer.from(databaseId)]];
  const now = Date.now();
  return clicks.map((click, index) => ({
    topic,
    key: Buffer.from(click.link.shortCode),
    value: Buffer.from(encodeClick(clickOf(click, facts))),
    headers: new Map([...database, [JOURNAL, Buffer.from(`${journalId}:${before + index}`)]]),
    // A broker refuses a record from the future of more than an hour.
    timeMs: Math.min(click.timeMs, now),
  }));
}

type VisitFields = Omit<ClickRecord, 'v' | 'code' | 'link' | 'made' | 'at' | 'target'>;

function clickOf(
  { link, visit, timeMs }: JournalledClick,
  facts: Map<JournalledVisit, VisitFields>,
): ClickRecord {
  return {
    v: 1,
    code: link.shortCode,
    link: link.urlId,
    ...(link.createdMs === undefined ? {} : { made: link.createdMs }),
    at: Math.trunc(timeMs),
    target: link.target,
    ...(visit === undefined ? {} : (facts.get(visit) ?? remember(facts, visit))),
  };
}

function remember(facts: Map<JournalledVisit, VisitFields>, visit: JournalledVisit): VisitFields {
  const found: VisitFields = {
    ...(isVisit(visit) ? {} : { kind: 'preview' as const }),
    ...visitFacts(visit),
  };
  facts.set(visit, found);
  return found;
}

/** Where the journal is after them. */
export function progressRecord(topic: string, journalId: string, progress: JournalProgress): OutgoingRecord {
  return {
    topic: positionsTopic(topic),
    key: Buffer.from(journalId),
    value: Buffer.from(encodeProgress(progress)),
    headers: noHeaders,
    timeMs: Date.now(),
  };
}
