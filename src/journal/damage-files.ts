import { renameSync } from 'node:fs';
import path from 'node:path';
import type { SegmentState } from './segment-state.js';
import { copyStretch } from './segments.js';

/** Damage that a reader found and kept aside. */
export interface Damage {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  readonly reason: string;
  /** The file beside it with the damaged bytes; `undefined` if even that failed. */
  readonly keptAs: string | undefined;
}

const diskFull = new Set(['ENOSPC', 'EDQUOT']);

/** Keeps damaged bytes in separate files, beside the journal. */
export class DamageFiles {
  readonly #folder: string;
  readonly #onDamage: (damage: Damage) => void;
  /** Damage that has been kept and logged: the names of its files, with their sizes in bytes. */
  readonly #kept = new Map<string, number>();

  constructor(folder: string, onDamage: (damage: Damage) => void) {
    this.#folder = folder;
    this.#onDamage = onDamage;
  }

  /** Keeps damaged bytes in a file of their own. */
  keepAside(
    descriptor: number,
    segment: SegmentState,
    { offset, bytes, reason }: { offset: number; bytes: number; reason: string },
  ): void {
    const file = path.basename(segment.file);
    const keptAs = `${file}.${offset}.damaged`;
    // A step that kept it may have failed later, and is repeated.
    if (this.#kept.get(keptAs) === bytes) return;
    try {
      copyStretch(descriptor, offset, bytes, path.join(this.#folder, keptAs));
      this.#kept.set(keptAs, bytes);
      this.#onDamage({ file, offset, bytes, reason, keptAs });
    } catch (error) {
      // A full disk must not block the ingest, because the ingest makes room. Any other error is tried again.
      if (!diskFull.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
      this.#onDamage({ file, offset, bytes, reason, keptAs: undefined });
    }
  }

  /** Sets a whole file aside that can't be ours, however large it is. */
  putAway(segment: SegmentState, reason: string): void {
    const file = path.basename(segment.file);
    const keptAs = `${file}.0.damaged`;
    renameSync(segment.file, path.join(this.#folder, keptAs));
    this.#onDamage({ file, offset: 0, bytes: segment.size, reason, keptAs });
  }
}
