import { randomUUID } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { type FolderOwner, OWNER_SOCKET, removeIfEmpty } from './folder-lock.js';

/** In each folder with an owner: the folder's id, and the place where it was made. */
export const IDENTITY_FILE = 'folder.json';

/** What distinguishes a place from any other. Numbers are decimal text, because they may have 64 bits. */
interface Place {
  /** Of the kernel's start; device numbers mean something only within one. */
  readonly boot: string;
  readonly path: string;
  readonly device: string;
  /** Inodes of the folder and of the file in it. A copy on the same device has others. */
  readonly folder: string;
  readonly file: string;
  /** When the file was made, in ns since 1970; 0 if the file system does not record it. */
  readonly born: string;
}

export type Recognition =
  /** It has no identity: a server of an earlier version made it, or one that died at once. */
  | { readonly kind: 'unmarked' }
  /** It is in its place, or was renamed. */
  | { readonly kind: 'original'; readonly id: string }
  /** It was copied, or restored from a backup: its original may be alive. */
  | { readonly kind: 'copy'; readonly of: string };

/** Gives a folder an identity of its own, at the place where it is now. @returns its id. */
export function markFolder(folder: string): string {
  const id = randomUUID();
  const descriptor = openSync(
    path.join(folder, IDENTITY_FILE),
    constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    0o600,
  );
  try {
    writeFileSync(descriptor, `${JSON.stringify({ id, ...placeOf(folder, descriptor) })}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  return id;
}

/** Whether a folder is in the place where it was marked. @throws if that can't be determined. */
export function recogniseFolder(folder: string): Recognition {
  let descriptor: number;
  try {
    descriptor = openSync(
      path.join(folder, IDENTITY_FILE),
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { kind: 'unmarked' };
    throw error;
  }
  try {
    const text = readFileSync(descriptor, 'utf8');
    // Its server died while making it, before anything else was in the folder.
    if (text === '') return { kind: 'unmarked' };
    const saved = parse(text);
    if (saved === undefined) return { kind: 'copy', of: 'an unknown folder' };
    const isHere = isSamePlace(saved, placeOf(folder, descriptor));
    return isHere ? { kind: 'original', id: saved.id } : { kind: 'copy', of: saved.path };
  } finally {
    closeSync(descriptor);
  }
}

/** The files that an unneeded folder may still contain. */
const ownFiles = new Set([OWNER_SOCKET, IDENTITY_FILE]);

/** Gives a folder up, and removes it if it has nothing of value. @throws if it can't be read. */
export async function leaveFolder(folder: string, owner: FolderOwner): Promise<void> {
  const isDone = isFolderDone(folder);
  if (isDone) rmSync(path.join(folder, IDENTITY_FILE), { force: true });
  await owner.release();
  if (isDone) removeIfEmpty(folder);
}

/** Whether a folder has nothing but the files of its ownership. @throws if it can't be read. */
export function isFolderDone(folder: string): boolean {
  try {
    return readdirSync(folder).every((name) => ownFiles.has(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
}

function parse(text: string): (Place & { readonly id: string }) | undefined {
  try {
    const value = JSON.parse(text) as Place & { readonly id: string };
    const { id, boot, device, folder, file, born } = value;
    return [id, boot, value.path, device, folder, file, born].every((part) => typeof part === 'string')
      ? value
      : undefined;
  } catch {
    return undefined;
  }
}

function placeOf(folder: string, descriptor: number): Place {
  const file = fstatSync(descriptor, { bigint: true });
  return {
    boot: bootId(),
    path: path.resolve(folder),
    device: String(file.dev),
    folder: String(statSync(folder, { bigint: true }).ino),
    file: String(file.ino),
    born: String(file.birthtimeNs),
  };
}

/**
 * Inodes alone are enough within one device of one boot. A restart or a remount may renumber a device: then
 * the file has to be as old, and the device or the path the same, because a copy of a whole device keeps the
 * rest.
 */
function isSamePlace(one: Place, other: Place): boolean {
  if (one.folder !== other.folder || one.file !== other.file) return false;
  const isSameDevice = one.device === other.device;
  if (isSameDevice && one.boot === other.boot) return true;
  if (one.born !== other.born) return false;
  const isSamePath = one.path === other.path;
  return one.born === '0' ? isSameDevice && isSamePath : isSameDevice || isSamePath;
}

function bootId(): string {
  if (process.platform !== 'linux') return '';
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
