import { Refused, sentenceOf, Unreachable } from '../api/call.js';
import type { Loaded } from './load.js';

interface WaitingProps {
  readonly of: Pick<Loaded<unknown>, 'value' | 'error' | 'isSlow' | 'isLate' | 'reload'>;
  /** Of grey rows where the answer will stand. */
  readonly rows?: number;
}

/** In place of an answer: nothing at first, then its outline, then words; and why there is none, with a way to ask again. */
export function Waiting({ of: { value, error, isSlow, isLate, reload }, rows = 8 }: WaitingProps) {
  // That nobody answers stands above the page, and that a key is wanted in its place.
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
