import { setTimeout as sleep } from 'node:timers/promises';
import { type Generator, type Load, type LoadResult, type PacedLoad, pace, saturate } from '../load/load.js';
import { peakBytes, readUsage, resetPeak, spentBetween } from '../measure/process-usage.js';
import type { Measure } from '../report/results.js';
import type { Arm } from '../rounds.js';
import type { ServerHandle } from './process.js';

export interface LoadArmOptions {
  readonly name: string;
  readonly about: string;
  readonly first: ServerHandle;
  readonly twin: ServerHandle;
  readonly generator: Generator;
  readonly load: (round: number) => Omit<Load, 'port' | 'offset'> & { readonly rate?: number };
  /** Processes of the database, where it takes part. */
  readonly databasePids?: () => number[];
  /** Whether every request on a server needs a new path. */
  readonly isDistinct?: boolean;
  /** Called with each turn's result, before the next turn. @returns further errors. */
  readonly check?: (server: ServerHandle, result: LoadResult) => Promise<number>;
}

/** Two servers of the same code that run all the time and are put under load in turns. */
export function loadArm(options: LoadArmOptions): Arm {
  const offsets = { first: 0, twin: 0 };
  return {
    name: options.name,
    about: options.about,
    measure: async (instance, round) => {
      const server = options[instance];
      const load = options.load(round);
      const full = { ...load, port: server.port, offset: offsets[instance] };
      const { result, measure } = await measureLoad(server, full, options.generator, options.databasePids);
      if (options.isDistinct === true) {
        offsets[instance] += result.requests + load.connections * (load.pipelining ?? 1);
      }
      const further = (await options.check?.(server, result)) ?? 0;
      return { ...measure, errors: measure.errors + further };
    },
  };
}

/** The server's own work after the last answer is not part of the requests' cost. */
const SETTLE_MS = 50;

/** Puts a load on a server and measures its cost. */
export async function measureLoad(
  server: ServerHandle,
  load: Load | PacedLoad,
  generator: Generator,
  databasePids: () => number[] = () => [],
): Promise<{ result: LoadResult; measure: Measure }> {
  const pids = server.pids();
  resetPeak(pids);
  const before = readUsage(pids);
  const databaseBefore = readUsage(databasePids());
  const result = await ('rate' in load && load.rate !== undefined ? pace(load) : saturate(generator, load));
  await sleep(SETTLE_MS);
  const spent = spentBetween(before, readUsage(server.pids()));
  const database = spentBetween(databaseBefore, readUsage(databasePids()));
  return {
    result,
    measure: {
      perSecond: result.requests / result.seconds,
      cpuMicros: spent.cpuMicros / result.answered,
      busiestMicros: spent.busiestMicros / result.answered,
      databaseMicros: database.cpuMicros / result.answered,
      peakBytes: peakBytes(pids),
      errors: result.errors,
      latency: result.latency,
    },
  };
}
