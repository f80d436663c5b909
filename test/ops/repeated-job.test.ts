import { describe, expect, it } from 'vitest';
import { RepeatedJob, type RepeatedJobOptions } from '../../src/ops/repeated-job.js';
import { createLogger } from '../../src/runtime/logger.js';
import { eventually } from '../support/machine/wait.js';

function start(options: Partial<RepeatedJobOptions>): { job: RepeatedJob; logged: string[] } {
  const logged: string[] = [];
  const job = new RepeatedJob({
    log: createLogger('test', 'debug', (line) => logged.push(line)),
    trouble: 'nothing is done',
    isUp: () => true,
    round: async () => 1,
    firstRestMs: 0,
    failureRestMs: 1,
    ...options,
  });
  job.start();
  return { job, logged };
}

describe('a repeated job', () => {
  it('goes round again when a round has ended, and not before', async () => {
    let begun = 0;
    let resolve: (restMs: number) => void = () => undefined;
    const promise = new Promise<number>((settle) => {
      resolve = settle;
    });
    const { job } = start({
      round: () => {
        begun += 1;
        return begun === 1 ? promise : Promise.resolve(1);
      },
    });
    await eventually(() => begun === 1);
    await new Promise((turn) => setTimeout(turn, 20));
    expect(begun).toBe(1);
    resolve(1);
    await eventually(() => begun > 3);
    job.stop();
  });

  it('warns of a failure once, until a round succeeds', async () => {
    const outcomes = ['fails', 'fails', 'succeeds', 'fails', 'fails'];
    let rounds = 0;
    const { job, logged } = start({
      round: async () => {
        const outcome = outcomes[rounds];
        rounds += 1;
        if (outcome === 'fails') throw new Error('no luck');
        return 1;
      },
    });
    await eventually(() => rounds > outcomes.length);
    job.stop();
    expect(logged.filter((line) => line.includes('nothing is done: no luck'))).toHaveLength(2);
  });

  it('does nothing while PostgreSQL is away, and nothing once it is stopped', async () => {
    let isUp = false;
    let asked = 0;
    let rounds = 0;
    const { job } = start({
      isUp: () => {
        asked += 1;
        return isUp;
      },
      round: async () => {
        rounds += 1;
        return 1;
      },
    });
    await eventually(() => asked > 3);
    expect(rounds).toBe(0);
    isUp = true;
    await eventually(() => rounds > 0);
    job.stop();
    const before = rounds;
    await new Promise((turn) => setTimeout(turn, 20));
    expect(rounds).toBe(before);
  });

  it('tells a round under way that it is stopped, and does not blame it for failing then', async () => {
    let stopped: AbortSignal | undefined;
    let reject: (reason: Error) => void = () => undefined;
    const promise = new Promise<number>((_, settle) => {
      reject = settle;
    });
    const { job, logged } = start({
      round: (signal) => {
        stopped = signal;
        return promise;
      },
    });
    await eventually(() => stopped !== undefined);
    job.stop();
    expect(stopped?.aborted).toBe(true);
    reject(new Error('cut'));
    await promise.catch(() => undefined);
    await new Promise((turn) => setImmediate(turn));
    expect(logged).toEqual([]);
  });
});
