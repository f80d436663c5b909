import { randomUUID } from 'node:crypto';
import { closeSync, constants, lstatSync, openSync, rmdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Ownership of a folder, decided by the kernel: the owner listens on a Unix socket in it and sends its token
 * to every client. A killed process refuses at once, a merely stopped or busy one does not; a pid file could
 * show neither across containers.
 */
export const OWNER_SOCKET = 'owner.sock';

/** Longer than another claimant needs from finding an owner dead to removing its socket. */
const SETTLING_MS = 50;

export interface FolderOwner {
  /** Gives the folder up. */
  release(): Promise<void>;
}

/**
 * Claims a folder, which must exist. `undefined` if a living process owns it.
 * @throws if that can't be determined, or something else is in the socket's place.
 */
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
    const found = socketOf(folder);
    if (await isOwned(folder)) return undefined;
    // Asking takes a while, during which another claimant may have put its own there.
    if (socketOf(folder) === found) rmSync(path.join(folder, OWNER_SOCKET), { force: true });
    tookOver = true;
  }
}

/** Distinguishes a folder's socket from any earlier or later one in its place. */
function socketOf(folder: string): string | undefined {
  const file = path.join(folder, OWNER_SOCKET);
  const stats = lstatSync(file, { bigint: true, throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  if (!stats.isSocket()) throw new Error(`${file} is not a socket: it belongs to something else`);
  return `${stats.ino} ${stats.ctimeNs}`;
}

/** Whether the owner's socket is in the folder, alive or not. */
export function hasOwnerSocket(folder: string): boolean {
  return socketOf(folder) !== undefined;
}

/** Whether a living process owns the folder. */
export async function isOwned(folder: string): Promise<boolean> {
  return hasOwnerSocket(folder) && (await ask(folder)) !== undefined;
}

/** The owner's token, empty if it is too busy to answer; `undefined` without a listener. */
async function ask(folder: string): Promise<string | undefined> {
  const { socketPath, release } = reach(folder);
  try {
    return await new Promise((resolve) => {
      const socket = connect(socketPath);
      let token = '';
      // The kernel accepts for a stopped process too, which then never answers.
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
  }).catch((error: unknown) => {
    release();
    throw error;
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

/** Errors of a folder that is not empty, or missing. */
const notRemovable = new Set(['ENOTEMPTY', 'EEXIST', 'ENOENT']);

/** Removes a folder that was given up. @returns whether it existed, and was empty. */
export function removeIfEmpty(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch (error) {
    if (!notRemovable.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return false;
  }
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/**
 * A socket's path may have 107 bytes; through the folder's descriptor any folder is short enough. The
 * descriptor stays open as long as the path is in use, because closing a server unlinks its path.
 */
function reach(folder: string): { socketPath: string; release: () => void } {
  const direct = path.resolve(folder, OWNER_SOCKET);
  if (process.platform !== 'linux' || Buffer.byteLength(direct) < 100) {
    return { socketPath: direct, release: () => undefined };
  }
  const descriptor = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  return {
    socketPath: `/proc/self/fd/${descriptor}/${OWNER_SOCKET}`,
    release: () => closeSync(descriptor),
  };
}
