import { useEffect, useState } from 'preact/hooks';
import { connection } from '../api/call.js';
import { readLive } from '../api/live.js';
import type { Reading } from '../api/types.js';
import { parseTime } from '../parts/time.js';

export interface LiveState {
  /** The last five minutes, oldest first. */
  readonly readings: readonly Reading[];
  /** Why no readings come; `undefined` while they do. */
  readonly error: unknown;
  /** When the last one came, if none has come for too long. */
  readonly staleSince: Date | undefined;
  /** Seconds without a reading since the page was opened. */
  readonly missed: number;
}

/** Readings, one every second. */
export const KEPT = 300;
/** Their times are whole seconds: two of them may be two seconds apart without a missed one between. */
export const MISSED_MIN_S = 3;
const STALE_MS = 3500;
const RETRY_MIN_MS = 1000;
const RETRY_MAX_MS = 10_000;

const nothing: LiveState = { readings: [], error: undefined, staleSince: undefined, missed: 0 };

/** Follows the server while the page is open. It reconnects after growing pauses. */
export function useLive(): LiveState {
  const [state, setState] = useState(nothing);
  useEffect(() => {
    const abort = new AbortController();
    let cameAt = new Date();
    let retry = RETRY_MIN_MS;
    let timer: number | undefined;
    const follow = async (): Promise<void> => {
      let error: unknown = new Error('The stream has ended');
      try {
        for await (const reading of readLive(abort.signal)) {
          cameAt = new Date();
          retry = RETRY_MIN_MS;
          setState((before) => withReading(before, reading));
        }
      } catch (fault) {
        error = fault;
      }
      if (abort.signal.aborted) return;
      setState((before) => ({
        ...before,
        error,
        staleSince: before.readings.length > 0 ? cameAt : undefined,
      }));
      timer = window.setTimeout(() => void follow(), retry);
      retry = Math.min(RETRY_MAX_MS, retry * 2);
    };
    void follow();
    // A merely silent connection has not ended.
    const watch = window.setInterval(() => {
      if (Date.now() - cameAt.getTime() < STALE_MS) return;
      setState((before) =>
        before.readings.length === 0 || before.staleSince !== undefined
          ? before
          : { ...before, staleSince: cameAt },
      );
    }, 500);
    const unlisten = connection.listen(({ wantsKey }) => {
      if (wantsKey) abort.abort();
    });
    return () => {
      abort.abort();
      window.clearTimeout(timer);
      window.clearInterval(watch);
      unlisten();
    };
  }, []);
  return state;
}

function withReading({ readings, missed }: LiveState, reading: Reading): LiveState {
  const last = readings.at(-1)?.at ?? reading.at;
  const gap = (parseTime(reading.at).getTime() - parseTime(last).getTime()) / 1000;
  return {
    readings: [...readings.slice(1 - KEPT), reading],
    error: undefined,
    staleSince: undefined,
    missed: missed + (gap >= MISSED_MIN_S ? gap - 1 : 0),
  };
}
