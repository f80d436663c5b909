import { Refused, sentenceOf, Unreachable } from '../api/call.js';
import type { Loaded } from './load.js';

interface WaitingProps {
  readonly of: Pick<Loaded<unknown>, 'value' | 'error' | 'isSlow' | 'isLate' | 'reload'>;
  /** The number of grey rows in place of the answer. */
  readonly rows?: number;
}

/** In place of an answer: at first nothing, then its outline, then words; or why there is none, with a retry. */
export function Waiting({ of: { value, error, isSlow, isLate, reload }, rows = 8 }: WaitingProps) {
  // The top of the page says that the server does not answer; the form for a key replaces the page.
  const isSaid =
    error === undefined || error instanceof Unreachable || (error instanceof Refused && error.status === 401);
  return (
    <>
      {isSaid ? null : (
        <p class="notice warn" role="alert">
          {sentenceOf(error)}.{' '}
          <button type="button" class="quiet" onClick={reload}>
            Try again
          </button>
        </p>
      )}
      {isLate ? (
        <p class="notice" role="status">
          This takes longer than usual. The server is still being waited for.
        </p>
      ) : null}
      {value === undefined && error === undefined && isSlow ? (
        <div class="skeleton" aria-hidden="true">
          {Array.from({ length: rows }, (_none, index) => (
            <div key={index} />
          ))}
        </div>
      ) : null}
    </>
  );
}
