import { setTimeout as sleep } from 'node:timers/promises';

/** Polls until `probe` returns something other than `undefined` or `false`. */
export async function eventually<T>(
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = 20_000,
  what: string | (() => string) = 'the expected state',
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) {
      throw new Error(`${typeof what === 'string' ? what : what()} was not reached within ${deadlineMs} ms`);
    }
    await sleep(50);
  }
}
