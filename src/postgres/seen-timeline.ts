import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ClusterIdentity } from './cluster-identity.js';

const FILE = 'timeline.json';

/**
 * The PostgreSQL that a data folder's servers wrote to last, and its timeline, in a file. A server that starts while
 * only an old primary answers must not write to it either.
 */
export class SeenTimeline {
  readonly #file: string;
  #seen: ClusterIdentity | undefined;

  constructor(dataDir: string) {
    this.#file = path.join(dataDir, FILE);
    this.reload();
  }

  get seen(): ClusterIdentity | undefined {
    return this.#seen;
  }

  /**
   * Reads the file, which an operator may have changed.
   * @throws what the file system does, and for a damaged file: only one that is not there says that nothing was written
   * to. What was known stays known.
   */
  reload(): void {
    let text: string;
    try {
      text = readFileSync(this.#file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      this.#seen = undefined;
      return;
    }
    this.#seen = parse(text) ?? damaged(this.#file);
  }

  /** Whether a PostgreSQL is the one that was written to, and on an older timeline. */
  isStale({ system, timeline }: ClusterIdentity): boolean {
    return this.#seen !== undefined && this.#seen.system === system && timeline < this.#seen.timeline;
  }

  /** @throws if the file can't be written; the noted timeline counts in this process nevertheless. */
  note({ system, timeline }: ClusterIdentity): void {
    if (this.#seen?.system === system && this.#seen.timeline === timeline) return;
    this.#seen = { system, timeline };
    mkdirSync(path.dirname(this.#file), { recursive: true });
    const next = `${this.#file}.${process.pid}`;
    writeFileSync(next, `${JSON.stringify({ system, timeline })}\n`, { mode: 0o644 });
    renameSync(next, this.#file);
  }
}

function parse(text: string): ClusterIdentity | undefined {
  try {
    const { system, timeline } = JSON.parse(text) as ClusterIdentity;
    return /^\d+$/.test(system) && Number.isSafeInteger(timeline) ? { system, timeline } : undefined;
  } catch {
    return undefined;
  }
}

function damaged(file: string): never {
  throw new Error(
    `${file} is damaged: it says which timeline was written to; remove it if no old primary can answer`,
  );
}
