import { errorOf, errorRegistry } from '../errors.js';
import type { OperationResult } from './results.js';

/** What was done to many at once, and the status of each success. */
const done = { created: 201, updated: 200, deleted: 204 } as const;

export interface BulkOptions {
  /** All or none: with one failure, nothing was done. */
  readonly isAtomic: boolean;
  /** The given ids, in the order of the results. */
  readonly ids?: readonly number[];
}

/** One answer for many, with the result of each in the given order. */
export function bulkAnswer(
  verb: keyof typeof done,
  results: readonly OperationResult[],
  { isAtomic, ids }: BulkOptions,
): OperationResult {
  const failures = results.filter((result) => !result.ok);
  const isUndone = isAtomic && failures.length > 0;
  let count = 0;
  let failed = 0;
  const texts = results.map((result, index) => {
    const place =
      ids === undefined ? `{"index":${index}` : `{"index":${index},"id":${JSON.stringify(ids[index])}`;
    if (result.ok && !isUndone) {
      if (result.isExisting !== true) count += 1;
      const status = result.isExisting === true ? 200 : done[verb];
      return `${place},"status":${status}${result.body === '' ? '' : `,"url":${result.body}`}}`;
    }
    failed += 1;
    const { error, detail } = result.ok ? { error: 'NOT_DONE' as const, detail: undefined } : result;
    return `${place},"status":${errorRegistry[error].status},"error":${JSON.stringify(errorOf(error, detail))}}`;
  });
  const body = `{"${verb}":${count},"failed":${failed},"results":[${texts.join(',')}]}`;
  if (!isUndone) return verb === 'created' ? { ok: true, body, made: count } : { ok: true, body };
  const areConflicts = failures.every((one) => !one.ok && errorRegistry[one.error].status === 409);
  return { ok: true, body, refusal: areConflicts ? 409 : 400 };
}
