import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimFolder, isOwned } from '../../src/runtime/folder-lock.js';
import { makeFolder } from '../support/machine/folders.js';

let folder: string;
const children: ChildProcess[] = [];
const compiled = pathToFileURL(
  path.resolve(import.meta.dirname, '../../dist/src/runtime/folder-lock.js'),
).href;

beforeEach(() => {
  folder = makeFolder('owner');
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** Another process that claims the folder and then stays. */
async function claimElsewhere(at: string): Promise<{ child: ChildProcess; has: boolean }> {
  const script = `
    import { claimFolder } from ${JSON.stringify(compiled)};
    const owner = await claimFolder(${JSON.stringify(at)});
    process.stdout.write(owner === undefined ? 'no' : 'yes');
    setInterval(() => undefined, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const answer = await new Promise<string>((resolve) =>
    child.stdout?.once('data', (data) => resolve(String(data))),
  );
  return { child, has: answer === 'yes' };
}

async function ended(child: ChildProcess): Promise<void> {
  await new Promise((resolve) => child.once('exit', resolve));
}

describe('a folder', () => {
  it('has one owner, until it is given up', async () => {
    expect(await isOwned(folder)).toBe(false);
    const owner = await claimFolder(folder);
    expect(owner).toBeDefined();
    expect(await isOwned(folder)).toBe(true);
    expect(await claimFolder(folder)).toBeUndefined();
    expect((await claimElsewhere(folder)).has).toBe(false);
    await owner?.release();
    expect(await isOwned(folder)).toBe(false);
    expect(existsSync(path.join(folder, 'owner.sock'))).toBe(false);
    const again = await claimFolder(folder);
    expect(again).toBeDefined();
    await again?.release();
  });

  it('is free when its owner was killed, and taken over by one of many', async () => {
    const { child, has } = await claimElsewhere(folder);
    expect(has).toBe(true);
    child.kill('SIGKILL');
    await ended(child);
    expect(await isOwned(folder)).toBe(false);
    const claims = await Promise.all(Array.from({ length: 6 }, () => claimElsewhere(folder)));
    expect(claims.filter((claim) => claim.has).length).toBeLessThanOrEqual(1);
    // All may have got in each other's way; whoever comes next gets it, or finds the one.
    const late = await claimFolder(folder);
    expect(claims.filter((claim) => claim.has).length + (late === undefined ? 0 : 1)).toBe(1);
    await late?.release();
  });

  it('is not free when its owner is merely stopped', async () => {
    const { child } = await claimElsewhere(folder);
    child.kill('SIGSTOP');
    expect(await isOwned(folder)).toBe(true);
    expect(await claimFolder(folder)).toBeUndefined();
    child.kill('SIGCONT');
  });

  it('may have a long name', async () => {
    const deep = path.join(folder, 'x'.repeat(120), 'y'.repeat(120));
    mkdirSync(deep, { recursive: true });
    const owner = await claimFolder(deep);
    expect(owner).toBeDefined();
    expect(await isOwned(deep)).toBe(true);
    expect((await claimElsewhere(deep)).has).toBe(false);
    await owner?.release();
    expect(await isOwned(deep)).toBe(false);
  });
});
