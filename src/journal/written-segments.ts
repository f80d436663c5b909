import {
  close,
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsync,
  mkdirSync,
  openSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import type { SyncPolicy } from '../setting-values.js';
import { segmentFile } from './format.js';

export interface WrittenOptions {
  /** The server's journal folder. */
  readonly folder: string;
  readonly journalId: string;
  readonly sync: SyncPolicy;
}

/** Records of one turn, or of one click, to be written to a segment's file. */
export interface Chunk {
  readonly segment: number;
  /** Their place in it. */
  readonly offset: number;
  readonly bytes: Buffer;
  readonly clicks: number;
  /** The segment's header, if these are its first records. */
  readonly header: Buffer | undefined;
}

/** Files of written segments; at most one is open. */
export class WrittenSegments {
  readonly #options: WrittenOptions;
  #descriptor: number | undefined;
  #segment = 0;
  #isDirty = false;
  #isSyncing = false;

  constructor(options: WrittenOptions) {
    this.#options = options;
  }

  /** @throws if the disk refuses; a partial write is repeated from its start, later. */
  write(chunk: Chunk): void {
    if (chunk.segment !== this.#segment) this.end();
    this.#descriptor ??= this.#open(chunk.segment);
    if (chunk.header !== undefined) this.#put(this.#descriptor, chunk.header, 0);
    this.#put(this.#descriptor, chunk.bytes, chunk.offset);
    this.#isDirty = true;
    if (this.#options.sync === 'turn') fdatasyncSync(this.#descriptor);
  }

  /** Ends the open segment; it is synced and closed in the background. */
  end(): void {
    const descriptor = this.#descriptor;
    this.#descriptor = undefined;
    this.#isDirty = false;
    if (descriptor === undefined) return;
    if (this.#options.sync === 'never') close(descriptor);
    else fdatasync(descriptor, () => close(descriptor));
  }

  /** As `end`, at once. */
  close(): void {
    if (this.#descriptor === undefined) return;
    try {
      if (this.#options.sync !== 'never') fdatasyncSync(this.#descriptor);
    } catch {
      // The clicks are in the file; whether they survive a power cut is up to the disk that failed.
    }
    closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  sync(onSynced: () => void): void {
    if (this.#descriptor === undefined || !this.#isDirty || this.#isSyncing) return;
    this.#isDirty = false;
    this.#isSyncing = true;
    fdatasync(this.#descriptor, () => {
      this.#isSyncing = false;
      onSynced();
    });
  }

  /** Whether somebody has removed the open file: later writes to it are lost when it is closed. */
  get isRemoved(): boolean {
    if (this.#descriptor === undefined) return false;
    try {
      return fstatSync(this.#descriptor).nlink === 0;
    } catch {
      return false;
    }
  }

  #put(descriptor: number, bytes: Buffer, offset: number): void {
    for (let done = 0; done < bytes.length; )
      done += writeSync(descriptor, bytes, done, bytes.length - done, offset + done);
  }

  #open(segment: number): number {
    const { folder, journalId } = this.#options;
    const file = path.join(folder, segmentFile(journalId, segment));
    this.#segment = segment;
    try {
      return openSync(file, 'wx', 0o600);
    } catch (error) {
      // Somebody has removed the whole folder; that is no reason to lose clicks.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      return openSync(file, 'wx', 0o600);
    } finally {
      this.#syncFolder();
    }
  }

  /** A new segment's name must survive a power failure as its content does. */
  #syncFolder(): void {
    if (this.#options.sync === 'never') return;
    try {
      const folder = openSync(this.#options.folder, 'r');
      fsync(folder, () => close(folder));
    } catch {
      // Not every file system lets a folder be opened for this.
    }
  }
}
