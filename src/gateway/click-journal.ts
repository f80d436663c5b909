import { close, closeSync, fdatasync, fdatasyncSync, fsync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import type { SyncPolicy } from '../config.js';
import type { ThreadCounters } from '../shared/counters.js';
import {
  definitionBytes,
  encodeDefinition,
  encodeSegmentHeader,
  FRAME_HEADER_BYTES,
  sealFrame,
  segmentFile,
} from '../shared/journal-format.js';
import type { JournalSlot } from '../shared/journal-slots.js';
import type { CachedLink } from './link-cache.js';

export interface ClickJournalOptions {
  /** The server's journal folder; it exists. */
  readonly folder: string;
  readonly journalId: string;
  readonly slot: JournalSlot;
  readonly counters: ThreadCounters;
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly maxBytes: number;
  readonly bufferBytes: number;
  readonly sync: SyncPolicy;
  /** Called after a write when the ingest sleeps. */
  readonly onWritten: () => void;
  /** Called when clicks begin to be refused by the disk or the bound, and when that is over. */
  readonly onTrouble: (error: Error | undefined) => void;
}

/** Clicks of one turn; a turn with more makes more frames. */
const CLICKS_PER_FRAME = 16_384;
const RETRY_MS = 250;

/**
 * One gateway's click journal: clicks are noted in memory while a turn of the event loop lasts and
 * written at its end, as one frame. The format is described in src/shared/journal-format.ts.
 *
 * States of the writer:
 * - *writing*: each turn's frame goes straight to the file;
 * - *holding*: the disk refused a frame; frames wait in memory, in order, and are tried again;
 * - *refusing*: what waits, or the journal on the disk, has reached its bound; new clicks are counted
 *   as lost. Redirects go on in every state.
 *
 * In *refusing* no link may count as defined, so that `record` need not ask for the state: the
 * segment's number that links are compared with is one that none carries.
 */
export class ClickJournal {
  readonly #options: ClickJournalOptions;
  readonly #slot: JournalSlot;
  readonly #accepted: Float64Array;
  readonly #clicks = new Uint32Array(CLICKS_PER_FRAME);
  #definitions = Buffer.allocUnsafe(64 * 1024);
  #definitionBytes = 0;
  #clickCount = 0;
  #turnMs = 0;

  /** The segment that new definitions belong to; -1 while refusing. */
  #segment = 0;
  /** The segment of the open file. */
  #openSegment = 0;
  #descriptor: number | undefined;
  #offset = 0;
  #openedMs = 0;
  #linkCount = 0;
  #firstLinkOfFrame = 0;
  #segmentClicks = 0;

  /** Frames that the disk has refused so far, oldest first. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #heldClicks: number[] = [];
  #retryTimer: NodeJS.Timeout | undefined;
  readonly #syncTimer: NodeJS.Timeout | undefined;
  #isDirty = false;
  #isSyncing = false;

  constructor(options: ClickJournalOptions) {
    this.#options = options;
    this.#slot = options.slot;
    this.#accepted = options.slot.cells;
    this.#startSegment(1);
    if (typeof options.sync === 'object') {
      this.#syncTimer = setInterval(() => this.#sync(), options.sync.everyMs).unref();
    }
  }

  /** Notes a click on a link; `flush` is to be called when the turn ends. */
  record(link: CachedLink): void {
    // `accepted` is the first cell of a slot.
    this.#accepted[0] = (this.#accepted[0] as number) + 1;
    if (link.journalSegment !== this.#segment && !this.#define(link)) return;
    if (this.#clickCount === 0) this.#turnMs = Date.now();
    this.#clicks[this.#clickCount] = link.journalRef;
    this.#clickCount += 1;
    if (this.#clickCount === CLICKS_PER_FRAME) this.flush();
  }

  /** Writes what this turn has noted. */
  flush(): void {
    const clicks = this.#clickCount;
    if (clicks === 0) return;
    const frame = this.#sealFrame();
    this.#clickCount = 0;
    this.#definitionBytes = 0;
    if (this.#held.length > 0) {
      this.#hold(frame, clicks);
      return;
    }
    try {
      this.#write(frame);
      this.#wrote(clicks);
    } catch (error) {
      this.#options.counters.add('journalWriteErrors');
      this.#hold(frame, clicks);
      this.#beginRetrying(error as Error);
    }
  }

  /** Ends the journal. What the disk still refuses is lost, and counted. */
  close(): void {
    this.flush();
    clearInterval(this.#syncTimer);
    clearTimeout(this.#retryTimer);
    try {
      this.#writeHeld();
    } catch {
      this.#loseHeld();
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

  /** Gives the link a number in this segment. @returns whether the click can be kept. */
  #define(link: CachedLink): boolean {
    if (this.#segment === -1) {
      this.#slot.add('lost', 1);
      this.#options.counters.add('clicksLost');
      return false;
    }
    if (this.#clickCount === 0) this.#firstLinkOfFrame = this.#linkCount;
    const needed = definitionBytes(link.shortCode.length * 3, link.target.length * 3);
    if (this.#definitions.length - this.#definitionBytes < needed) this.#growDefinitions(needed);
    this.#definitionBytes = encodeDefinition(this.#definitions, this.#definitionBytes, link);
    link.journalSegment = this.#segment;
    link.journalRef = this.#linkCount;
    this.#linkCount += 1;
    return true;
  }

  #growDefinitions(needed: number): void {
    const larger = Buffer.allocUnsafe(Math.max(this.#definitions.length * 2, this.#definitionBytes + needed));
    this.#definitions.copy(larger, 0, 0, this.#definitionBytes);
    this.#definitions = larger;
  }

  #sealFrame(): Buffer {
    const clicksStart = FRAME_HEADER_BYTES + this.#definitionBytes;
    const frame = Buffer.allocUnsafe(clicksStart + this.#clickCount * 4);
    this.#definitions.copy(frame, FRAME_HEADER_BYTES, 0, this.#definitionBytes);
    frame.set(new Uint8Array(this.#clicks.buffer, 0, this.#clickCount * 4), clicksStart);
    sealFrame(frame, {
      timeMs: this.#turnMs,
      definitionBytes: this.#definitionBytes,
      firstLink: this.#firstLinkOfFrame,
      firstClick: this.#segmentClicks,
    });
    this.#segmentClicks += this.#clickCount;
    this.#firstLinkOfFrame = this.#linkCount;
    return frame;
  }

  /** @throws when the disk refuses; what it took in part is then written again from its start. */
  #write(bytes: Buffer): void {
    this.#descriptor ??= this.#open();
    if (this.#offset === 0) this.#append(this.#segmentHeader());
    this.#append(bytes);
    this.#options.counters.add('journalWrites');
    this.#isDirty = true;
  }

  #append(bytes: Buffer): void {
    let done = 0;
    while (done < bytes.length) {
      done += writeSync(this.#descriptor ?? -1, bytes, done, bytes.length - done, this.#offset + done);
    }
    this.#offset += bytes.length;
    this.#slot.add('writtenBytes', bytes.length);
    this.#options.counters.add('journalWrittenBytes', bytes.length);
  }

  #wrote(clicks: number): void {
    this.#slot.setWritten(this.#openSegment, this.#offset);
    this.#options.counters.add('clicksJournalled', clicks);
    if (this.#options.sync === 'turn' && this.#descriptor !== undefined) {
      fdatasyncSync(this.#descriptor);
      this.#options.counters.add('journalSyncs');
    }
    if (this.#slot.mustWake()) this.#options.onWritten();
    if (this.#isFull()) {
      // Only an ended segment can be taken in and removed.
      this.#endSegment();
      this.#refuse(new Error('the click journal has reached CLICK_JOURNAL_MAX_BYTES'));
      this.#beginRetrying();
    } else if (
      this.#offset >= this.#options.segmentBytes ||
      this.#turnMs - this.#openedMs >= this.#options.segmentMs
    ) {
      this.#endSegment();
    }
  }

  #isFull(): boolean {
    const size = this.#slot.get('writtenBytes') - this.#slot.get('removedBytes');
    this.#options.counters.set('journalSizeBytes', size);
    return size >= this.#options.maxBytes;
  }

  #open(): number {
    const { folder, journalId } = this.#options;
    const descriptor = openSync(path.join(folder, segmentFile(journalId, this.#openSegment)), 'wx', 0o640);
    this.#syncFolder();
    return descriptor;
  }

  #segmentHeader(): Buffer {
    this.#openedMs = Date.now();
    return encodeSegmentHeader({
      journalId: this.#options.journalId,
      segment: this.#openSegment,
      createdMs: this.#openedMs,
    });
  }

  #startSegment(segment: number): void {
    this.#segment = segment;
    this.#openSegment = segment;
    this.#offset = 0;
    this.#linkCount = 0;
    this.#firstLinkOfFrame = 0;
    this.#segmentClicks = 0;
  }

  /** The next click goes to a new file; this one is synced and closed behind our back. */
  #endSegment(): void {
    const descriptor = this.#descriptor;
    this.#descriptor = undefined;
    this.#isDirty = false;
    this.#startSegment(this.#openSegment + 1);
    // Says that the segment before is complete, even while nothing is in this one.
    this.#slot.setWritten(this.#openSegment, 0);
    if (descriptor === undefined) return;
    if (this.#options.sync === 'never') {
      close(descriptor);
    } else {
      fdatasync(descriptor, () => close(descriptor));
    }
  }

  #hold(frame: Buffer, clicks: number): void {
    this.#held.push(frame);
    this.#heldClicks.push(clicks);
    this.#heldBytes += frame.length;
    this.#options.counters.set('journalBufferBytes', this.#heldBytes);
    if (this.#heldBytes >= this.#options.bufferBytes) {
      this.#refuse(new Error('the disk has refused the click journal for too long'));
    }
  }

  #refuse(error: Error): void {
    if (this.#segment === -1) return;
    this.#segment = -1;
    this.#options.onTrouble(error);
  }

  #beginRetrying(error?: Error): void {
    if (error !== undefined) this.#options.onTrouble(error);
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
    // Links that were refused have no number: a new segment lets all be defined anew.
    if (this.#segment === -1) this.#endSegment();
    this.#options.onTrouble(undefined);
  }

  #writeHeld(): void {
    for (let frame = this.#held[0]; frame !== undefined; frame = this.#held[0]) {
      this.#write(frame);
      this.#held.shift();
      this.#heldBytes -= frame.length;
      this.#wroteHeld(this.#heldClicks.shift() ?? 0);
    }
  }

  #wroteHeld(clicks: number): void {
    this.#options.counters.set('journalBufferBytes', this.#heldBytes);
    this.#slot.setWritten(this.#openSegment, this.#offset);
    this.#options.counters.add('clicksJournalled', clicks);
    if (this.#slot.mustWake()) this.#options.onWritten();
  }

  #loseHeld(): void {
    const clicks = this.#heldClicks.reduce((sum, count) => sum + count, 0);
    this.#held = [];
    this.#heldClicks = [];
    this.#slot.add('lost', clicks);
    this.#options.counters.add('clicksLost', clicks);
  }

  #sync(): void {
    if (!this.#isDirty || this.#isSyncing || this.#descriptor === undefined) return;
    this.#isDirty = false;
    this.#isSyncing = true;
    fdatasync(this.#descriptor, () => {
      this.#isSyncing = false;
      this.#options.counters.add('journalSyncs');
    });
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
