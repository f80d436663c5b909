import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startLoad } from '../support/clients/load.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { makeFolder } from '../support/machine/folders.js';
import { canMount, mountTmpfs, unmount } from '../support/machine/tmpfs.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';
import { report, Seen, seed, settled, totalOf } from './torture.js';

if (!canMount) console.warn('tests of a full disk are left out: they need root, and a mount of their own');

let database: TestDatabase;
let dataDir: string;
let disk: string;

async function lostClicks(server: TestServer): Promise<number> {
  const text = await (await server.fetch('/metrics')).text();
  return Number(text.match(/^switchyard_clicks_lost_total (\d+)$/m)?.[1]);
}

describe.runIf(canMount)(`a disk that refuses (seed ${seed})`, () => {
  beforeEach(async () => {
    database = await createDatabase();
    dataDir = makeFolder('disk');
    disk = path.join(dataDir, 'journal');
    mkdirSync(disk);
    mountTmpfs(disk, '1m');
  });

  afterEach(async () => {
    unmount(disk);
    rmSync(dataDir, { recursive: true, force: true });
    await database.drop();
  });

  async function run(name: string, refuse: () => void, relent: () => void): Promise<void> {
    const server = await startServer({
      DATABASE_URL: database.url,
      DATA_DIR: dataDir,
      // Mapped segments would go on in the space that ingested ones leave, and so would written ones if they were kept.
      CLICK_JOURNAL_MODE: 'written',
      CLICK_JOURNAL_KEEP_SECONDS: '0',
      // Small, so that both what is held in memory and what is lost are met soon.
      CLICK_JOURNAL_SEGMENT_BYTES: '16384',
      CLICK_JOURNAL_SEGMENT_MS: '200',
      CLICK_JOURNAL_BUFFER_BYTES: '65536',
    });
    const urls = await Promise.all(Array.from({ length: 10 }, () => createUrl(server)));
    const codes = urls.map((url) => url.short_code);
    for (const code of codes) await click(server, code);
    const load = startLoad(server.port, codes, 8);
    await eventually(() => load.total() > 500);
    refuse();
    const refused = load.total();
    await eventually(async () => (await lostClicks(server)) > 50, 60_000, 'a loss');
    await eventually(() => load.total() > refused + 500);
    expect(server.logs.some((entry) => entry.message.includes('click journal is in trouble'))).toBe(true);
    relent();
    await eventually(() => server.logs.some((entry) => entry.message.includes('accepts clicks again')));
    const again = load.total();
    await eventually(() => load.total() > again + 500);
    await load.stop();
    await sleep(50);
    const seen = new Seen();
    seen.add(load);
    const answered = seen.total + codes.length;
    const lost = await lostClicks(server);
    const counted = await settled(database, answered - lost);
    report({
      run: name,
      faults: 1,
      redirects: answered,
      unknown: seen.broken,
      clicks: totalOf(counted),
      lost,
      twice: Math.max(0, totalOf(counted) + lost - answered),
    });
    // Redirects went on; what was lost is what was said to be lost, exactly.
    expect([...seen.statuses]).toEqual([302]);
    expect(totalOf(counted) + lost).toBe(answered);
    for (const code of codes) expect(counted.get(code)?.counter).toBe(counted.get(code)?.events);
    expect(await server.stop()).toBe(0);
  }

  it('full: redirects go on, what is lost is counted, and it recovers without a restart', {
    timeout: 180_000,
  }, async () => {
    const filler = path.join(disk, 'filler');
    await run(
      'disk full (tmpfs)',
      () => {
        try {
          writeFileSync(filler, Buffer.alloc(2 * 1024 * 1024));
        } catch {
          // As full as it gets.
        }
      },
      () => rmSync(filler),
    );
  });

  it('read-only: the same', { timeout: 180_000 }, async () => {
    await run(
      'journal folder read-only',
      () => {
        // Laid over the folder, so that what is open stays so and nothing new can be made.
        execFileSync('mount', ['--bind', disk, disk]);
        execFileSync('mount', ['-o', 'remount,ro,bind', disk]);
        expect(spawnSync('touch', [path.join(disk, 'x')]).status).not.toBe(0);
      },
      () => execFileSync('umount', [disk]),
    );
  });
});
