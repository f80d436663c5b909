import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeHeader, encodeHeader, HEADER_BYTES, PAGE_BYTES, VisitKind } from '../../src/journal/format.js';
import { makeLink, readJournal } from '../support/journal/journals.js';
import { openMapped } from '../support/journal/mapped-journals.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';

/**
 * Loss of the machine, by model: of the pages that were stored to since the last sync each may have reached
 * the disk or not, or in part, or may be zeros; those that were synced and not stored to since are there.
 */
const SECTOR_BYTES = 512;

let folder: string;

beforeEach(() => {
  folder = makeFolder('machine');
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Recorded {
  readonly journalId: string;
  readonly name: string;
  /** The file as it was when the last sync had succeeded, and as it was in memory in the end. */
  readonly synced: Buffer;
  readonly final: Buffer;
  /** What was clicked, in order, and how many of these before the last sync. */
  readonly urlIds: readonly string[];
  readonly syncedClicks: number;
}

async function recordSome(syncs: number, isDetailed: boolean): Promise<Recorded> {
  const journal = await openMapped(folder, { sync: { everyMs: 1 } });
  const links = Array.from({ length: 40 }, (_, index) => makeLink(index + 1));
  const urlIds: string[] = [];
  const click = (): void => {
    const link = links[(urlIds.length * 7) % Math.min(40, 3 + Math.floor(urlIds.length / 9))] as ReturnType<
      typeof makeLink
    >;
    if (isDetailed) {
      const userAgent = `agent ${urlIds.length % 11}`;
      journal.journal.recordVisit(link, {
        referrer: '',
        userAgent,
        country: 'DE',
        address: '',
        kind: VisitKind.CLICK,
      });
    } else {
      journal.journal.record(link);
    }
    urlIds.push(link.urlId);
  };
  const turns = (count: number): void => {
    for (let turn = 0; turn < count; turn += 1) {
      for (let clicks = 0; clicks <= turn % 5; clicks += 1) click();
      journal.journal.flush();
    }
  };
  const syncsSoFar = (): number => journal.answered.filter(({ kind }) => kind === 'synced').length;
  const file = (): string => {
    const used = readdirSync(folder).filter(
      (name) =>
        name.startsWith(journal.journalId) && readFileSync(path.join(folder, name)).readUInt32LE(8) === 2,
    );
    return used[0] ?? '';
  };
  let synced: Buffer = Buffer.alloc(0);
  let syncedClicks = 0;
  for (let sync = 0; sync < syncs; sync += 1) {
    const before = syncsSoFar();
    turns(60);
    syncedClicks = urlIds.length;
    await eventually(() => syncsSoFar() > before || undefined);
    synced = readFileSync(path.join(folder, file()));
  }
  // In one go: no timer of a sync comes between.
  turns(150);
  const name = file();
  const final = readFileSync(path.join(folder, name));
  if (synced.length === 0) synced = Buffer.alloc(final.length);
  await journal.end();
  for (const left of readdirSync(folder)) rmSync(path.join(folder, left), { recursive: true, force: true });
  return { journalId: journal.journalId, name, synced, final, urlIds, syncedClicks };
}

/** The same segment, of another start of the system. */
function ofAnotherBoot(bytes: Buffer): Buffer {
  const header = decodeHeader(bytes.subarray(0, HEADER_BYTES));
  if (typeof header === 'string' || 'reason' in header) return bytes;
  const changed = Buffer.from(bytes);
  encodeHeader(changed, { ...header, bootId: randomUUID() });
  return changed;
}

type Fate = 'new' | 'old' | 'zero' | readonly boolean[];

const fate: fc.Arbitrary<Fate> = fc.oneof(
  fc.constantFrom('new' as const, 'old' as const, 'zero' as const),
  fc.array(fc.boolean(), { minLength: PAGE_BYTES / SECTOR_BYTES, maxLength: PAGE_BYTES / SECTOR_BYTES }),
);

/** What is on the disk after each page that was stored to has met its fate. */
function onDisk({ synced, final }: Recorded, fates: readonly Fate[]): Buffer {
  const disk = Buffer.from(final);
  let dirty = 0;
  for (let page = 0; page < final.length; page += PAGE_BYTES) {
    const [before, after] = [synced, final].map((bytes) => bytes.subarray(page, page + PAGE_BYTES)) as [
      Buffer,
      Buffer,
    ];
    if (before.equals(after)) continue;
    const of = fates[dirty % fates.length] as Fate;
    dirty += 1;
    if (of === 'old') before.copy(disk, page);
    else if (of === 'zero') disk.fill(0, page, page + PAGE_BYTES);
    else if (of !== 'new')
      for (const [sector, isNew] of of.entries())
        if (!isNew)
          before.copy(disk, page + sector * SECTOR_BYTES, sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
  }
  return disk;
}

function isSubsequence(part: readonly string[], whole: readonly string[]): boolean {
  let index = 0;
  for (const one of whole) if (index < part.length && part[index] === one) index += 1;
  return index === part.length;
}

describe.each([
  ['plain', false],
  ['detailed', true],
] as const)('after a loss of the machine (%s)', (_, isDetailed) => {
  it.each([0, 1, 3])(
    'nothing that was synced is lost, nothing counts twice, and nothing is believed that is not whole: %i syncs',
    async (syncs) => {
      const recorded = await recordSome(syncs, isDetailed);
      const { urlIds, syncedClicks, journalId, name } = recorded;
      const disks = makeFolder('disks');
      fc.assert(
        fc.property(fc.array(fate, { minLength: 1, maxLength: 40, size: 'max' }), (fates) => {
          mkdirSync(disks, { recursive: true });
          writeFileSync(path.join(disks, name), ofAnotherBoot(onDisk(recorded, fates)));
          const { clicks, unreadable } = readJournal(disks, journalId);
          const seen = clicks.map(({ link }) => link.urlId);
          expect(seen.slice(0, syncedClicks)).toEqual(urlIds.slice(0, syncedClicks));
          expect(isSubsequence(seen, urlIds)).toBe(true);
          expect(seen.length + unreadable).toBeLessThanOrEqual(urlIds.length);
          rmSync(disks, { recursive: true });
        }),
        { numRuns: 400 },
      );
    },
  );

  it('where every page reached the disk, all is there', async () => {
    const recorded = await recordSome(2, isDetailed);
    const disks = makeFolder('disks');
    writeFileSync(path.join(disks, recorded.name), ofAnotherBoot(recorded.final));
    const { clicks, unreadable, damages } = readJournal(disks, recorded.journalId);
    expect(clicks.map(({ link }) => link.urlId)).toEqual(recorded.urlIds);
    expect([unreadable, damages]).toEqual([0, []]);
    rmSync(disks, { recursive: true });
  });
});
