import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CountedLoad, startCountedLoad } from '../support/clients/keep-alive-load.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { makeFolder } from '../support/machine/folders.js';
import { memoryCgroup } from '../support/machine/memory-cgroup.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer, WITH_FAULTS } from '../support/server/server.js';
import { Random, report, rounds, seed, settled, timeout, totalOf } from './torture.js';

/**
 * A client that counts its answers finds every one of them in the database, however the server ends: link by
 * link, answered ≤ counted ≤ answered + under way.
 */
const CONNECTIONS = 64;
const LINKS = 25;
/** Kills of the normal tests, over all of the moments below, and of a long run. */
const KILLS = rounds(50, 1000);

const canMount = process.getuid?.() === 0 && process.platform === 'linux';

let database: TestDatabase;
let dataDir: string;

beforeEach(async () => {
  database = await createDatabase();
  dataDir = makeFolder('stored');
});

afterEach(async () => {
  rmSync(dataDir, { recursive: true, force: true });
  await database.drop();
});

async function makeCodes(): Promise<string[]> {
  const codes = Array.from({ length: LINKS }, (_, index) => `stored${index}`);
  await database.query(
    `INSERT INTO short_urls (original_url, short_code)
     SELECT 'https://example.com/' || code, code FROM unnest($1::text[]) AS code`,
    [codes],
  );
  return codes;
}

/** When a server is killed, and what makes that moment likely to be met. */
const moments: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'at any time': {},
  'while segments change and are made': { CLICK_JOURNAL_SEGMENT_BYTES: '4096' },
  'while segments are synced': { CLICK_JOURNAL_SYNC: '1' },
  'while every turn is synced': { CLICK_JOURNAL_SYNC: 'turn' },
  'with the facts of visits': { CLICK_DETAILS: 'full' },
  'while it stops': { DRAIN_DEADLINE_MS: '2000' },
};

class Sums {
  readonly answered = new Map<string, number>();
  readonly underWay = new Map<string, number>();

  add(load: CountedLoad): void {
    for (const [code, count] of load.answered)
      this.answered.set(code, (this.answered.get(code) ?? 0) + count);
    for (const [code, count] of load.underWay)
      this.underWay.set(code, (this.underWay.get(code) ?? 0) + count);
  }

  get total(): number {
    return [...this.answered.values()].reduce((sum, count) => sum + count, 0);
  }

  get unknown(): number {
    return [...this.underWay.values()].reduce((sum, count) => sum + count, 0);
  }
}

/** Ingests what is left, and compares it with what clients have counted. */
async function check(
  run: string,
  faults: number,
  codes: readonly string[],
  sums: Sums,
  environment: Record<string, string> = {},
): Promise<void> {
  const last = await startServer({ DATABASE_URL: database.url, DATA_DIR: dataDir, ...environment });
  const counted = await settled(database, sums.total);
  expect(await last.stop()).toBe(0);
  const clicks = totalOf(counted);
  report({
    run,
    faults,
    redirects: sums.total,
    unknown: sums.unknown,
    clicks,
    lost: Math.max(0, sums.total - clicks),
    twice: Math.max(0, clicks - sums.total - sums.unknown),
  });
  for (const code of codes) {
    const { counter, events } = counted.get(code) ?? { counter: -1, events: -2 };
    const answered = sums.answered.get(code) ?? 0;
    expect(counter).toBe(events);
    expect(events, `${code}: answered ${answered}`).toBeGreaterThanOrEqual(answered);
    expect(events).toBeLessThanOrEqual(answered + (sums.underWay.get(code) ?? 0));
  }
}

async function killUnderLoad(
  codes: readonly string[],
  random: Random,
  environment: Record<string, string>,
  kill: (server: TestServer) => Promise<void>,
  sums: Sums,
): Promise<void> {
  const server = await startServer({
    DATABASE_URL: database.url,
    DATA_DIR: dataDir,
    GATEWAY_THREADS: String(random.between(1, 4)),
    ...environment,
  });
  await eventually(
    () => server.banner().includes('in the journal’s file before their redirects are answered') || undefined,
  );
  const load = startCountedLoad(server.port, codes, CONNECTIONS);
  await eventually(() => load.total() > 500 || undefined);
  await sleep(random.between(0, 300));
  await kill(server);
  await load.ended;
  sums.add(load);
}

