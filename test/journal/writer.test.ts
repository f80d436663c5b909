import { existsSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VisitKind } from '../../src/journal/format.js';
import { makeLink, openJournal, readJournal, type TestJournal } from '../support/journal/journals.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';

let folder: string;
let open: TestJournal[];
let link: ReturnType<typeof makeLink>;

beforeEach(() => {
  folder = makeFolder('writer');
  open = [];
  // A link remembers its number in a journal, so every journal needs links of its own.
  link = makeLink(1);
});

afterEach(() => {
  for (const { journal } of open) journal.close();
  rmSync(folder, { recursive: true, force: true });
});

function start(options: Parameters<typeof openJournal>[1] = {}, at = folder): TestJournal {
  const opened = openJournal(at, options);
  open.push(opened);
  return opened;
}

function segmentsOf({ journalId }: TestJournal): string[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith(journalId))
    .sort();
}

function turn({ journal }: TestJournal, clicks: number, clicked = link): void {
  for (let count = 0; count < clicks; count += 1) journal.record(clicked);
  journal.flush();
}

/** The folder becomes a file: nothing can be opened in it, by root neither. */
function breakFolder(): void {
  renameSync(folder, `${folder}.away`);
  writeFileSync(folder, '');
}

function mendFolder(): void {
  rmSync(folder);
  renameSync(`${folder}.away`, folder);
}

