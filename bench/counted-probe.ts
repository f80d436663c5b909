import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BroadcastChannel, isMainThread, MessagePort, workerData } from 'node:worker_threads';

/**
 * Preloaded into every thread of a server whose costs are counted: it reports the gateway thread's
 * allocations and the numbers of messages sent and received, and can make that thread wait. The server itself
 * knows nothing about it.
 */
export type ProbeRequest =
  /** Collects garbage, and begins to count. */
  | { readonly ask: 'begin' }
  | { readonly ask: 'end' }
  /** Blocks the thread: everything that arrives meanwhile is then read in one turn. */
  | { readonly ask: 'block'; readonly milliseconds: number };

export interface ProbeAnswer {
  readonly heapBytes: number;
  /** Garbage collections since `begin`: with any, the heap's growth is not the allocation. */
  readonly collections: number;
  readonly sent: number;
  readonly received: number;
}

const channel = new BroadcastChannel('switchyard-counted');

function isGateway(): boolean {
  return (workerData as { journalId?: string } | null)?.journalId !== undefined;
}

function probeGateway(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  let collections = 0;
  let sent = 0;
  let received = 0;
  /** Our own answers go the same way. */
  let isTelling = false;
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  observer.observe({ entryTypes: ['gc'] });
  const { postMessage, on } = MessagePort.prototype;
  MessagePort.prototype.postMessage = function counted(this: MessagePort, ...args: unknown[]) {
    if (!isTelling) sent += 1;
    return Reflect.apply(postMessage, this, args);
  };
  MessagePort.prototype.on = function counting(this: MessagePort, event: string, listener: unknown) {
    if (event === 'message') {
      Reflect.apply(on, this, [
        'message',
        () => {
          received += 1;
        },
      ]);
    }
    return Reflect.apply(on, this, [event, listener]);
  } as never;
  channel.onmessage = (event: unknown) => {
    const request = (event as { data: ProbeRequest | { answer: ProbeAnswer } }).data;
    if (!('ask' in request)) return;
    if (request.ask === 'block') {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, request.milliseconds);
      return;
    }
    if (request.ask === 'begin') {
      collect();
      // The observer learns of this collection in a later turn.
      setImmediate(() => {
        setImmediate(() => {
          collections = 0;
          sent = 0;
          received = 0;
          tell();
        });
      });
    } else {
      tell();
    }
  };
  const tell = (): void => {
    const answer: ProbeAnswer = {
      heapBytes: getHeapStatistics().used_heap_size,
      collections,
      sent,
      received,
    };
    isTelling = true;
    channel.postMessage({ answer });
    isTelling = false;
  };
}

if (isMainThread) {
  process.on('message', (request) => channel.postMessage(request));
  channel.onmessage = (event: unknown) => {
    const told = (event as { data: { answer?: ProbeAnswer } }).data;
    if (told.answer !== undefined) process.send?.(told.answer);
  };
  channel.unref();
  process.channel?.unref();
} else if (isGateway()) {
  probeGateway();
} else {
  channel.close();
}
