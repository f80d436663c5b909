import { X509Certificate } from 'node:crypto';
import { readdir, readFile, stat, statfs } from 'node:fs/promises';
import { totalmem } from 'node:os';
import path from 'node:path';

export interface SurroundingsOptions {
  /** Folders whose disks are watched, by the name they have in metrics. */
  readonly folders: Readonly<Record<string, string>>;
  /** A certificate of the proxy's, in PEM. */
  readonly certificateFile: string | undefined;
  readonly backupFolder: string | undefined;
}

export interface DiskSpace {
  readonly folder: string;
  readonly freeBytes: number;
  readonly sizeBytes: number;
}

const REFRESH_MS = 15_000;
/** The time of something watched that is missing: long ago. */
const NEVER = 1;

/**
 * External things on which a server depends: disks, the certificate, backups, the limit of memory. Read in
 * the background, because a disk that does not answer must not delay requests for metrics.
 */
export class Surroundings {
  readonly #options: SurroundingsOptions;
  #disks: readonly DiskSpace[] = [];
  #certificateExpires = 0;
  #lastBackup = 0;
  #isReading = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SurroundingsOptions) {
    this.#options = options;
  }

  get disks(): readonly DiskSpace[] {
    return this.#disks;
  }

  /** Seconds since 1970; 0 when no certificate is watched. */
  get certificateExpires(): number {
    return this.#certificateExpires;
  }

  /** Seconds since 1970; 0 when no folder of backups is watched. */
  get lastBackup(): number {
    return this.#lastBackup;
  }

  async start(): Promise<void> {
    this.#timer = setInterval(() => void this.#read(), REFRESH_MS).unref();
    await this.#read();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #read(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    const { folders, certificateFile, backupFolder } = this.#options;
    const disks = await Promise.all(Object.entries(folders).map(([name, folder]) => spaceOf(name, folder)));
    this.#disks = disks.filter((disk) => disk !== undefined);
    if (certificateFile !== undefined) this.#certificateExpires = await expiryOf(certificateFile);
    if (backupFolder !== undefined) this.#lastBackup = await newestIn(backupFolder);
    this.#isReading = false;
  }
}

/** The limit of the process's control group, or all memory there is. */
export function memoryLimit(): number {
  const limit = process.constrainedMemory();
  const all = totalmem();
  return limit > 0 && limit < all ? limit : all;
}

async function spaceOf(name: string, folder: string): Promise<DiskSpace | undefined> {
  try {
    const { bavail, blocks, bsize } = await statfs(folder);
    return { folder: name, freeBytes: bavail * bsize, sizeBytes: blocks * bsize };
  } catch {
    // Not made yet.
    return undefined;
  }
}

async function expiryOf(file: string): Promise<number> {
  try {
    return Date.parse(new X509Certificate(await readFile(file)).validTo) / 1000;
  } catch {
    return NEVER;
  }
}

async function newestIn(folder: string): Promise<number> {
  try {
    // An unfinished backup does not count.
    const names = (await readdir(folder)).filter((name) => !name.endsWith('.partial'));
    const times = await Promise.all(names.map(async (name) => (await stat(path.join(folder, name))).mtimeMs));
    return Math.max(NEVER, ...times.map((milliseconds) => milliseconds / 1000));
  } catch {
    return NEVER;
  }
}
