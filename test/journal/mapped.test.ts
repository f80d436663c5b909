import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { noClicks } from '../../src/journal/click-totals.js';
import { MAPPED_HEADER_BYTES } from '../../src/journal/format.js';
import { journalMode } from '../../src/journal/mode.js';
import type { NativeMemory } from '../../src/journal/native.js';
import { surveyFolder } from '../../src/journal/survey.js';
import { makeLink, readJournal } from '../support/journal/journals.js';
import { type MappedJournal, nativeMemory, openMapped } from '../support/journal/mapped-journals.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';

let folder: string;
let open: MappedJournal[];

beforeEach(() => {
  folder = makeFolder('mapped');
  open = [];
});

afterEach(async () => {
  for (const journal of open) await journal.end();
  rmSync(folder, { recursive: true, force: true });
});

async function start(
  ...options: Parameters<typeof openMapped> extends [string, ...infer Rest] ? Rest : never
) {
  const journal = await openMapped(folder, ...options);
  open.push(journal);
  return journal;
}

const readyCount = ({ answered }: MappedJournal): number =>
  answered.filter(({ kind }) => kind === 'ready').length;

describe('a mapped segment', () => {
  it('holds a click before its turn is over, for whoever reads the file', async () => {
    const journal = await start();
    const link = makeLink(1);
    for (let clicks = 1; clicks <= 3; clicks += 1) {
      journal.journal.record(link);
      // As after a kill: nothing was flushed.
      expect(readJournal(folder, journal.journalId).clicks).toHaveLength(clicks);
    }
    expect(journal.counters.get('journalWrites')).toBe(0);
  });

  it('is followed by the next one, is cut to its length, and its addresses are used again', async () => {
    const native = nativeMemory(folder);
    let reserved = 0;
    const counting: NativeMemory = {
      ...native,
      reserve: (bytes) => {
        reserved += 1;
        return native.reserve(bytes);
      },
    };
    const journal = await start({ segmentBytes: 4096 }, { native: counting });
    await eventually(() => readyCount(journal) > 0);
    let clicked = 0;
    for (let segment = 0; segment < 6; segment += 1) {
      const before = readyCount(journal);
      while (journal.asked.filter(({ kind }) => kind === 'retire').length <= segment) {
        journal.journal.record(makeLink(clicked));
        journal.journal.flush();
        clicked += 1;
      }
      await eventually(() => readyCount(journal) > before || undefined);
    }
    await eventually(() => {
      const sizes = readdirSync(folder).map((name) => statSync(path.join(folder, name)).size);
      return sizes.filter((size) => size < MAPPED_HEADER_BYTES + 8192).length >= 6 || undefined;
    });
    // One that is used, one that is ready, and one whose change was under way.
    expect(reserved).toBeLessThanOrEqual(3);
    const { clicks, damages, unreadable } = readJournal(folder, journal.journalId);
    expect([clicks.length, damages, unreadable]).toEqual([clicked, [], 0]);
  });

  it('that can’t be made is reported, clicks are written before their answers meanwhile, and it is tried again', async () => {
    const native = nativeMemory(folder);
    let isFull = true;
    const failing: NativeMemory = {
      ...native,
      allocate: (descriptor, bytes) =>
        isFull ? Promise.resolve(constants.errno.ENOSPC) : native.allocate(descriptor, bytes),
    };
    const journal = await start({}, { native: failing });
    await eventually(() => journal.troubles.length > 0 || undefined);
    expect(journal.troubles[0]).toMatch(/no mapped segment: ENOSPC/);
    const link = makeLink(1);
    for (let clicks = 1; clicks <= 5; clicks += 1) {
      journal.journal.record(link);
      expect(readJournal(folder, journal.journalId).clicks).toHaveLength(clicks);
    }
    isFull = false;
    await eventually(() => journal.answered.some(({ kind }) => kind === 'ready') || undefined);
    expect(journal.troubles.at(-1)).toBeUndefined();
    const writes = journal.counters.get('journalWrites');
    for (let clicks = 0; clicks < 5; clicks += 1) journal.journal.record(link);
    expect(journal.counters.get('journalWrites')).toBe(writes);
    expect(readJournal(folder, journal.journalId).clicks).toHaveLength(10);
  });

  it('of a gateway that is no more is left where it has clicks, and removed where it has none', async () => {
    const used = await start();
    used.journal.record(makeLink(1));
    await eventually(() => readyCount(used) > 1 || undefined);
    used.supplier.ended(used.journalId);
    await used.supplier.close();
    expect(readdirSync(folder)).toHaveLength(1);
    const { clicks, damages, reader } = readJournal(folder, used.journalId);
    expect([clicks.length, damages]).toEqual([1, []]);
    reader.removeIngested(undefined);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('of a gateway that is no more is kept with what was journalled alone, and is read again from there', async () => {
    const id = '11111111-1111-4111-8111-111111111111';
    const used = await start();
    used.journal.setDatabase(id);
    for (let clicks = 0; clicks < 3; clicks += 1) used.journal.record(makeLink(1));
    used.supplier.ended(used.journalId);
    await used.supplier.close();
    const { clicks: before, reader } = readJournal(folder, used.journalId);
    const { position } = reader;
    const [name = ''] = readdirSync(folder);
    expect(statSync(path.join(folder, name)).size).toBeGreaterThan(262_144);
    reader.seek(position, id, { ...noClicks, clicks: 3 });
    expect(reader.removeIngested(undefined, { ms: 60_000, bytes: 2 ** 30 })).toBeGreaterThan(3 * 8);
    expect(reader.isKept).toBe(true);
    expect(statSync(path.join(folder, name)).size).toBeLessThan(MAPPED_HEADER_BYTES + 4096);
    const { clicks: again, damages, unreadable } = readJournal(folder, used.journalId);
    expect([again, damages, unreadable]).toEqual([before, [], 0]);
    expect(reader.most(id)).toEqual({ ...noClicks, clicks: 3 });
    // What a copy left that was cut short is nobody's.
    writeFileSync(path.join(folder, `${name}.tmp`), 'cut short');
    await surveyFolder(folder);
    expect(existsSync(path.join(folder, `${name}.tmp`))).toBe(false);
  });

  it('begins anew when its file is removed', async () => {
    const journal = await start({ sync: { everyMs: 5 } });
    journal.journal.record(makeLink(1));
    journal.journal.flush();
    for (const name of readdirSync(folder)) rmSync(path.join(folder, name));
    await eventually(() => journal.troubles.length > 0 || undefined);
    journal.journal.record(makeLink(2));
    journal.journal.flush();
    await eventually(() => readdirSync(folder).length > 0 || undefined);
  });

  it('begins where the database is another one, so that no segment has links of two', async () => {
    const journal = await start();
    journal.journal.setDatabase('11111111-1111-4111-8111-111111111111');
    journal.journal.record(makeLink(1));
    journal.journal.setDatabase('22222222-2222-4222-8222-222222222222');
    journal.journal.record(makeLink(2));
    journal.journal.flush();
    const waiting: number[] = [];
    const read = (databaseId: string): string[] => {
      const { reader } = readJournal(folder, journal.journalId);
      reader.seek({ segment: 0, offset: 0 }, databaseId);
      const found: string[] = [];
      for (
        let piece = reader.read(100, undefined);
        piece !== undefined;
        piece = reader.read(100, undefined)
      ) {
        found.push(...piece.clicks.map(({ link }) => link.urlId));
        reader.seek(piece.to);
      }
      waiting.push(reader.elsewhere(undefined).clicks);
      reader.removeIngested(undefined);
      return found;
    };
    await journal.end();
    const before = readdirSync(folder).length;
    expect(read('11111111-1111-4111-8111-111111111111')).toEqual(['1']);
    expect(readdirSync(folder).length).toBeLessThan(before);
    expect(read('22222222-2222-4222-8222-222222222222')).toEqual(['2']);
    expect(waiting).toEqual([1, 0]);
  });
});

describe('the mode', () => {
  it('is written where that is set, and says why', () => {
    expect(journalMode('written', folder)).toEqual({ kind: 'written', reason: 'CLICK_JOURNAL_MODE=written' });
  });

  it.runIf(existsSync('/proc'))('auto does not map on a file system that it does not know', () => {
    // Of all that is mounted on every Linux, this one can't hold a file at all.
    const mode = journalMode('auto', '/proc');
    expect(mode).toMatchObject({ kind: 'written', reason: expect.stringContaining('file system') });
  });
});
