import path from 'node:path';
import { requireIdentical } from '../arms/identical.js';
import { holdIngest } from '../arms/ingest-hold.js';
import { type LoadArmOptions, loadArm } from '../arms/load-arm.js';
import type { ServerHandle } from '../arms/process.js';
import { startSwitchyard } from '../arms/switchyard.js';
import { codeOf, writePopularPaths } from '../data/links.js';
import { requestText } from '../load/connection.js';
import { type Load, type LoadResult, saturate } from '../load/load.js';
import { walk } from '../load/walk.js';
import type { Arm } from '../rounds.js';
import type { Bench } from '../scenario.js';

/** Links that are asked for; all fit in the cache. */
export const LINKS = 100_000;
export const CONNECTIONS = 64;
const DRAWN_REQUESTS = 400_000;
const WARM_UP_SECONDS = 2;

/** A server to compare with, started twice. */
export interface Baseline {
  readonly name: string;
  readonly about: string;
  readonly start: () => Promise<ServerHandle>;
}

export interface RedirectSetup {
  readonly arms: readonly Arm[];
  readonly servers: ReadonlyMap<string, readonly ServerHandle[]>;
  /** How answers differ in what is not compared. */
  readonly notes: readonly string[];
  /** For loads with a fixed rate: found only when the servers are there. */
  readonly setRate: (rate: number) => void;
}

export function popularPaths(bench: Bench): string {
  const file = path.join(bench.folder, `popular-${LINKS}.txt`);
  writePopularPaths(file, LINKS, DRAWN_REQUESTS);
  return file;
}

export interface RedirectOptions {
  /** Measures an arm's load in place of `loadArm`. Then the ingest is at work; else it is held. */
  readonly arm?: (options: LoadArmOptions) => Arm;
  /** Of Switchyard, on top of the default ones. */
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * Starts baselines and Switchyards, two of each, with all links in Switchyard's cache; lets `use` measure, and
 * ends them all.
 */
export async function withRedirectServers<T>(
  bench: Bench,
  baselines: readonly Baseline[],
  load: Omit<Load, 'port' | 'offset'> & { readonly rate?: number },
  use: (setup: RedirectSetup) => Promise<T>,
  { arm, settings = {} }: RedirectOptions = {},
): Promise<T> {
  const ends: (() => Promise<void>)[] = [];
  let current = load;
  const setRate = (rate: number): void => {
    current = { ...load, rate };
  };
  try {
    const arms: Arm[] = [];
    const servers = new Map<string, readonly ServerHandle[]>();
    const add = async (
      { name, about, start }: Baseline,
      prepare: (server: ServerHandle) => Promise<void>,
      check?: (server: ServerHandle, result: LoadResult) => Promise<number>,
    ): Promise<void> => {
      bench.progress.step(`starting ${name}`);
      const first = await start();
      ends.push(() => first.stop());
      const twin = await start();
      ends.push(() => twin.stop());
      for (const server of [first, twin]) {
        await prepare(server);
        await warmUp(bench, server, load);
      }
      servers.set(name, [first, twin]);
      const makeArm = arm ?? loadArm;
      arms.push(
        makeArm({
          name,
          about,
          first,
          twin,
          generator: bench.generator,
          load: () => current,
          ...(check === undefined ? {} : { check }),
        }),
      );
    };
    if (bench.subjects.length === 1)
      for (const baseline of baselines) await add(baseline, async () => undefined);
    for (const subject of bench.subjects) {
      const start = async (): Promise<ServerHandle> => {
        const database = await bench.postgres.database(LINKS, [], subject.root);
        ends.push(() => bench.postgres.drop(database));
        const server = await startSwitchyard({
          root: subject.root,
          databaseUrl: database.url,
          placement: 'server core',
          profiles: bench.profiles,
          settings: { ...settings, ...subject.settings },
        });
        await fillCache(server);
        if (arm === undefined) ends.push(await holdIngest(database));
        return server;
      };
      const about = `the real server: cache warm, click journalled, metrics on, ${arm === undefined ? 'ingest held by a lock' : 'ingest at work'}`;
      await add({ name: subject.name, about, start }, async () => undefined, checkClicks);
    }
    const named = [...servers].flatMap(([name, pair]) => pair.map((server) => [name, server] as const));
    const notes = await requireIdentical(named, `/${codeOf(1)}`);
    return await use({ arms, servers, notes, setRate });
  } finally {
    for (const end of ends.reverse()) await end().catch(() => undefined);
  }
}

/** Makes every link known to the server's one gateway. */
export async function fillCache(server: ServerHandle): Promise<void> {
  const requests = Array.from({ length: LINKS }, (_, index) =>
    requestText({ port: server.port }, `/${codeOf(index + 1)}`),
  );
  const wrong = await walk(server.port, requests, { connections: CONNECTIONS, expected: 302 });
  if (wrong > 0) throw new Error(`${wrong} links did not redirect`);
}

/** So that what is timed is compiled code, and the journal knows most links of its segment. */
async function warmUp(
  bench: Bench,
  server: ServerHandle,
  load: Omit<Load, 'port' | 'offset'>,
): Promise<void> {
  await saturate(bench.generator, { ...load, port: server.port, seconds: WARM_UP_SECONDS });
}

/** Every redirect must have left a click in the journal. @returns how many did not. */
async function checkClicks(server: ServerHandle): Promise<number> {
  const metrics = await server.metrics?.();
  if (metrics === undefined) return 0;
  const answered = metrics.get('http_requests_total{method="GET",route="/:short_code",status="302"}') ?? 0;
  return Math.abs(answered - (metrics.get('clicks_journalled_total') ?? 0));
}
