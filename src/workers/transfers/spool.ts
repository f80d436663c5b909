import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { type FileHandle, open, rm, statfs } from 'node:fs/promises';
import path from 'node:path';

/** How much a spool holds in memory before it needs a file. */
const MEMORY_BYTES = 256 * 1024;
const READ_BYTES = 64 * 1024;
/** How much to write between two checks of the disk's free space. */
const LOOK_EVERY_BYTES = 8 * 1024 * 1024;
/** Space left to journals and logs: this much, or a tenth of a small file system. */
const RESERVE_BYTES = 256 * 1024 * 1024;
const NAME = /^[0-9a-f-]{36}\.spool$/;

export interface SpoolSpaceOptions {
  readonly folder: string;
  /** Of all files together. */
  readonly maxBytes: number;
  readonly onBytes: (bytes: number) => void;
  /** The disk, or the limit of descriptors, refuses. */
  readonly onTrouble: (error: Error) => void;
}

/**
 * The files of a thread's spools. Each has a name only for a moment: it is unlinked as soon as it is open,
 * and disappears with its descriptor, also after a kill. A kill in that moment leaves an empty file, which
 * the next start removes.
 */
export class SpoolSpace {
  readonly #options: SpoolSpaceOptions;
  #bytes = 0;

  constructor(options: SpoolSpaceOptions) {
    this.#options = options;
  }

  /** Removes leftovers of an earlier process. */
  clean(): void {
    const { folder } = this.#options;
    let names: string[];
    try {
      names = readdirSync(folder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.trouble(error);
      return;
    }
    // Only files with our naming.
    for (const name of names) if (NAME.test(name)) rmSync(path.join(folder, name), { force: true });
  }

  open(): Spool {
    return new Spool(this);
  }

  /** @returns whether the files may grow by this much. */
  reserve(bytes: number): boolean {
    if (this.#bytes + bytes > this.#options.maxBytes) return false;
    this.release(-bytes);
    return true;
  }

  release(bytes: number): void {
    this.#bytes -= bytes;
    this.#options.onBytes(this.#bytes);
  }

  /** @returns `undefined` if no file can be made. */
  async openFile(): Promise<FileHandle | undefined> {
    const { folder } = this.#options;
    const name = path.join(folder, `${randomUUID()}.spool`);
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const file = await open(name, 'wx+', 0o600);
      // Another server on the same folder may have removed it as a leftover.
      await rm(name, { force: true });
      return file;
    } catch (error) {
      this.#options.onTrouble(error as Error);
      return undefined;
    }
  }

  async hasRoom(): Promise<boolean> {
    const { bavail, bsize, blocks } = await statfs(this.#options.folder);
    return bavail * bsize > Math.min(RESERVE_BYTES, (blocks * bsize) / 10);
  }

  trouble(error: unknown): void {
    this.#options.onTrouble(error as Error);
  }
}

/** Bytes that wait for a slower consumer: some in memory, the rest in a file. */
export class Spool {
  readonly #space: SpoolSpace;
  #memory: Uint8Array<ArrayBuffer>[] = [];
  #memoryBytes = 0;
  #file: FileHandle | undefined;
  #written = 0;
  #read = 0;
  #lookAt = 0;
  #reserved = 0;

  constructor(space: SpoolSpace) {
    this.#space = space;
  }

  get hasUnread(): boolean {
    return this.#memory.length > 0 || this.#read < this.#written;
  }

  /** @returns false if there is no room: the bytes are not kept. */
  async write(bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
    if (this.#read === this.#written && this.#memoryBytes + bytes.length <= MEMORY_BYTES) {
      this.#memory.push(bytes);
      this.#memoryBytes += bytes.length;
      return true;
    }
    const growth = this.#written + bytes.length - this.#reserved;
    if (growth > 0) {
      if (!this.#space.reserve(growth)) return false;
      this.#reserved += growth;
    }
    this.#file ??= await this.#space.openFile();
    return this.#file !== undefined && (await this.#append(this.#file, bytes));
  }

  /** The next bytes, each once; `undefined` when everything written has been read. */
  async read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const held = this.#memory.shift();
    if (held !== undefined) {
      this.#memoryBytes -= held.length;
      return held;
    }
    if (this.#file === undefined || this.#read === this.#written) return undefined;
    const length = Math.min(READ_BYTES, this.#written - this.#read);
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const { bytesRead } = await this.#file.read(bytes, at, length - at, this.#read + at);
      if (bytesRead === 0) throw new Error('a spool’s file is shorter than what was written');
      at += bytesRead;
    }
    this.#read += length;
    // Bytes that have been read are overwritten.
    if (this.#read === this.#written) [this.#read, this.#written] = [0, 0];
    return bytes;
  }

  async close(): Promise<void> {
    this.#memory = [];
    this.#space.release(this.#reserved);
    this.#reserved = 0;
    const file = this.#file;
    this.#file = undefined;
    [this.#read, this.#written] = [0, 0];
    await file?.close();
  }

  async #append(file: FileHandle, bytes: Uint8Array): Promise<boolean> {
    try {
      if (this.#written >= this.#lookAt) {
        if (!(await this.#space.hasRoom())) throw new Error('the disk is nearly full');
        this.#lookAt = this.#written + LOOK_EVERY_BYTES;
      }
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await file.write(bytes, at, bytes.length - at, this.#written + at);
        at += bytesWritten;
      }
    } catch (error) {
      this.#space.trouble(error);
      return false;
    }
    this.#written += bytes.length;
    return true;
  }
}
