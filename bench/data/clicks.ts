import { mkdirSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { CachedLink } from '../../src/gateway/redirect/link-cache.js';
import { LinkTable } from '../../src/gateway/redirect/link-table.js';
import { ClickJournal } from '../../src/journal/writer.js';
import { Counters } from '../../src/memory/counters.js';
import { JournalSlots } from '../../src/memory/journal-slots.js';
import { codeOf, createdMsOf, scatter, targetOf, userOf } from './links.js';
import { Zipf } from './zipf.js';

const SEED = 2;
/** Clicks of one event-loop turn under load: about as many as there are connections. */
const CLICKS_A_TURN = 64;

/** The numbers of the clicked links, the same for every arm. */
export function* clickedLinks(clicks: number, links: number): Generator<number> {
  const zipf = new Zipf(links, 1, SEED);
  for (let index = 0; index < clicks; index += 1) yield scatter(zipf.next(), links);
}

export interface WrittenJournal {
  /** DATA_DIR/journal as a killed server leaves it. */
  readonly folder: string;
  readonly bytes: number;
}

const JOURNAL_ID = '7b1f6c1e-3f5a-4d0e-9a57-0c3d2c4e8f10';

/** Writes a journal with the gateway's own writer. */
export function writeJournal(dataDir: string, clicks: number, links: number): WrittenJournal {
  const folder = path.join(dataDir, 'journal', JOURNAL_ID);
  mkdirSync(folder, { recursive: true });
  const slot = new JournalSlots().slot(0);
  const journal = new ClickJournal({
    folder,
    journalId: JOURNAL_ID,
    slot,
    counters: new Counters().claim('gateway').counters,
    segmentBytes: 16 * 2 ** 20,
    segmentMs: 60_000,
    maxBytes: 2 ** 40,
    bufferBytes: 2 ** 23,
    sync: 'never',
    onWritten: () => undefined,
    onTrouble: (error) => {
      if (error !== undefined) throw error;
    },
  });
  const table = new LinkTable(links);
  const cached = new Map<number, CachedLink>();
  let inTurn = 0;
  for (const n of clickedLinks(clicks, links)) {
    let link = cached.get(n);
    if (link === undefined) {
      const row = {
        urlId: String(n),
        userId: String(userOf(n)),
        shortCode: codeOf(n),
        target: targetOf(n),
        createdMs: createdMsOf(n),
      };
      link = new CachedLink(table).at(table.put(row, { stripe: 0, version: 0, epoch: 0 }));
      cached.set(n, link);
    }
    journal.record(link);
    inTurn += 1;
    if (inTurn < CLICKS_A_TURN) continue;
    journal.flush();
    inTurn = 0;
  }
  journal.close();
  const bytes = readdirSync(folder).reduce((sum, file) => sum + statSync(path.join(folder, file)).size, 0);
  return { folder: path.dirname(folder), bytes };
}

/** Clicks that a transaction ingests, as rows in COPY's text form and as counts by link. */
export interface ClickRows {
  readonly rows: Buffer;
  readonly ids: readonly number[];
  readonly counts: readonly number[];
}

/** The same clicks as rows, in batches of `size`. */
export function clickRows(clicks: number, links: number, size: number): ClickRows[] {
  const batches: ClickRows[] = [];
  const time = new Date().toISOString().replace('T', ' ').slice(0, 23);
  let lines: string[] = [];
  let counts = new Map<number, number>();
  const end = (): void => {
    if (lines.length === 0) return;
    batches.push({
      rows: Buffer.from(lines.join('')),
      ids: [...counts.keys()],
      counts: [...counts.values()],
    });
    lines = [];
    counts = new Map();
  };
  for (const n of clickedLinks(clicks, links)) {
    const details = JSON.stringify({ short_code: codeOf(n), original_url: targetOf(n) });
    lines.push(`${n}\t${userOf(n)}\tclick\t${time}\t${details}\n`);
    counts.set(n, (counts.get(n) ?? 0) + 1);
    if (lines.length === size) end();
  }
  end();
  return batches;
}
