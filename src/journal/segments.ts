import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { readAt } from './file-bytes.js';
import { parseSegmentFile, segmentFile } from './format.js';

/**
 * Segments as files. A missing folder has none; an unreadable one is an error, never an empty folder.
 * Anything with a segment's name that is not a regular file (a pipe, a folder, a link) is not ours, and is
 * neither opened nor removed.
 */
export interface SegmentFile {
  readonly number: number;
  readonly file: string;
  /** In bytes. */
  readonly size: number;
}

const COPY_BYTES = 1024 * 1024;

/**
 * The segments of a journal on the disk, in order. @throws for every error but a folder's absence.
 * @param isWanted By number; other files are not examined.
 */
export function listSegments(
  folder: string,
  journalId: string,
  isWanted: (segment: number) => boolean = () => true,
): SegmentFile[] {
  const found: SegmentFile[] = [];
  for (const name of readFolder(folder)) {
    if (!name.startsWith(journalId)) continue;
    const parsed = parseSegmentFile(name);
    if (parsed === undefined || !isWanted(parsed.segment)) continue;
    const file = path.join(folder, segmentFile(journalId, parsed.segment));
    const stats = lstatSync(file, { throwIfNoEntry: false });
    if (stats?.isFile()) found.push({ number: parsed.segment, file, size: stats.size });
  }
  return found.sort((one, other) => one.number - other.number);
}

/** The journals that have a segment in a folder. @throws for every error but a folder's absence. */
export function listJournals(folder: string): string[] {
  const ids = new Set<string>();
  for (const name of readFolder(folder)) {
    const id = parseSegmentFile(name)?.journalId;
    if (id === undefined || ids.has(id)) continue;
    if (lstatSync(path.join(folder, name), { throwIfNoEntry: false })?.isFile()) ids.add(id);
  }
  return [...ids];
}

/** The names in a folder; none if it does not exist. */
export function readFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Opens a segment to read it. A pipe in its place can't block us. */
export function openSegment(file: string): number {
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  if (fstatSync(descriptor).isFile()) return descriptor;
  closeSync(descriptor);
  throw new Error(`${path.basename(file)} is not a regular file`);
}

/** Opens a segment for the duration of `use`. */
export function withSegment<T>(file: string, use: (descriptor: number) => T): T {
  const descriptor = openSegment(file);
  try {
    return use(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Copies a stretch of a file into a new file, which exists whole or not at all. */
export function copyStretch(descriptor: number, offset: number, bytes: number, target: string): void {
  const unfinished = `${target}.tmp`;
  rmSync(unfinished, { force: true });
  const copy = openSync(unfinished, 'wx', 0o600);
  try {
    for (let done = 0; done < bytes; ) {
      const piece = readAt(descriptor, offset + done, Math.min(COPY_BYTES, bytes - done));
      if (piece.length === 0) break;
      for (let written = 0; written < piece.length; ) written += writeSync(copy, piece, written);
      done += piece.length;
    }
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  } finally {
    closeSync(copy);
  }
  renameSync(unfinished, target);
}

/** A smaller gain is not worth a copy. */
const MIN_SPARE_BYTES = 64 * 1024;

/**
 * Frees the allocated space that a killed writer left unused in its segment. A copy replaces the file,
 * because the file itself may still be mapped if the writer is alive after all.
 * @param bytes Where its records end.
 */
export function shrinkSegment({ file, size }: SegmentFile, bytes: number): void {
  if (size - bytes < MIN_SPARE_BYTES) return;
  try {
    withSegment(file, (descriptor) => copyStretch(descriptor, 0, bytes, file));
  } catch {
    // On a full disk it keeps its size.
  }
}

/** File systems that can't sync a folder answer with one of these. */
const unsyncable = new Set(['EINVAL', 'ENOTSUP', 'EISDIR', 'EPERM', 'EBADF']);

/**
 * Makes removals in a folder survive a power failure.
 * @returns whether the folder exists.
 */
export function syncFolder(folder: string): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  try {
    fsyncSync(descriptor);
  } catch (error) {
    if (!unsyncable.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    closeSync(descriptor);
  }
  return true;
}
