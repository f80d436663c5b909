import { isMainThread, workerData } from 'node:worker_threads';
import type { StreamJob, StreamOutcome } from '../../messages/stream.js';
import { ClickStream } from './stream.js';
import { type StreamData, startStreamThread } from './thread.js';

/** The entry of the stream's thread: each export is a task that Piscina runs by its name. */
let stream: ClickStream | undefined;

function own(): ClickStream {
  if (isMainThread) throw new Error('the stream runs in a worker thread');
  stream ??= new ClickStream(startStreamThread(workerData as StreamData));
  return stream;
}

export function ready(): void {
  own();
}

/** @returns why Kafka can't be used; `undefined` if it can. */
export function checkStream(): Promise<string | undefined> {
  return own().check();
}

export function streamJournal(job: StreamJob): Promise<StreamOutcome> {
  return own().step(job);
}

export function forgetStreamed({ journalId }: { readonly journalId: string }): void {
  own().forget(journalId);
}
