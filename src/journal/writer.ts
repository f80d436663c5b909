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
import type { SyncPolicy } from '../config.js';
import { Scalar, type ThreadCounters } from '../memory/counters.js';
import { JournalCell, type JournalSlot } from '../memory/journal-slots.js';
import { type ClickForm, encodeSegmentHeader, segmentFile } from './format.js';
import { JournalFrame, type NumberedLink, type Visit } from './frame.js';

export interface ClickJournalOptions {
  /** The server's journal folder. */
  readonly folder: string;
  readonly journalId: string;
  readonly form: ClickForm;
  readonly slot: JournalSlot;
  readonly counters: ThreadCounters;
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly maxBytes: number;
  readonly bufferBytes: number;
  readonly sync: SyncPolicy;
  /** Called after a write when the ingest sleeps. */
  readonly onWritten: () => void;
  /** Called when the disk or the bound begins to refuse clicks, and without an error when that is over. */
  readonly onTrouble: (error: Error | undefined) => void;
}

// By number, for what is counted at every turn.
const { journalWrites, journalSyncs, clicksJournalled, journalWrittenBytes, journalSizeBytes } = Scalar;
const { framed, writtenBytes, removedBytes } = JournalCell;

const RETRY_MS = 250;
/** A segment with more is ended: all its texts are in memory. */
const MOST_TEXTS = 65_536;

/** A frame that the disk has not taken yet. */
interface HeldFrame {
  readonly bytes: Buffer;
  readonly clicks: number;
}

/**
 * One gateway's click journal: clicks are noted in memory while a turn of the event loop lasts, and
 * `flush` at its end writes them as one frame. Format, states and promises: src/journal/README.md.
 *
 * - *writing*: each turn's frame goes straight to the file.
 * - *holding*: the disk refused a frame; frames wait in memory, in order, and are tried again.
 * - *refusing*: what waits in memory, or the journal on the disk, has reached its bound; new clicks are
 *   counted as lost. Redirects go on in every state.
 */
export class ClickJournal {
  readonly #options: ClickJournalOptions;
  readonly #slot: JournalSlot;
  /** The slot's cells; `accepted` is the first. */
  readonly #facts: Float64Array;
  readonly #cells: Float64Array;
  readonly #frame: JournalFrame;
  #isRefusing = false;

  #segment = 1;
  #descriptor: number | undefined;
  /** Where the next frame goes in the open segment. */
  #offset = 0;
  #openedMs = 0;
  /** The same by the monotonic clock: the other may be set. */
  #openedAtMs = 0;

  #held: HeldFrame[] = [];
  #heldBytes = 0;
  #retryTimer: NodeJS.Timeout | undefined;
  readonly #syncTimer: NodeJS.Timeout | undefined;
  readonly #rollTimer: NodeJS.Timeout;
  #isDirty = false;
  #isSyncing = false;

  constructor(options: ClickJournalOptions) {
    this.#options = options;
    this.#slot = options.slot;
    this.#facts = options.slot.cells;
    this.#cells = options.counters.cells;
    this.#frame = new JournalFrame(options.form);
    this.#frame.startSegment(this.#segment);
    this.#rollTimer = setInterval(() => this.#rollIdle(), options.segmentMs).unref();
    if (typeof options.sync === 'object') {
      this.#syncTimer = setInterval(() => this.#sync(), options.sync.everyMs).unref();
    }
  }

  /** Notes a click on a link; `flush` is to be called when the turn ends. */
  record(link: NumberedLink): void {
    this.#facts[0] = (this.#facts[0] as number) + 1;
    if (this.#isRefusing) {
      this.#lose(1);
      return;
    }
    this.#frame.add(link);
    if (this.#frame.isFull) this.flush();
  }

