import { mkdirSync } from 'node:fs';
import { createServer, isIP, type ListenOptions } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { claimFolder } from '../runtime/folder-lock.js';

/** Another process listens there. */
export class PortTakenError extends Error {
  override readonly name = 'PortTakenError';
}

/** @returns the server's port. */
function listen(options: ListenOptions): Promise<{ port: number; close: () => Promise<void> }> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ ...options, exclusive: true }, () => {
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : 0,
        close: () => new Promise((done) => server.close(() => done())),
      });
      server.unref();
    });
  });
}

/**
 * Makes sure that no other process listens on a port, and that no other Switchyard server begins to. The
 * gateways share a port, and would share it with another process of the same user too; the process therefore
 * holds a name that only one can have and that the kernel frees when it dies.
 * @param port 0 for any that is free.
 * @returns the port, for as long as the process lives.
 * @throws PortTakenError
 */
export async function claimPort(host: string, port: number): Promise<number> {
  const refuse = (reason: string): never => {
    throw new PortTakenError(`can't listen on ${host}:${port}: ${reason}`);
  };
  const isTaken = 'the port is taken';
  const probe = await listen({ host, port }).catch((error: NodeJS.ErrnoException) =>
    refuse(error.code === 'EADDRINUSE' ? isTaken : error.message),
  );
  await probe.close();
  if (!(await claimName(`switchyard-port-${nameOf(host)}-${probe.port}`))) refuse(isTaken);
  return probe.port;
}

/** Linux: an abstract socket, which lives in the network namespace as the port does. */
async function claimName(name: string): Promise<boolean> {
  if (process.platform === 'linux') {
    return listen({ path: `\0${name}` }).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'EADDRINUSE') return false;
        throw error;
      },
    );
  }
  const folder = path.join(tmpdir(), name);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return (await claimFolder(folder)) !== undefined;
}

function nameOf(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'any';
  return isIP(host) === 0 ? host.toLowerCase() : host;
}

/** Whether only this machine reaches a listener there. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host);
}
