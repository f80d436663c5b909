import { closeSync, fdatasyncSync, openSync } from 'node:fs';
import path from 'node:path';
import { segmentFile } from './format.js';
import { mappedMemory, type Recorder, type RecordMemory } from './recorder.js';
import type { ReadySegment, SegmentSupply } from './supply.js';

/** The mapped segment that a gateway stores to. */
export class MappedSegment {
  readonly segment: number;
  readonly memory: RecordMemory;
  readonly #supply: SegmentSupply;
  readonly #file: string;
  #syncedEnd = 0;
  #descriptor: number | undefined;

  constructor(
    { segment, mapping }: ReadySegment,
    seed: number,
    supply: SegmentSupply,
    { folder, journalId }: { readonly folder: string; readonly journalId: string },
  ) {
    this.segment = segment;
    this.memory = mappedMemory(segment, seed, mapping);
    this.#supply = supply;
    this.#file = path.join(folder, segmentFile(journalId, segment));
  }

  /** Requests a sync of everything stored. @returns whether there is anything to sync. */
  sync(recorder: Recorder): boolean {
    if (recorder.end === this.#syncedEnd) return false;
    recorder.skipToPage();
    this.#syncedEnd = recorder.end;
    this.#supply.sync(this.segment, recorder.end);
    return true;
  }

  /** Syncs it in this thread, which waits for the disk. @throws if the disk refuses. */
  syncAtOnce(recorder: Recorder): void {
    recorder.skipToPage();
    this.#descriptor ??= openSync(this.#file, 'r+');
    fdatasyncSync(this.#descriptor);
  }

  /** Retires it: it is not touched any more. @param end Where its records end; 0 if there are none. */
  retire(end: number): void {
    this.#supply.retire(this.segment, end);
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}
