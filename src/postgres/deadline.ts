import type pg from 'pg';
import { destroy } from './cancel.js';

/** The promise's value, unless it takes too long: then the connection is cut. */
export async function withDeadline<T>(
  client: pg.ClientBase,
  promise: Promise<T>,
  milliseconds: number,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer within ${milliseconds} ms: connection terminated`));
      destroy(client);
    }, milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
    promise.catch(() => undefined);
  }
}