describe(`answers of a server that is killed (seed ${seed})`, () => {
  const each = Math.max(1, Math.round(KILLS / (Object.keys(moments).length + 2)));

  const few = Math.max(1, Math.round(each / 3));

  it.each(Object.entries(moments))(
    `${each} times, %s: each is counted, and no more`,
    timeout(each, 15),
    async (name, environment) => {
      const random = new Random(name);
      const codes = await makeCodes();
      const sums = new Sums();
      for (let kill = 0; kill < each; kill += 1) {
        await killUnderLoad(
          codes,
          random,
          environment,
          async (server) => {
            if (name === 'while it stops') {
              server.signal('SIGTERM');
              await sleep(random.between(0, 60));
            }
            await server.kill();
          },
          sums,
        );
      }
      await check(`kill -9 ${name}, C=${CONNECTIONS}`, each, codes, sums);
    },
  );

  it(`${each} times by abort(): each is counted, and no more`, timeout(each, 15), async () => {
    const random = new Random('abort');
    const codes = await makeCodes();
    const sums = new Sums();
    for (let kill = 0; kill < each; kill += 1) {
      await killUnderLoad(
        codes,
        random,
        WITH_FAULTS,
        async (server) => {
          server.fault({ thread: 'supervisor', action: 'abort' });
          expect(await server.exit).toBe('SIGABRT');
        },
        sums,
      );
    }
    await check(`abort(), C=${CONNECTIONS}`, each, codes, sums);
  });

  const memoryLimit = memoryCgroup();
  it.runIf(memoryLimit !== undefined)(
    `${few} times by the kernel for its memory: each is counted, and no more`,
    timeout(few, 30),
    async () => {
      const random = new Random('memory');
      const codes = await makeCodes();
      const sums = new Sums();
      for (let kill = 0; kill < few; kill += 1) {
        await killUnderLoad(
          codes,
          random,
          {},
          async (server) => {
            expect(await memoryLimit?.endByMemory(server.pid)).toBe(true);
            expect(await server.exit).toBe('SIGKILL');
          },
          sums,
        );
      }
      await check(`the kernel's memory killer, C=${CONNECTIONS}`, few, codes, sums);
    },
  );

  it.runIf(canMount)(
    `${each} times on a disk that is full: each is counted, and no more`,
    timeout(each, 20),
    async (context) => {
      const random = new Random('full');
      const disk = path.join(dataDir, 'journal');
      const codes = await makeCodes();
      mkdirSync(disk, { recursive: true });
      // Room for two segments of each gateway, and for what the server before has left.
      if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', disk]).status !== 0) {
        context.skip('a file system of our own can’t be mounted here');
      }
      try {
        const sums = new Sums();
        const filler = path.join(disk, 'filler');
        for (let kill = 0; kill < each; kill += 1) {
          const earlier = new Set(allocated(disk).keys());
          const gateways = random.between(1, 4);
          await killUnderLoad(
            codes,
            random,
            {
              CLICK_JOURNAL_SEGMENT_BYTES: '1048576',
              CLICK_JOURNAL_MODE: 'mapped',
              GATEWAY_THREADS: String(gateways),
            },
            async (server) => {
              // The segment that is in use and the one that is ready have their space, of each gateway.
              await eventually(() => {
                const own = [...allocated(disk)].filter(([journal]) => !earlier.has(journal));
                return own.filter(([, segments]) => segments >= 2).length === gateways;
              });
              fill(filler);
              await sleep(random.between(20, 200));
              await server.kill();
            },
            sums,
          );
          rmSync(filler, { force: true });
        }
        await check(`kill -9 with a full disk, C=${CONNECTIONS}`, each, codes, sums);
      } finally {
        execFileSync('umount', ['-l', disk]);
      }
    },
  );
});

/** How many segments with all their space each journal has. */
function allocated(disk: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of readdirSync(disk, { recursive: true, encoding: 'utf8' })) {
    const [journal = ''] = path.basename(name).split('.');
    const size = name.endsWith('.clicks')
      ? (statSync(path.join(disk, name), { throwIfNoEntry: false })?.size ?? 0)
      : 0;
    if (size >= 1_048_576) counts.set(journal, (counts.get(journal) ?? 0) + 1);
  }
  return counts;
}

/** Takes all the space that is left. */
function fill(file: string): void {
  for (let bytes = 1 << 20; bytes >= 4096; ) {
    try {
      writeFileSync(file, Buffer.alloc(bytes), { flag: 'a' });
    } catch {
      bytes >>= 1;
    }
  }
}
