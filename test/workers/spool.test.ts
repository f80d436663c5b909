import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Spool, SpoolSpace } from '../../src/workers/transfers/spool.js';
import { makeFolder } from '../support/machine/folders.js';
import { canMount, mountTmpfs, unmount } from '../support/machine/tmpfs.js';

const BLOCK = 60_000;

let folder: string;
let troubles: string[];
let bytes: number;

beforeEach(() => {
  folder = path.join(makeFolder('spool'), 'spool');
  troubles = [];
  bytes = 0;
});

afterEach(() => rmSync(path.dirname(folder), { recursive: true, force: true }));

function space(maxBytes = 10_000_000): SpoolSpace {
  return new SpoolSpace({
    folder,
    maxBytes,
    onBytes: (now) => {
      bytes = now;
    },
    onTrouble: (error) => troubles.push(error.message),
  });
}

function block(index: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(BLOCK).fill(index);
}

/** What comes out until there is no more, as the runs of equal bytes in it. */
async function runsOf(spool: Spool): Promise<[number, number][]> {
  const runs: [number, number][] = [];
  for (let piece = await spool.read(); piece !== undefined; piece = await spool.read()) {
    for (const byte of piece) {
      const last = runs.at(-1);
      if (last?.[0] === byte) last[1] += 1;
      else runs.push([byte, 1]);
    }
  }
  return runs;
}

describe('a spool', () => {
  it('gives back what it was given, in order, from memory and from a file that has no name', async () => {
    const spool = space().open();
    for (let index = 0; index < 4; index += 1) expect(await spool.write(block(index))).toBe(true);
    expect(bytes).toBe(0);
    for (let index = 4; index < 20; index += 1) expect(await spool.write(block(index))).toBe(true);
    expect(bytes).toBe(16 * BLOCK);
    expect(readdirSync(folder)).toEqual([]);
    // Read in part, and written on.
    expect((await spool.read())?.[0]).toBe(0);
    for (let index = 20; index < 25; index += 1) expect(await spool.write(block(index))).toBe(true);
    expect(spool.hasUnread).toBe(true);
    expect(await runsOf(spool)).toEqual(Array.from({ length: 24 }, (_, index) => [index + 1, BLOCK]));
    expect(spool.hasUnread).toBe(false);
    // What was read is room again.
    const before = bytes;
    for (let index = 0; index < 20; index += 1) expect(await spool.write(block(index))).toBe(true);
    expect(await runsOf(spool)).toHaveLength(20);
    expect(bytes).toBe(before);
    await spool.close();
    expect(bytes).toBe(0);
    expect(troubles).toEqual([]);
  });

  it('keeps no more than all of them may, together', async () => {
    const shared = space(BLOCK * 3);
    const [one, other] = [shared.open(), shared.open()];
    for (let index = 0; index < 6; index += 1) expect(await one.write(block(index))).toBe(true);
    for (let index = 0; index < 5; index += 1) expect(await other.write(block(index))).toBe(true);
    expect(await other.write(block(5))).toBe(false);
    await one.close();
    expect(await other.write(block(5))).toBe(true);
    expect(await runsOf(other)).toHaveLength(6);
    await other.close();
    expect(bytes).toBe(0);
  });

  it('says that there is no room where there can be no file', async () => {
    writeFileSync(folder, 'in the way');
    const spool = space().open();
    for (let index = 0; index < 4; index += 1) await spool.write(block(index));
    expect(await spool.write(block(4))).toBe(false);
    expect(troubles).toEqual([expect.stringMatching(/EEXIST|ENOTDIR/)]);
    expect(await runsOf(spool)).toHaveLength(4);
    await spool.close();
    expect(bytes).toBe(0);
  });

  it.runIf(canMount)('says so of a disk that is full, and loses nothing of what it kept', async () => {
    mkdirSync(folder);
    mountTmpfs(folder, '512k');
    try {
      const spool = space().open();
      let kept = 0;
      while (await spool.write(block(kept))) kept += 1;
      expect(kept).toBeGreaterThan(8);
      expect(troubles).toEqual([expect.stringMatching(/ENOSPC/)]);
      expect(await runsOf(spool)).toEqual(Array.from({ length: kept }, (_, index) => [index, BLOCK]));
      await spool.close();
      // Nothing at all is taken of a disk that was nearly full before.
      writeFileSync(path.join(folder, 'others'), Buffer.alloc(490_000));
      const next = space().open();
      for (let index = 0; index < 4; index += 1) await next.write(block(index));
      expect(await next.write(block(4))).toBe(false);
      expect(troubles[1]).toBe('the disk is nearly full');
      await next.close();
    } finally {
      unmount(folder);
    }
  });

  it('has what a kill has left removed at the next start, and nothing else', () => {
    mkdirSync(folder);
    for (const name of ['0d9a6f1e-6d8b-4c1c-9f0a-7f4f2f1b2c3d.spool', 'notes.txt', 'x.spool'])
      writeFileSync(path.join(folder, name), '');
    space().clean();
    expect(readdirSync(folder).sort()).toEqual(['notes.txt', 'x.spool']);
    expect(troubles).toEqual([]);
    rmSync(folder, { recursive: true });
    space().clean();
    expect(troubles).toEqual([]);
    writeFileSync(folder, 'in the way');
    space().clean();
    expect(troubles).toEqual([expect.stringMatching(/ENOTDIR/)]);
  });
});
