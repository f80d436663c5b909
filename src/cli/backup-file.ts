import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, renameSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import type { BackupTable, DatabaseDescription } from '../store/backup.js';

/**
 * A backup's file: gzipped lines, which `zcat` shows. A JSON line with the head; for each table of the head
 * its rows in COPY's text form, ended by a line `\.`, which no row is; a JSON line with the SHA-256
 * (hexadecimal) of all bytes before it.
 */
const FORMAT = 'switchyard-backup';
const VERSION = 1;

export interface BackupHead extends DatabaseDescription {
  readonly format: typeof FORMAT;
  readonly version: typeof VERSION;
  /** ISO 8601. */
  readonly createdAt: string;
  /** Version of the program that wrote it. */
  readonly server: string;
}

/** A file that is not a whole backup; `message` is one line for the operator. */
export class BackupFileError extends Error {
  override readonly name = 'BackupFileError';
}

const END_OF_ROWS = Buffer.from('\\.\n');
const LINE_BREAK = 0x0a;

/** The suffix of a backup that is not whole yet. */
export const UNFINISHED = '.partial';

/** Writes a backup, which appears under its name when it is whole and on the disk. */
export async function writeBackup(
  file: string,
  head: Omit<BackupHead, 'format' | 'version'>,
  rowsOf: (table: BackupTable) => AsyncIterable<Buffer>,
): Promise<void> {
  const partial = `${file}${UNFINISHED}`;
  const hash = createHash('sha256');
  async function* content(): AsyncGenerator<Buffer> {
    yield Buffer.from(`${JSON.stringify({ format: FORMAT, version: VERSION, ...head })}\n`);
    for (const table of head.tables) {
      yield* rowsOf(table);
      yield END_OF_ROWS;
    }
  }
  async function* hashed(): AsyncGenerator<Buffer> {
    for await (const chunk of content()) {
      hash.update(chunk);
      yield chunk;
    }
    yield Buffer.from(`${JSON.stringify({ sha256: hash.digest('hex') })}\n`);
  }
  try {
    // It contains links' password hashes.
    await pipeline(Readable.from(hashed()), createGzip(), createWriteStream(partial, { mode: 0o600 }));
    const written = await open(partial, 'r+');
    await written.sync();
    await written.close();
    renameSync(partial, file);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}

/** Reads a backup from its beginning to its end, once. */
export class BackupReader {
  readonly #source: AsyncIterator<Buffer>;
  readonly #hash = createHash('sha256');
  readonly #file: string;
  /** Read, and not passed on yet. */
  #buffer: Buffer = Buffer.alloc(0);

  /** @param onRead Gets the number of bytes of the file read so far. */
  constructor(file: string, onRead: (bytes: number) => void) {
    this.#file = file;
    const compressed = createReadStream(file);
    compressed.on('data', () => onRead(compressed.bytesRead));
    const unpacked = createGunzip();
    compressed.once('error', (error) => unpacked.destroy(error));
    this.#source = compressed.pipe(unpacked)[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  async head(): Promise<BackupHead> {
    const line = await this.#line();
    this.#hash.update(line);
    const head = this.#parse(line) as Partial<BackupHead>;
    if (head.format !== FORMAT) throw new BackupFileError(`${this.#file} is not a backup of Switchyard`);
    if (head.version !== VERSION)
      throw new BackupFileError(
        `${this.#file} is of version ${head.version}: only ${VERSION} can be read here`,
      );
    return head as BackupHead;
  }

  /** The rows of the next table, in chunks of whole rows. */
  async *rows(): AsyncGenerator<Buffer> {
    for (;;) {
      // The buffer begins with a row.
      if (this.#buffer.subarray(0, END_OF_ROWS.length).equals(END_OF_ROWS)) {
        this.#hash.update(END_OF_ROWS);
        this.#buffer = this.#buffer.subarray(END_OF_ROWS.length);
        return;
      }
      const end = this.#buffer.indexOf('\n\\.\n');
      const length = 1 + (end === -1 ? this.#buffer.lastIndexOf(LINE_BREAK) : end);
      if (length === 0) {
        await this.#more();
        continue;
      }
      const rows = this.#buffer.subarray(0, length);
      this.#buffer = this.#buffer.subarray(length);
      this.#hash.update(rows);
      yield rows;
    }
  }

  /** @throws BackupFileError unless the file ends here and its checksum is right. */
  async verifyEnd(): Promise<void> {
    const expected = this.#hash.digest('hex');
    const { sha256 } = this.#parse(await this.#line()) as { sha256?: string };
    const isLast = this.#buffer.length === 0 && (await this.#next()) === undefined;
    if (sha256 !== expected || !isLast) throw new BackupFileError(`${this.#file} is damaged`);
  }

  async #line(): Promise<Buffer> {
    for (;;) {
      const end = this.#buffer.indexOf(LINE_BREAK);
      if (end !== -1) {
        const line = this.#buffer.subarray(0, end + 1);
        this.#buffer = this.#buffer.subarray(end + 1);
        return line;
      }
      await this.#more();
    }
  }

  async #more(): Promise<void> {
    const chunk = await this.#next();
    if (chunk === undefined) throw new BackupFileError(`${this.#file} ends too early`);
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
  }

  async #next(): Promise<Buffer | undefined> {
    try {
      const { done, value } = await this.#source.next();
      return done === true ? undefined : value;
    } catch (error) {
      throw new BackupFileError(`${this.#file} can't be read: ${(error as Error).message}`);
    }
  }

  #parse(line: Buffer): object {
    try {
      return JSON.parse(line.toString('utf8')) as object;
    } catch {
      throw new BackupFileError(`${this.#file} is not a backup of Switchyard`);
    }
  }
}
