import { randomUUID } from 'node:crypto';
import { closeSync, constants, existsSync, openSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Who owns a folder, told by the kernel: the owner listens on a Unix socket in it and says its token
 * to whoever connects. A process that was killed refuses at once, one that is merely stopped or busy
 * does not; a pid file could tell neither across containers.
 */
const SOCKET_NAME = 'owner.sock';

/** Longer than another claimant needs from finding an owner dead to removing its socket. */
const SETTLING_MS = 50;

export interface FolderOwner {
  /** Gives the folder up. */
  release(): Promise<void>;
}

/** Claims a folder, which must exist. `undefined` when a living process owns it. */
export async function claimFolder(folder: string): Promise<FolderOwner | undefined> {
  const token = randomUUID();
  let tookOver = false;
  for (;;) {
    const owner = await listen(folder, token);
    if (owner !== undefined) {
      if (!tookOver) return owner;
      // Another claimant that found the same dead owner may have removed our socket with it.
      await sleep(SETTLING_MS);
      if ((await ask(folder)) === token) return owner;
      await owner.release();
      return undefined;
    }
    const found = identityOf(folder);
    if (await isOwned(folder)) return undefined;
    // Asking takes a while, in which another claimant may have put its own there.
    if (identityOf(folder) === found) rmSync(path.join(folder, SOCKET_NAME), { force: true });
    tookOver = true;
  }
}

/** Tells a folder's socket from any other that stands in its place before or after. */
function identityOf(folder: string): string | undefined {
  const stats = statSync(path.join(folder, SOCKET_NAME), { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? undefined : `${stats.ino} ${stats.ctimeNs}`;
}

/** Whether a living process owns the folder. */
export async function isOwned(folder: string): Promise<boolean> {
  return existsSync(path.join(folder, SOCKET_NAME)) && (await ask(folder)) !== undefined;
}

/** The owner's token, empty where it is too busy to say it; `undefined` when nobody listens. */
async function ask(folder: string): Promise<string | undefined> {
  const { socketPath, release } = reach(folder);
  try {
    return await new Promise((resolve) => {
      const socket = connect(socketPath);
      let token = '';
      // The kernel accepts for a stopped process too, which then never speaks.
      socket.setTimeout(1000, () => {
        socket.destroy();
        resolve(token);
      });
      socket.setEncoding('utf8');
      socket.on('data', (text) => {
        token += text;
      });
      socket.once('end', () => resolve(token));
      // A full backlog (EAGAIN) is a living owner too; no listener and no file are not.
      socket.once('error', (error: NodeJS.ErrnoException) => {
        resolve(error.code === 'ECONNREFUSED' || error.code === 'ENOENT' ? undefined : token);
      });
    });
  } finally {
    release();
  }
}

async function listen(folder: string, token: string): Promise<FolderOwner | undefined> {
  const { socketPath, release } = reach(folder);
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.end(token);
  });
  const listening = await new Promise<boolean>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    server.listen({ path: socketPath }, () => resolve(true));
  });
  if (!listening) {
    release();
    return undefined;
  }
  server.unref();
  return {
    release: async () => {
      await close(server);
      release();
    },
  };
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/**
 * A socket's path may have 107 bytes; through the folder's descriptor any folder is short enough.
 * The descriptor stays open as long as the path is in use, for closing a server unlinks its path.
 */
function reach(folder: string): { socketPath: string; release: () => void } {
  const direct = path.resolve(folder, SOCKET_NAME);
  if (process.platform !== 'linux' || Buffer.byteLength(direct) < 100) {
    return { socketPath: direct, release: () => undefined };
  }
  const descriptor = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  return {
    socketPath: `/proc/self/fd/${descriptor}/${SOCKET_NAME}`,
    release: () => closeSync(descriptor),
  };
}
