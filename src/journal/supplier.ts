import {
  close,
  closeSync,
  fdatasync,
  fstatSync,
  fsync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { HEADER_BYTES, MAPPED_HEADER_BYTES, PAGE_BYTES, SYNC_OFFSETS, segmentFile } from './format.js';
import type { NativeMemory } from './native.js';
import type { SegmentReply, SegmentRequest } from './supply.js';
import { writeSyncCell } from './sync-cell.js';

export interface SupplierOptions {
  readonly folder: string;
  /** Room for records in each segment. */
  readonly segmentBytes: number;
  /** Whether anything is synced at all. */
  readonly isSynced: boolean;
  readonly native: NativeMemory;
}

/** Room for the largest record with everything that must precede it, several times over. */
const MIN_BYTES = 256 * 1024;
const GRAIN_BYTES = 64 * 1024;
/**
 * How far ahead of its records a segment is populated at least. Populated pages reach the disk though nothing was
 * stored to them: a whole segment a minute would be a high price for few clicks.
 */
const AHEAD_BYTES = 1024 * 1024;

interface MadeSegment {
  readonly file: string;
  readonly descriptor: number;
  readonly address: bigint;
  /** Bytes from its beginning whose pages have been populated, or will be shortly. */
  populated: number;
  /** Settles when nothing populates it any more. */
  populating: Promise<unknown>;
  syncs: number;
  /** Settles when the sync under way is over. */
  syncing: Promise<void> | undefined;
}

/** The segments of one gateway, by number. */
interface Customer {
  readonly made: Map<number, MadeSegment>;
  /** Where the records of the last one that it left ended. */
  lastEnd: number;
  hasEnded: boolean;
}

/**
 * Makes mapped segments for gateways, in the supervisor's thread: allocates their space, maps them, makes
 * their pages writable, and later syncs and cuts them. Slow calls run in the thread pool.
 *
 * A store to a mapping can end the process in two ways: the file has no space for it, or the address is no
 * longer mapped. Neither can happen: space is allocated before a file is mapped; a file is cut only after
 * anonymous memory has replaced its mapping; and addresses are never given back, but reused.
 */
export class SegmentSupplier {
  readonly #options: SupplierOptions;
  readonly #bytes: number;
  readonly #customers = new Map<string, Customer>();
  readonly #free: bigint[] = [];
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(options: SupplierOptions) {
    this.#options = options;
    const records = Math.max(MIN_BYTES, options.segmentBytes);
    this.#bytes = MAPPED_HEADER_BYTES + Math.ceil(records / GRAIN_BYTES) * GRAIN_BYTES;
  }

  /** Handles a gateway's request; the answer may come later. */
  handle(journalId: string, request: SegmentRequest, reply: (answer: SegmentReply) => void): void {
    const customer = this.#customers.get(journalId) ?? { made: new Map(), lastEnd: 0, hasEnded: false };
    this.#customers.set(journalId, customer);
    switch (request.kind) {
      case 'prepare':
        this.#track(this.#prepare(customer, journalId, request.segment, reply));
        break;
      case 'sync':
        this.#sync(customer, request.segment, request.end, reply);
        break;
      case 'retire':
        customer.lastEnd = request.end;
        this.#retire(customer, request.segment, request.end);
        break;
      default:
        throw new Error(`no such request: ${String(request satisfies never)}`);
    }
  }

  /** The gateway is gone: nothing stores to its segments. */
  ended(journalId: string): void {
    const customer = this.#customers.get(journalId);
    if (customer === undefined) return;
    customer.hasEnded = true;
    this.#customers.delete(journalId);
    for (const [segment, { file, descriptor }] of customer.made) {
      // An unused segment has nothing; readers find the end of the others in their cells.
      if (!isBegun(descriptor)) rmSync(file, { force: true });
      this.#retire(customer, segment, undefined);
    }
  }

  /** Waits for work under way; all gateways are gone. */
  async close(): Promise<void> {
    for (const journalId of this.#customers.keys()) this.ended(journalId);
    await Promise.allSettled(this.#underWay);
  }

  #track(work: Promise<unknown>): void {
    this.#underWay.add(work);
    void work.finally(() => this.#underWay.delete(work));
  }

  async #prepare(
    customer: Customer,
    journalId: string,
    segment: number,
    reply: (answer: SegmentReply) => void,
  ): Promise<void> {
    const file = path.join(this.#options.folder, segmentFile(journalId, segment));
    let descriptor: number | undefined;
    try {
      descriptor = this.#create(file);
      // Those under way are likely to end where the last one did.
      const wanted = Math.min(this.#bytes, 2 * customer.lastEnd + AHEAD_BYTES);
      const { address, populated } = await this.#map(descriptor, wanted);
      customer.made.set(segment, {
        file,
        descriptor,
        address,
        populated,
        populating: Promise.resolve(),
        syncs: 0,
        syncing: undefined,
      });
      if (customer.hasEnded) {
        this.#retire(customer, segment, undefined);
        rmSync(file, { force: true });
        return;
      }
      reply({ kind: 'ready', segment, address, bytes: this.#bytes });
    } catch (error) {
      if (descriptor !== undefined) {
        closeSync(descriptor);
        rmSync(file, { force: true });
      }
      reply({ kind: 'refused', segment, reason: (error as Error).message });
    }
  }

  #create(file: string): number {
    try {
      return openSync(file, 'wx+', 0o600);
    } catch (error) {
      // Somebody has removed the whole folder; that is no reason to lose clicks.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      mkdirSync(this.#options.folder, { recursive: true, mode: 0o700 });
      return openSync(file, 'wx+', 0o600);
    }
  }

  /** @param wanted Bytes to populate. */
  async #map(descriptor: number, wanted: number): Promise<{ address: bigint; populated: number }> {
    const { native } = this.#options;
    const bytes = this.#bytes;
    const refusal = await native.allocate(descriptor, bytes);
    if (refusal !== 0) throw systemError('posix_fallocate', refusal);
    const address = this.#free.pop() ?? native.reserve(bytes);
    if (typeof address === 'number') throw systemError('mmap', address);
    const failure = native.mapFile(address, bytes, descriptor);
    if (failure !== 0) {
      this.#release(address);
      throw systemError('mmap', failure);
    }
    const isPopulated = await native.populate(address, wanted);
    if (!isPopulated) await native.clear(address, bytes);
    this.#syncFolder();
    return { address, populated: isPopulated ? wanted : bytes };
  }

  /** Keeps ahead of a gateway whose records end here already. */
  #populateAhead(made: MadeSegment, end: number): void {
    const wanted = Math.min(this.#bytes, 2 * end + AHEAD_BYTES);
    const { address, populated } = made;
    if (wanted < populated + AHEAD_BYTES / 2) return;
    const from = populated - (populated % PAGE_BYTES);
    made.populated = wanted;
    made.populating = made.populating
      .then(() => this.#options.native.populate(address + BigInt(from), wanted - from))
      // Then a store to such a page takes longer, and nothing else happens.
      .catch(() => undefined);
    this.#track(made.populating);
  }

  /** @returns whether nothing is mapped there any more; otherwise the address is never used again. */
  #release(address: bigint): boolean {
    if (this.#options.native.mapNothing(address, this.#bytes) !== 0) return false;
    this.#free.push(address);
    return true;
  }

  #sync(customer: Customer, segment: number, end: number, reply: (answer: SegmentReply) => void): void {
    const made = customer.made.get(segment);
    if (made !== undefined) this.#populateAhead(made, end);
    if (made === undefined || made.syncing !== undefined) {
      reply({ kind: 'synced', segment, isRemoved: false });
      return;
    }
    made.syncing = synced(made.descriptor).then((isDone) => {
      made.syncing = undefined;
      // Retired meanwhile: its address may be another segment's.
      if (customer.made.get(segment) !== made) return;
      if (isDone) {
        const words = new Uint32Array(this.#options.native.view(made.address, this.#bytes));
        made.syncs += 1;
        writeSyncCell(words, syncOffset(made.syncs) / 4, end, made.syncs);
      }
      reply({ kind: 'synced', segment, isRemoved: isRemoved(made.descriptor) });
    });
    this.#track(made.syncing);
  }

  /** @param end Where its records end; `undefined` if only its cells say. */
  #retire(customer: Customer, segment: number, end: number | undefined): void {
    const made = customer.made.get(segment);
    if (made === undefined) return;
    customer.made.delete(segment);
    this.#track(this.#finish(made, end));
  }

  async #finish(made: MadeSegment, recordsEnd: number | undefined): Promise<void> {
    const { descriptor } = made;
    // Else it would populate whatever is mapped there next.
    await made.populating;
    // Only now may it be cut: while it was mapped, it had to keep every byte.
    const end = this.#release(made.address) ? recordsEnd : undefined;
    if (end === 0) {
      // Nothing was ever stored in it. A position noted in an empty file would look like a segment without its header.
      await made.syncing;
      closeSync(descriptor);
      this.#try(() => rmSync(made.file, { force: true }));
      return;
    }
    if (end !== undefined) this.#try(() => ftruncateSync(descriptor, end));
    await made.syncing;
    const isSynced = this.#options.isSynced && (await synced(descriptor));
    if (isSynced && end !== undefined) this.#try(() => this.#noteEnd(made, end));
    closeSync(descriptor);
  }

  #noteEnd({ descriptor, syncs }: MadeSegment, end: number): void {
    const cell = new Uint32Array(3);
    writeSyncCell(cell, 0, end, syncs + 1);
    writeSync(descriptor, new Uint8Array(cell.buffer), 0, cell.byteLength, syncOffset(syncs + 1));
  }

  #try(work: () => void): void {
    try {
      work();
    } catch {
      // A file that keeps its unused space, or a missing position, loses nothing.
    }
  }

  /** A new segment's name must survive a power failure as its content does. */
  #syncFolder(): void {
    if (!this.#options.isSynced) return;
    this.#try(() => {
      const folder = openSync(this.#options.folder, 'r');
      fsync(folder, () => close(folder));
    });
  }
}

/** @returns whether the whole content of a file has reached the disk. */
function synced(descriptor: number): Promise<boolean> {
  return new Promise((resolve) => {
    fdatasync(descriptor, (error) => resolve(error === null));
  });
}

/** Two places alternate: whatever happens to one, the other keeps its value. */
function syncOffset(count: number): number {
  return SYNC_OFFSETS[count % 2] as number;
}

function isBegun(descriptor: number): boolean {
  const header = Buffer.alloc(HEADER_BYTES);
  return readHeaderBytes(descriptor, header) && header.some((byte) => byte !== 0);
}

function readHeaderBytes(descriptor: number, into: Buffer): boolean {
  try {
    return readSync(descriptor, into, 0, into.length, 0) > 0;
  } catch {
    return false;
  }
}

function isRemoved(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).nlink === 0;
  } catch {
    return false;
  }
}

function systemError(call: string, number: number): Error {
  const name = Object.entries(constants.errno).find(([, value]) => value === number)?.[0] ?? String(number);
  return new Error(`${name}: ${call} of a segment`);
}
