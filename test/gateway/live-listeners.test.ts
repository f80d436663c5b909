import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../support/machine/wait.js';
import { root } from '../support/stack/compose.js';

const STALL_MS = 2000;
/** More than a connection has room for whose client does not read, and read in no time by one that does. */
const LARGE = 10 * 1024 * 1024;

let app: ChildProcess;
let port: number;

beforeAll(async () => {
  app = fork(path.join(root, 'test/support/server/live-app.mjs'), [String(STALL_MS), '3'], { execArgv: [] });
  [{ port }] = (await once(app, 'message')) as [{ port: number }];
});
afterAll(async () => {
  app?.disconnect();
  await once(app, 'exit');
});

interface Report {
  readonly open: number;
  readonly gauge: number;
  readonly dropped: number;
  readonly exchanges: number;
}

async function report(): Promise<Report> {
  const answered = once(app, 'message');
  app.send({ report: true });
  return (await answered)[0] as Report;
}

const send = (bytes: number): void => void app.send({ send: bytes });

/** A listener that does not read before it is let. */
async function listen(method = 'GET'): Promise<{ socket: Socket; received: () => string }> {
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  socket.pause();
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk)).pause();
  socket.write(`${method} /stats/live HTTP/1.1\r\nHost: a\r\n\r\n`);
  return { socket, received: () => Buffer.concat(chunks).toString('latin1') };
}

const openOnes = (count: number) => eventually(async () => (await report()).open === count);

describe('a listener', () => {
  // Those of the test before have gone.
  beforeEach(() => openOnes(0).then(() => undefined));

  it('that never reads is dropped at the first message that does not go in time; the others stay', async () => {
    const [reader, sleeper] = [await listen(), await listen()];
    reader.socket.resume();
    await openOnes(2);
    const before = await report();
    send(10);
    send(LARGE);
    send(20);
    await openOnes(1);
    expect(await report()).toEqual({ open: 1, gauge: 1, dropped: before.dropped + 1, exchanges: 1 });
    send(30);
    await eventually(() => reader.received().includes(`data: ${'x'.repeat(30)}\n\n`));
    expect(reader.received()).toContain(`data: ${'x'.repeat(10)}\n\n`);
    // It had gone already when the reader fell behind, or has been missed.
    expect(reader.received()).not.toContain('event:');
    sleeper.socket.resume();
    await once(sleeper.socket, 'close');
  });

  it('that reads on in time misses what came meanwhile, and stays', async () => {
    const late = await listen();
    await openOnes(1);
    const before = await report();
    send(LARGE);
    for (let count = 0; count < 3; count += 1) send(11);
    await new Promise((resolve) => setTimeout(resolve, STALL_MS / 8));
    late.socket.resume();
    await eventually(() => late.received().length > LARGE);
    await eventually(async () => {
      send(12);
      return late.received().includes(`data: ${'x'.repeat(12)}\n\n`);
    });
    await new Promise((resolve) => setTimeout(resolve, STALL_MS));
    expect(await report()).toEqual({ open: 1, gauge: 1, dropped: before.dropped, exchanges: 1 });
    expect(late.received()).not.toContain(`data: ${'x'.repeat(11)}\n\n`);
  });

  it('that goes makes room for another; a HEAD takes none', async () => {
    const first = await listen();
    await listen();
    await listen();
    await openOnes(3);
    const refused = await listen();
    refused.socket.resume();
    await eventually(() => refused.received().includes('Too many listeners'));
    expect(refused.received()).toMatch(/^HTTP\/1\.1 503 [\s\S]*\r\nRetry-After: 1\r\n/);
    first.socket.destroy();
    await openOnes(2);
    const head = await listen('HEAD');
    head.socket.resume();
    await eventually(() => head.received().endsWith('\r\n\r\n'));
    expect(head.received()).toMatch(/^HTTP\/1\.1 200 [\s\S]*\r\nContent-Type: text\/event-stream\r\n/);
    expect((await report()).open).toBe(2);
  });

  // The last one: there are no listeners after it.
  it('is let go when the gateway stops, and no other is let in', async () => {
    const last = await listen();
    last.socket.resume();
    await openOnes(1);
    send(10);
    await eventually(() => last.received().includes('data: '));
    app.send({ close: true });
    await eventually(() => last.received().endsWith('\r\n0\r\n\r\n'));
    expect(await report()).toMatchObject({ open: 0, gauge: 0, exchanges: 0 });
    const late = await listen();
    late.socket.resume();
    await eventually(() => late.received().startsWith('HTTP/1.1 503 '));
  });
});
