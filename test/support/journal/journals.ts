import { randomUUID } from 'node:crypto';
import { CachedLink } from '../../../src/gateway/redirect/link-cache.js';
import { LinkTable } from '../../../src/gateway/redirect/link-table.js';
import type { Damage } from '../../../src/journal/damage-files.js';
import type { JournalledClick } from '../../../src/journal/known.js';
import type { JournalPosition } from '../../../src/journal/position.js';
import { JournalReader } from '../../../src/journal/reader.js';
import { ClickJournal, type ClickJournalOptions } from '../../../src/journal/writer.js';
import { Counters, type ThreadCounters } from '../../../src/memory/counters.js';
import { type JournalSlot, JournalSlots } from '../../../src/memory/journal-slots.js';

const slots = new JournalSlots();
const { counters: sharedCounters } = new Counters().claim('gateway');
let nextSlot = 0;

export interface TestJournal {
  readonly journal: ClickJournal;
  readonly journalId: string;
  readonly folder: string;
  readonly slot: JournalSlot;
  readonly counters: ThreadCounters;
  readonly troubles: (string | undefined)[];
  readonly wakes: () => number;
}

/** A writer without a gateway around it. */
export function openJournal(folder: string, options: Partial<ClickJournalOptions> = {}): TestJournal {
  const slot = slots.slot(nextSlot % JournalSlots.count);
  nextSlot += 1;
  slot.reset();
  const journalId = options.journalId ?? randomUUID();
  const troubles: (string | undefined)[] = [];
  let wakes = 0;
  const journal = new ClickJournal({
    folder,
    journalId,
    slot,
    counters: sharedCounters,
    segmentBytes: 16 * 1024 * 1024,
    segmentMs: 60_000,
    maxBytes: 1024 * 1024 * 1024,
    bufferBytes: 8 * 1024 * 1024,
    sync: 'never',
    onWritten: () => {
      wakes += 1;
    },
    onTrouble: (error) => troubles.push(error?.message),
    ...options,
  });
  return { journal, journalId, folder, slot, counters: sharedCounters, troubles, wakes: () => wakes };
}

/** When the links of tests were created. */
export const CREATED_MS = Date.UTC(2026, 0, 1);

export function makeLink(
  id: number,
  target = `https://example.com/${id}`,
  userId: string | null = null,
  createdMs = CREATED_MS,
): CachedLink {
  const table = new LinkTable(1);
  const row = { urlId: String(id), userId, shortCode: `c${id}`, target, createdMs };
  return new CachedLink(table).at(table.put(row, { stripe: 0, version: 0, epoch: 0 }));
}

export interface ReadJournal {
  readonly clicks: readonly JournalledClick[];
  readonly unreadable: number;
  readonly damages: readonly Damage[];
  readonly reader: JournalReader;
}

/** Reads a journal from its start, in pieces of at least `most` clicks. */
export function readJournal(
  folder: string,
  journalId: string,
  {
    most = 1000,
    written,
    restart = false,
  }: { most?: number; written?: JournalPosition; restart?: boolean } = {},
): ReadJournal {
  const damages: Damage[] = [];
  const clicks: JournalledClick[] = [];
  let unreadable = 0;
  const start = (position: JournalPosition): JournalReader => {
    const made = new JournalReader(folder, journalId, (damage) => damages.push(damage));
    made.seek(position);
    return made;
  };
  let reader = start({ segment: 0, offset: 0 });
  for (let piece = reader.read(most, written); piece !== undefined; piece = reader.read(most, written)) {
    clicks.push(...piece.clicks);
    unreadable += piece.unreadable;
    if (restart) reader = start(piece.to);
    else reader.seek(piece.to);
  }
  return { clicks, unreadable, damages, reader };
}
