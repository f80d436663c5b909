import { spawn } from 'node:child_process';
import { connect, createServer } from 'node:net';
import { it } from 'vitest';
import { makeFolder } from '../../machine/folders.js';
import { noteOpened } from '../opened.js';

it('leaves everything open', async () => {
  const server = createServer((socket) => socket.resume());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise<void>((resolve) => connect(port, '127.0.0.1', resolve));
  // It ends with this process.
  spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
  spawn('sleep', ['60'], { cwd: makeFolder('leak'), detached: true, stdio: 'ignore' }).unref();
  noteOpened('something noted', () => undefined);
});