  /** As `record`, with the facts of the visit; for a journal of the detailed form. */
  recordVisit(link: NumberedLink, visit: Visit): void {
    this.#facts[0] = (this.#facts[0] as number) + 1;
    if (this.#isRefusing) {
      this.#lose(1);
      return;
    }
    this.#frame.addVisit(link, visit);
    if (this.#frame.isFull) this.flush();
  }

  /** Writes what this turn has noted. */
  flush(): void {
    const clicks = this.#frame.clickCount;
    if (clicks === 0) return;
    const frame = { bytes: this.#frame.seal(), clicks };
    if (this.#held.length > 0) {
      this.#hold(frame);
      return;
    }
    try {
      this.#write(frame);
    } catch (error) {
      this.#options.counters.add('journalWriteErrors');
      this.#options.onTrouble(error as Error);
      this.#hold(frame);
      this.#beginRetrying();
      return;
    }
    this.#rollIfDue();
  }

  /** Ends the journal. What the disk still refuses is lost, and counted. */
  close(): void {
    this.flush();
    clearInterval(this.#syncTimer);
    clearInterval(this.#rollTimer);
    clearInterval(this.#retryTimer);
    try {
      this.#writeHeld();
    } catch {
      this.#lose(this.#held.reduce((sum, { clicks }) => sum + clicks, 0));
      this.#held = [];
    }
    if (this.#descriptor === undefined) return;
    try {
      if (this.#options.sync !== 'never') fdatasyncSync(this.#descriptor);
    } catch {
      // The clicks are in the file; whether they survive a power cut is up to the disk that failed.
    }
    closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  /** @throws when the disk refuses; what it took in part is written again from its start, later. */
  #write({ bytes, clicks }: HeldFrame): void {
    this.#descriptor ??= this.#open();
    if (this.#offset === 0) this.#append(this.#segmentHeader());
    this.#append(bytes);
    this.#isDirty = true;
    const cells = this.#cells;
    if (this.#options.sync === 'turn') {
      fdatasyncSync(this.#descriptor);
      cells[journalSyncs] = (cells[journalSyncs] as number) + 1;
    }
    cells[journalWrites] = (cells[journalWrites] as number) + 1;
    cells[clicksJournalled] = (cells[clicksJournalled] as number) + clicks;
    this.#slot.setWritten(this.#segment, this.#offset);
    this.#facts[framed] = (this.#facts[framed] as number) + clicks;
    if (this.#slot.mustWake()) this.#options.onWritten();
  }

  #append(bytes: Buffer): void {
    let done = 0;
    while (done < bytes.length) {
      done += writeSync(this.#descriptor ?? -1, bytes, done, bytes.length - done, this.#offset + done);
    }
    this.#offset += bytes.length;
    this.#facts[writtenBytes] = (this.#facts[writtenBytes] as number) + bytes.length;
    this.#cells[journalWrittenBytes] = (this.#cells[journalWrittenBytes] as number) + bytes.length;
  }

  #rollIfDue(): void {
    const { segmentBytes, segmentMs } = this.#options;
    if (this.#isFull()) {
      // Only an ended segment can be taken in and removed.
      this.#endSegment();
      this.#refuse(new Error('the click journal has reached CLICK_JOURNAL_MAX_BYTES'));
      this.#beginRetrying();
      return;
    }
    const isOld = Math.abs(this.#frame.timeMs - this.#openedMs) >= segmentMs;
    if (this.#offset >= segmentBytes || isOld || this.#frame.textCount >= MOST_TEXTS) this.#endSegment();
  }

  /** Without clicks there is no turn that could end an old segment, and only an ended one can go. */
  #rollIdle(): void {
    if (this.#offset === 0 || this.#held.length > 0) return;
    if (performance.now() - this.#openedAtMs < this.#options.segmentMs) return;
    this.flush();
    if (this.#held.length === 0 && this.#offset > 0) this.#endSegment();
  }

  #isFull(): boolean {
    const size = (this.#facts[writtenBytes] as number) - (this.#facts[removedBytes] as number);
    this.#cells[journalSizeBytes] = size;
    return size >= this.#options.maxBytes;
  }

  #open(): number {
    const { folder, journalId } = this.#options;
    const file = path.join(folder, segmentFile(journalId, this.#segment));
    try {
      return openSync(file, 'wx', 0o600);
    } catch (error) {
      // Somebody has tidied up the whole folder; there is no reason to lose clicks for that.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      return openSync(file, 'wx', 0o600);
    } finally {
      this.#syncFolder();
    }
  }

  #segmentHeader(): Buffer {
    this.#openedMs = Date.now();
    this.#openedAtMs = performance.now();
    const { journalId } = this.#options;
    return encodeSegmentHeader({ journalId, segment: this.#segment, createdMs: this.#openedMs });
  }

  /** The next click goes to a new file; this one is synced and closed behind our back. */
  #endSegment(): void {
    const descriptor = this.#descriptor;
    this.#descriptor = undefined;
    this.#isDirty = false;
    this.#offset = 0;
    this.#segment += 1;
    this.#frame.startSegment(this.#segment);
    // Says that the segment before is complete, even while nothing is in this one.
    this.#slot.setWritten(this.#segment, 0);
    if (this.#slot.mustWake()) this.#options.onWritten();
    if (descriptor === undefined) return;
    if (this.#options.sync === 'never') close(descriptor);
    else fdatasync(descriptor, () => close(descriptor));
  }

  #hold(frame: HeldFrame): void {
    this.#held.push(frame);
    this.#heldBytes += frame.bytes.length;
    this.#options.counters.set('journalBufferBytes', this.#heldBytes);
    if (this.#heldBytes >= this.#options.bufferBytes) {
      this.#refuse(new Error('the disk has refused the click journal for too long'));
    }
  }

  #refuse(error: Error): void {
    if (this.#isRefusing) return;
    this.#isRefusing = true;
    this.#options.onTrouble(error);
  }

  #lose(clicks: number): void {
    this.#slot.add('lost', clicks);
    this.#options.counters.add('clicksLost', clicks);
  }

  #beginRetrying(): void {
    this.#retryTimer ??= setInterval(() => this.#retry(), RETRY_MS).unref();
  }

  #retry(): void {
    try {
      this.#writeHeld();
    } catch {
      this.#options.counters.add('journalWriteErrors');
      return;
    }
    if (this.#isFull()) return;
    clearInterval(this.#retryTimer);
    this.#retryTimer = undefined;
    this.#isRefusing = false;
    this.#options.onTrouble(undefined);
  }

  #writeHeld(): void {
    for (let frame = this.#held[0]; frame !== undefined; frame = this.#held[0]) {
      this.#write(frame);
      this.#held.shift();
      this.#heldBytes -= frame.bytes.length;
      this.#options.counters.set('journalBufferBytes', this.#heldBytes);
    }
  }

  #sync(): void {
    const descriptor = this.#descriptor;
    if (descriptor === undefined) return;
    this.#leaveRemovedFile(descriptor);
    if (!this.#isDirty || this.#isSyncing || this.#descriptor === undefined) return;
    this.#isDirty = false;
    this.#isSyncing = true;
    fdatasync(descriptor, () => {
      this.#isSyncing = false;
      this.#options.counters.add('journalSyncs');
    });
  }

  /** What is written to a file without a name is lost when it is closed: better to begin a new one. */
  #leaveRemovedFile(descriptor: number): void {
    try {
      if (fstatSync(descriptor).nlink > 0 || this.#held.length > 0) return;
    } catch {
      return;
    }
    this.#options.onTrouble(new Error('the open segment of the click journal was removed by somebody'));
    this.flush();
    this.#endSegment();
  }

  /** So that a new segment's name survives a power cut as its content does. */
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
