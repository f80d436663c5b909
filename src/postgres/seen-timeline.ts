import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ClusterIdentity } from './cluster-identity.js';

const FILE = 'timeline.json';

/**
 * The PostgreSQL that a data folder's servers wrote to last, and its timeline, in a file: a start while only an old
 * primary answers must not write to it either.
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

  /** Reads the file, which an operator may have changed. One that says nothing counts as none. */
  reload(): void {
    try {
      const { system, timeline } = JSON.parse(readFileSync(this.#file, 'utf8')) as ClusterIdentity;
      this.#seen = /^\d+$/.test(system) && Number.isSafeInteger(timeline) ? { system, timeline } : undefined;
    } catch {
      this.#seen = undefined;
    }
  }

  /** Whether a PostgreSQL is the one that was written to, and on an older timeline. */
  isStale({ system, timeline }: ClusterIdentity): boolean {
    return this.#seen !== undefined && this.#seen.system === system && timeline < this.#seen.timeline;
  }

  /** @throws what the file system does; what was noted counts in this process nevertheless. */
  note({ system, timeline }: ClusterIdentity): void {
    if (this.#seen?.system === system && this.#seen.timeline === timeline) return;
    this.#seen = { system, timeline };
    mkdirSync(path.dirname(this.#file), { recursive: true });
    const next = `${this.#file}.${process.pid}`;
    writeFileSync(next, `${JSON.stringify({ system, timeline })}\n`, { mode: 0o644 });
    renameSync(next, this.#file);
  }
}
