import { onTestFinished } from 'vitest';

/** Stops things that a test has started when the test ends, however it ends. A second stop must do no harm. */
export function untilEnd<T extends { stop(): unknown }>(started: T): T {
  onTestFinished(async () => {
    await started.stop();
  });
  return started;
}
