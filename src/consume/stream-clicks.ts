import { type JournalledLink, VisitKind } from '../journal/format.js';
import { type CommittedRecord, headerOf } from '../kafka/committed.js';
import { type ClickRecord, decodeClick, Header, isNoRecord } from '../stream/record.js';
import type { IngestedClick, StreamedVisit } from '../workers/ingest/visit-details.js';

/** A link as a record has it; whose it is, is looked up where it is ingested. */
export type StreamedLink = { -readonly [Field in keyof JournalledLink]: JournalledLink[Field] };

export interface UnreadableRecord {
  readonly record: CommittedRecord;
  readonly reason: string;
}

/** Records that follow each other, and what becomes of them. */
export interface StreamPiece {
  readonly clicks: readonly IngestedClick[];
  readonly links: readonly StreamedLink[];
  readonly unreadable: readonly UnreadableRecord[];
  /** How many are of another database, by its id. */
  readonly foreign: ReadonlyMap<string, number>;
  /** How many are of each journal, by its id. */
  readonly journals: ReadonlyMap<string, number>;
  /** How many records this is. */
  readonly size: number;
}

/**
 * Reads the first of the records, up to `max`: none that says when its link was made follows one that doesn't, which
 * no batch may mix.
 */
export function readPiece(records: readonly CommittedRecord[], max: number, databaseId: string): StreamPiece {
  const reader = new PieceReader();
  let size = 0;
  for (const record of records.slice(0, max)) {
    const origin = headerOf(record, Header.DATABASE);
    if (origin !== undefined && origin !== databaseId) reader.refuse(origin);
    else {
      const click = decodeClick(record.value);
      if (isNoRecord(click)) reader.unreadable.push({ record, reason: click.reason });
      else if (!reader.take(click)) break;
      reader.note(headerOf(record, Header.JOURNAL));
    }
    size += 1;
  }
  const { clicks, unreadable, foreign, journals } = reader;
  return { clicks, links: [...reader.links.values()], unreadable, foreign, journals, size };
}

const PLACE = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):\d+$/;

class PieceReader {
  readonly clicks: IngestedClick[] = [];
  readonly unreadable: UnreadableRecord[] = [];
  readonly foreign = new Map<string, number>();
  readonly journals = new Map<string, number>();
  /** Clicks on the same link, and visits with the same facts, share an object: what is derived from it is derived once. */
  readonly links = new Map<string, StreamedLink>();
  readonly #visits = new Map<string, StreamedVisit>();

  refuse(databaseId: string): void {
    this.foreign.set(databaseId, (this.foreign.get(databaseId) ?? 0) + 1);
  }

  /** @param place `<journal id>:<number>`. */
  note(place: string | undefined): void {
    const [, journalId] = PLACE.exec(place ?? '') ?? [];
    if (journalId !== undefined) this.journals.set(journalId, (this.journals.get(journalId) ?? 0) + 1);
  }

  /** @returns `false` for a click that can't be in one batch with those before. */
  take(click: ClickRecord): boolean {
    const [first] = this.clicks;
    if (first !== undefined && (first.link.createdMs === undefined) !== (click.made === undefined))
      return false;
    this.clicks.push({ link: this.#link(click), timeMs: click.at, visit: this.#visit(click) });
    return true;
  }

  #link({ link: urlId, code: shortCode, made: createdMs, target }: ClickRecord): StreamedLink {
    const key = `${urlId} ${createdMs} ${shortCode} ${target}`;
    let link = this.links.get(key);
    if (link === undefined) {
      link = { urlId, userId: null, shortCode, target, createdMs };
      this.links.set(key, link);
    }
    return link;
  }

  #visit(click: ClickRecord): StreamedVisit | undefined {
    const { referrer, browser, os, device, bot, country, address, method } = click;
    // In the order in which an event's details have them.
    const facts = JSON.stringify({ referrer, browser, os, device, bot, country, address, method });
    const kind = click.kind === 'preview' || method === 'HEAD' ? VisitKind.PREVIEW : VisitKind.CLICK;
    if (kind === VisitKind.CLICK && facts === '{}') return undefined;
    const key = `${kind}${facts}`;
    let visit = this.#visits.get(key);
    if (visit === undefined) {
      visit = { kind, facts: JSON.parse(facts) as StreamedVisit['facts'] };
      this.#visits.set(key, visit);
    }
    return visit;
  }
}
