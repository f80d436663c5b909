import { SingleBar } from 'cli-progress';

export interface Progress {
  /** @param done Of the total. */
  update(done: number): void;
  stop(): void;
}

/** A progress bar on a terminal; nothing for other outputs. */
export function startProgress(what: string, total: number): Progress {
  if (!process.stderr.isTTY || total <= 0) return { update: () => undefined, stop: () => undefined };
  const bar = new SingleBar({
    format: `${what} [{bar}] {percentage} % | {value} of {total} | {duration_formatted}`,
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
  });
  bar.start(total, 0);
  return { update: (done) => bar.update(done), stop: () => bar.stop() };
}
