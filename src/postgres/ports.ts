import { createServer } from 'node:net';
import { EmbeddedPostgresError } from './binaries.js';

function listenOn(host: string, port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, host, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : undefined));
    });
  });
}

/** Whether a port of the host is free now. */
export async function isFree(host: string, port: number): Promise<boolean> {
  return port !== 0 && (await listenOn(host, port)) === port;
}

export async function freePort(host: string): Promise<number> {
  const port = await listenOn(host, 0);
  if (port === undefined) throw new EmbeddedPostgresError(`no free port on ${host}`);
  return port;
}