describe('the writer', () => {
  it('makes no file before the first click, and wakes a sleeping ingest once', () => {
    const journal = start();
    expect(segmentsOf(journal)).toEqual([]);
    turn(journal, 0);
    expect(segmentsOf(journal)).toEqual([]);
    turn(journal, 3);
    turn(journal, 3);
    expect(journal.wakes()).toBe(1);
    journal.slot.armWake();
    turn(journal, 1);
    turn(journal, 1);
    expect(journal.wakes()).toBe(2);
    expect(journal.slot.get('framed')).toBe(8);
    expect(journal.slot.pending).toBe(8);
    expect(journal.slot.written).toEqual({
      segment: 1,
      offset: statSync(path.join(folder, segmentsOf(journal)[0] ?? '')).size,
    });
  });

  it('ends a segment that is large, old, or has many texts', async () => {
    const large = start({ segmentBytes: 4096 });
    for (let index = 0; index < 200; index += 1) turn(large, 5);
    expect(segmentsOf(large)).toHaveLength(4);
    link = makeLink(1);

    const old = start({ segmentMs: 50 });
    turn(old, 1);
    await new Promise((resolve) => setTimeout(resolve, 80));
    turn(old, 1);
    turn(old, 1);
    expect(segmentsOf(old)).toHaveLength(2);
    link = makeLink(1);

    const wordy = start();
    for (let index = 0; index < 70_000; index += 1) {
      wordy.journal.recordVisit(link, {
        referrer: `r${index}`,
        userAgent: '',
        country: '',
        address: '',
        kind: VisitKind.CLICK,
      });
      if (index % 100 === 0) wordy.journal.flush();
    }
    wordy.journal.flush();
    expect(segmentsOf(wordy)).toHaveLength(2);
    wordy.journal.close();
    expect(readJournal(folder, wordy.journalId).clicks).toHaveLength(70_000);
  });

  it.each(['never', 'turn', { everyMs: 20 }] as const)('syncs as it is told to: %j', async (sync) => {
    const journal = start({ sync });
    const before = journal.counters.get('journalSyncs');
    for (let index = 0; index < 5; index += 1) turn(journal, 1);
    if (sync === 'turn') expect(journal.counters.get('journalSyncs') - before).toBe(5);
    else if (sync === 'never') expect(journal.counters.get('journalSyncs') - before).toBe(0);
    else await eventually(() => journal.counters.get('journalSyncs') - before === 1);
  });

  it('holds what the disk refuses, in order, and writes it when it can', async () => {
    const journal = start({ segmentBytes: 4096 });
    turn(journal, 2);
    for (let index = 0; index < 100; index += 1) turn(journal, 10);
    breakFolder();
    // The open segment goes on; the next one can't be made.
    let written = 1002;
    while (journal.troubles.length === 0) {
      turn(journal, 7, makeLink(written));
      written += 7;
    }
    turn(journal, 5);
    turn(journal, 5);
    written += 10;
    expect(journal.troubles).toEqual([expect.stringMatching(/ENOTDIR|ENOENT/)]);
    expect(journal.slot.get('lost')).toBe(0);
    mendFolder();
    await eventually(() => journal.troubles.length === 2);
    expect(journal.troubles[1]).toBeUndefined();
    turn(journal, 3);
    written += 3;
    journal.journal.close();
    const { clicks, damages } = readJournal(folder, journal.journalId);
    expect([clicks.length, damages.length, journal.slot.get('lost')]).toEqual([written, 0, 0]);
  });

  it('counts as lost what does not fit into memory, exactly, and nothing after', async () => {
    const journal = start({ segmentBytes: 4096, bufferBytes: 65_536 });
    breakFolder();
    let clicked = 0;
    while (journal.slot.get('lost') < 500) {
      turn(journal, 100, makeLink(clicked, `https://example.com/${'x'.repeat(500)}`));
      clicked += 100;
    }
    const lost = journal.slot.get('lost');
    expect(journal.troubles).toHaveLength(2);
    expect(journal.troubles[1]).toBe('the disk has refused the click journal for too long');
    mendFolder();
    await eventually(() => journal.troubles.length === 3);
    turn(journal, 50);
    clicked += 50;
    journal.journal.close();
    const { clicks, damages } = readJournal(folder, journal.journalId);
    expect(journal.slot.get('accepted')).toBe(clicked);
    expect([clicks.length, damages.length]).toEqual([clicked - lost, 0]);
    expect(journal.slot.get('lost')).toBe(lost);
  });

  it('loses what the disk refuses to the end, and says so', () => {
    const journal = start();
    breakFolder();
    turn(journal, 9);
    expect(journal.slot.get('lost')).toBe(0);
    journal.journal.close();
    expect(journal.slot.get('lost')).toBe(9);
    mendFolder();
  });

  it('stops at its bound, and goes on when there is room', async () => {
    const journal = start({ segmentBytes: 16_384, maxBytes: 65_536 });
    let clicked = 0;
    while (journal.slot.get('lost') === 0) {
      turn(journal, 100);
      clicked += 100;
    }
    expect(journal.troubles).toEqual(['the click journal has reached CLICK_JOURNAL_MAX_BYTES']);
    const size = (): number =>
      segmentsOf(journal).reduce((sum, name) => sum + statSync(path.join(folder, name)).size, 0);
    expect(size()).toBeGreaterThanOrEqual(65_536);
    expect(size()).toBeLessThan(65_536 + 16_384);
    // All is complete, the last segment too: else nothing could ever be removed.
    const { written } = journal.slot;
    const { reader, clicks } = readJournal(folder, journal.journalId, { written });
    expect(clicks).toHaveLength(clicked - journal.slot.get('lost'));
    journal.slot.add('removedBytes', reader.removeIngested(written));
    expect(segmentsOf(journal)).toEqual([]);
    await eventually(() => journal.troubles.length === 2);
    const lost = journal.slot.get('lost');
    turn(journal, 30);
    expect(journal.slot.get('lost')).toBe(lost);
    journal.journal.close();
    expect(readJournal(folder, journal.journalId).clicks).toHaveLength(30);
  });

  it('begins a new segment when its file or its folder is removed', async () => {
    const journal = start({ sync: { everyMs: 20 } });
    turn(journal, 4);
    rmSync(path.join(folder, segmentsOf(journal)[0] ?? ''));
    await eventually(() => journal.troubles.length > 0);
    turn(journal, 6);
    expect(segmentsOf(journal)).toHaveLength(1);
    rmSync(folder, { recursive: true });
    await eventually(() => journal.troubles.length > 1);
    turn(journal, 5);
    expect(existsSync(folder)).toBe(true);
    journal.journal.close();
    expect(readJournal(folder, journal.journalId).clicks).toHaveLength(5);
  });
});
