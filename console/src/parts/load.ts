import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { connection } from '../api/call.js';

export interface Loaded<T> {
  /** The newest answer; it stays while the next one is loading, and if that fails. */
  readonly value: T | undefined;
  readonly error: unknown;
  /** Loading for long enough to say so. */
  readonly isSlow: boolean;
  /** Loading for so long that something may be wrong. */
  readonly isLate: boolean;
  readonly isLoading: boolean;
  readonly reload: () => void;
}

const SLOW_MS = 200;
const LATE_MS = 5000;

/** Loads whenever a dependency changes; cancels what is no longer wanted. */
export function useLoad<T>(
  load: (signal: AbortSignal) => Promise<T>,
  dependencies: readonly unknown[],
): Loaded<T> {
  const [state, setState] = useState<{ value: T | undefined; error: unknown }>({
    value: undefined,
    error: undefined,
  });
  const [isLoading, setLoading] = useState(true);
  const [isSlow, setSlow] = useState(false);
  const [isLate, setLate] = useState(false);
  const [round, setRound] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    const abort = new AbortController();
    const timers = [
      window.setTimeout(() => setSlow(true), SLOW_MS),
      window.setTimeout(() => setLate(true), LATE_MS),
    ];
    const calm = (): void => {
      for (const timer of timers) window.clearTimeout(timer);
      setSlow(false);
      setLate(false);
    };
    setLoading(true);
    latest
      .current(abort.signal)
      .then(
        (value) => abort.signal.aborted || setState({ value, error: undefined }),
        (error: unknown) => abort.signal.aborted || setState((before) => ({ ...before, error })),
      )
      .finally(() => {
        if (abort.signal.aborted) return;
        calm();
        setLoading(false);
      });
    return () => {
      calm();
      abort.abort();
    };
  }, [...dependencies, round]);
  const reload = useCallback(() => setRound((before) => before + 1), []);
  // With a key, or a connection again, refused requests are repeated.
  useEffect(() => {
    let before = connection.get();
    return connection.listen((now) => {
      const isBack =
        (before.wantsKey && !now.wantsKey) || (before.lostSince !== undefined && now.lostSince === undefined);
      before = now;
      if (isBack) reload();
    });
  }, [reload]);
  return { ...state, isSlow, isLate, isLoading, reload };
}

/** Does something at intervals while the page is visible, and at once when it becomes visible again. */
export function usePolling(act: () => void, everyMs: number): void {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    const tick = (): void => {
      if (!document.hidden) latest.current();
    };
    const timer = window.setInterval(tick, everyMs);
    document.addEventListener('visibilitychange', tick);
    return () => {
      window.clearInterval(timer);
      document.removeEventListener('visibilitychange', tick);
    };
  }, [everyMs]);
}

/** Does something when the page becomes visible again. */
export function useReturn(act: () => void): void {
  useEffect(() => {
    const look = (): void => {
      if (!document.hidden) act();
    };
    document.addEventListener('visibilitychange', look);
    return () => document.removeEventListener('visibilitychange', look);
  }, [act]);
}
