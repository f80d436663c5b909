import { afterAll } from 'vitest';
import { closeLeftovers } from './opened.js';

interface Task {
  readonly result?: { readonly state: string; readonly retryCount?: number } | undefined;
  readonly tasks?: readonly Task[];
}

// Set up first, so that it runs last: behind whatever a file's own hooks have stopped.
// biome-ignore lint/correctness/noEmptyPattern: what Vitest gives first it reads the names of, and there are none
afterAll(async ({}, file) => {
  const left = await closeLeftovers();
  if (left.length === 0) return;
  const message = `left open: ${left.join(', ')}`;
  // A test that fails does not get to close what it has opened.
  if (hasFailed(file)) console.error(message);
  else throw new Error(message);
});

function hasFailed({ result, tasks = [] }: Task): boolean {
  return result?.state === 'fail' || (result?.retryCount ?? 0) > 0 || tasks.some(hasFailed);
}
