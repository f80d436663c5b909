import fc from 'fast-check';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Batcher } from '../../src/workers/calls/batcher.js';

const MAX_WAIT_MS = 5;

/** What a batcher should be, as a state that says nothing of timers but when one of them is due. */
interface Model {
  nowMs: number;
  underWay: number;
  beganMs: number;
  /** When somebody who was to wait has to be called at the latest. */
  dueMs: number | undefined;
}

interface Real {
  readonly batcher: Batcher;
  /** Ends of the batches under way. */
  readonly ends: (() => void)[];
  calls: number;
}

type Command = fc.AsyncCommand<Model, Real>;

class Ask implements Command {
  readonly isFull: boolean;

  constructor(isFull: boolean) {
    this.isFull = isFull;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, { batcher }: Real): Promise<void> {
    const isHeldUp = model.nowMs - model.beganMs >= MAX_WAIT_MS;
    const mustWait = model.underWay > 0 && !this.isFull && !isHeldUp;
    expect(batcher.mustWait(this.isFull)).toBe(mustWait);
    if (mustWait) model.dueMs ??= model.beganMs + MAX_WAIT_MS;
  }

  toString(): string {
    return `ask${this.isFull ? ' (full)' : ''}`;
  }
}

class Begin implements Command {
  check({ underWay }: Model): boolean {
    return underWay < 4;
  }

  async run(model: Model, { batcher, ends }: Real): Promise<void> {
    const work = new Promise<void>((resolve) => ends.push(resolve));
    void batcher.track(() => work)();
    model.underWay += 1;
    model.beganMs = model.nowMs;
  }

  toString(): string {
    return 'begin';
  }
}

class End implements Command {
  check({ underWay }: Model): boolean {
    return underWay > 0;
  }

  async run(model: Model, { ends }: Real): Promise<void> {
    ends.shift()?.();
    await vi.advanceTimersByTimeAsync(0);
    model.underWay -= 1;
  }

  toString(): string {
    return 'end';
  }
}

class Wait implements Command {
  readonly ms: number;

  constructor(ms: number) {
    this.ms = ms;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, real: Real): Promise<void> {
    const before = real.calls;
    await vi.advanceTimersByTimeAsync(this.ms);
    model.nowMs += this.ms;
    const isDue = model.dueMs !== undefined && model.dueMs <= model.nowMs;
    expect(real.calls - before).toBe(isDue ? 1 : 0);
    if (isDue) model.dueMs = undefined;
  }

  toString(): string {
    return `wait ${this.ms} ms`;
  }
}

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

it('keeps a batch waiting for the one under way, never beyond 5 ms, and calls whoever waits once', async () => {
  const commands = [
    fc.boolean().map((isFull) => new Ask(isFull)),
    fc.constant(new Begin()),
    fc.constant(new End()),
    fc.integer({ min: 0, max: 7 }).map((ms) => new Wait(ms)),
  ];
  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 60 }), async (run) => {
      vi.clearAllTimers();
      const real: Real = { batcher: new Batcher(() => (real.calls += 1)), ends: [], calls: 0 };
      const nowMs = performance.now();
      const model: Model = { nowMs, underWay: 0, beganMs: nowMs, dueMs: undefined };
      await fc.asyncModelRun(() => ({ model, real }), run);
    }),
    { numRuns: 300 },
  );
});

it('counts work that fails as over', async () => {
  const batcher = new Batcher(() => undefined);
  await expect(batcher.track(() => Promise.reject(new Error('no')))()).rejects.toThrow('no');
  expect(batcher.mustWait(false)).toBe(false);
});
