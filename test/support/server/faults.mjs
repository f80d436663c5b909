// Preloaded into a server under test, in each of its threads: lets a test end or block one of them.
// The server itself knows nothing of it.
import { BroadcastChannel, isMainThread, workerData } from 'node:worker_threads';

const channel = new BroadcastChannel('test-faults');
channel.unref();

const obey = ({ action, milliseconds }) => {
  if (action === 'throw') throw new Error('thrown by the test');
  if (action === 'exit') process.exit(7);
  if (action === 'abort') process.abort();
  if (action === 'block') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
};

if (isMainThread) {
  process.on('message', (command) => {
    if (command.thread === 'supervisor') obey(command);
    else channel.postMessage(command);
  });
  process.channel?.unref();
} else {
  const role = workerData?.role ?? (workerData?.journalId === undefined ? 'other' : 'gateway');
  channel.onmessage = ({ data }) => {
    if (data.thread === role) obey(data);
  };
}
