import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { it } from 'vitest';
import { makeFolder } from '../../machine/folders.js';
import { noteOpened } from '../opened.js';

it('closes everything, if not at once', async () => {
  makeFolder('closing');
  const server = createServer((_, answer) => answer.end('x'.repeat(1_000_000)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  // Nobody reads the answer, and its connection stays open.
  await fetch(`http://127.0.0.1:${port}`);
  const closed = noteOpened('server', () => undefined);
  server.close(() => closed());
  spawn('sleep', ['0.2']);
});
