import { randomBytes } from 'node:crypto';
import { Scalar, type ThreadCounters } from '../memory/counters.js';
import type { JournalSlot } from '../memory/journal-slots.js';
import type { SyncPolicy } from '../setting-values.js';
import { bootId } from './boot-id.js';
import { encodeHeader, HEADER_BYTES, MAPPED_HEADER_BYTES } from './format.js';
import { JournalAccount } from './journal-account.js';
import { MappedSegment } from './mapped-segment.js';
import { type NumberedLink, RecordBuffer, Recorder, type RecordMemory, type Visit } from './recorder.js';
import { RefusedWrites } from './refused-writes.js';
import type { ReadySegment, SegmentSupply } from './supply.js';
import { type Chunk, WrittenSegments } from './written-segments.js';

export interface ClickJournalOptions {
  /** The server's journal folder. */
  readonly folder: string;
  readonly journalId: string;
  readonly slot: JournalSlot;
  readonly counters: ThreadCounters;
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly maxBytes: number;
  readonly bufferBytes: number;
  readonly sync: SyncPolicy;
  /** The source of mapped segments; without it all are written. */
  readonly supply?: SegmentSupply | undefined;
  /** Called after a turn with clicks if the ingest sleeps. */
  readonly onWritten: () => void;
  /** Called when the disk or the bound begins to refuse clicks, and without an error when that is over. */
  readonly onTrouble: (error: Error | undefined) => void;
}

// By number, because these are counted at every turn.
const { journalSyncs } = Scalar;

/** A segment with more texts ends, because all its texts are in memory. */
const MAX_TEXTS = 65_536;

/**
 * One gateway's click journal. Format, states and promises: src/journal/README.md.
 *
 * - *mapped*: a click is stored in a segment's memory, and is in the file before its answer goes out.
 * - *written*: clicks gather in memory and are written when the turn ends; or each at once, if segments
 *   should be mapped but none is ready.
 * - *holding*: the disk refused a write; clicks wait in memory, in order, and are tried again.
 * - *refusing*: the memory for waiting clicks, or the journal on the disk, has reached its bound; new clicks
 *   are counted as lost. Redirects work in every state.
 */
export class ClickJournal {
  readonly #options: ClickJournalOptions;
  readonly #account: JournalAccount;
  /** The slot's cells; `accepted` is the first. */
  readonly #progress: Float64Array;
  readonly #cells: Float64Array;
  readonly #recorder: Recorder;
  readonly #buffer = new RecordBuffer();
  readonly #files: WrittenSegments;
  readonly #refused: RefusedWrites;
  readonly #supply: SegmentSupply | undefined;
  #databaseId: string | undefined;

  #segment = 1;
  #seed = randomBytes(4).readUInt32LE(0);
  /** The segment's, while it is mapped. */
  #mapped: MappedSegment | undefined;
  /** Whether every click is written at once. */
  #isThrough = false;
  #hasBegun = false;
  #header: Buffer | undefined;
  /** The published part of the segment: its end, and the clicks in it. */
  #publishedEnd = 0;
  #publishedClicks = 0;
  #openedMs = 0;
  /** The same by the monotonic clock, because the other may be set. */
  #openedAtMs = 0;
  readonly #syncTimer: NodeJS.Timeout | undefined;
  readonly #rollTimer: NodeJS.Timeout;
  #isClosed = false;

  constructor(options: ClickJournalOptions) {
    this.#options = options;
    this.#account = new JournalAccount(options.slot, options.counters, options.onWritten);
    this.#progress = options.slot.cells;
    this.#cells = options.counters.cells;
    this.#supply = options.supply;
    this.#files = new WrittenSegments(options);
    this.#refused = new RefusedWrites({
      ...options,
      account: this.#account,
      write: (chunk) => this.#write(chunk),
      onResumed: () => this.#enterReady(),
    });
    this.#isThrough = options.supply !== undefined;
    this.#recorder = new Recorder(this.#writtenMemory());
    this.#rollTimer = setInterval(() => this.#rollIdle(), options.segmentMs).unref();
    if (typeof options.sync === 'object') {
      this.#syncTimer = setInterval(() => this.#sync(), options.sync.everyMs).unref();
    }
    if (options.supply === undefined) return;
    options.supply.listener = {
      onReady: (wasRefused) => {
        if (wasRefused && !this.#refused.isRetrying) this.#options.onTrouble(undefined);
        this.#enterReady();
      },
      onRefused: (reason, isFirst) => {
        this.#options.counters.add('journalWriteErrors');
        if (isFirst) this.#options.onTrouble(new Error(`no mapped segment: ${reason}`));
      },
      onSynced: (segment, isRemoved) => this.#onSynced(segment, isRemoved),
    };
    options.supply.prepare(this.#segment);
  }

  /** From now on clicks are on links of this database. */
  setDatabase(id: string): void {
    if (id === this.#databaseId) return;
    if (this.#hasBegun) {
      this.flush();
      this.#endSegment();
    }
    this.#databaseId = id;
  }

  /** Notes a click on a link, before its answer goes out; call `flush` when the turn ends. */
  record(link: NumberedLink): void {
    this.#progress[0] = (this.#progress[0] as number) + 1;
    if (this.#refused.isRefusing) {
      this.#account.lose(1);
      return;
    }
    if (!this.#hasBegun || !this.#recorder.add(link)) this.#makeRoom(() => this.#recorder.add(link));
    if (this.#isThrough) this.#writeThrough();
  }

  /** As `record`, with the facts of the visit. */
  recordVisit(link: NumberedLink, visit: Visit): void {
    this.#progress[0] = (this.#progress[0] as number) + 1;
    if (this.#refused.isRefusing) {
      this.#account.lose(1);
      return;
    }
    if (!this.#hasBegun || !this.#recorder.addVisit(link, visit))
      this.#makeRoom(() => this.#recorder.addVisit(link, visit));
    if (this.#isThrough) this.#writeThrough();
  }

  /** Ends the turn: writes its clicks if necessary, and publishes them. */
  flush(): void {
    const clicks = this.#recorder.clicks - this.#publishedClicks;
    if (clicks === 0) return;
    if (this.#mapped === undefined) this.#flushBuffer(clicks);
    else this.#flushMapped(this.#mapped, clicks);
  }

  /** Ends the journal. Clicks that the disk still refuses are lost, and counted. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.flush();
    clearInterval(this.#syncTimer);
    clearInterval(this.#rollTimer);
    this.#supply?.close();
    this.#refused.close();
    this.#leaveMapped();
    this.#files.close();
  }

  /** Handles the first click of a segment, or one for which there is no room. */
  #makeRoom(add: () => boolean): void {
    if (!this.#hasBegun) this.#begin();
    if (add()) return;
    this.flush();
    // It may have ended the segment.
    if (this.#hasBegun && this.#mapped !== undefined) this.#endSegment();
    if (!this.#hasBegun) this.#begin();
    if (!add()) throw new Error('a click that no segment has room for');
  }

  #begin(): void {
    this.#hasBegun = true;
    this.#openedMs = Date.now();
    this.#openedAtMs = performance.now();
    const isMapped = this.#mapped !== undefined;
    const header = this.#mapped?.memory.bytes ?? Buffer.alloc(HEADER_BYTES);
    encodeHeader(header, {
      journalId: this.#options.journalId,
      segment: this.#segment,
      createdMs: this.#openedMs,
      databaseId: this.#databaseId,
      bootId: bootId(),
      seed: this.#seed,
      isMapped,
    });
    this.#header = isMapped ? undefined : header;
    this.#publishedEnd = 0;
  }

  #flushMapped(mapped: MappedSegment, clicks: number): void {
    this.#recorder.endTurn();
    if (this.#options.sync === 'turn') {
      try {
        mapped.syncAtOnce(this.#recorder);
        this.#cells[journalSyncs] = (this.#cells[journalSyncs] as number) + 1;
      } catch {
        this.#options.counters.add('journalWriteErrors');
      }
    }
    this.#publishMapped(clicks);
    this.#rollIfDue(this.#recorder.end - MAPPED_HEADER_BYTES);
  }

  /** Publishes the stored clicks. */
  #publishMapped(clicks: number): void {
    const { end } = this.#recorder;
    this.#account.publish(this.#segment, end, end - this.#publishedEnd, clicks);
    this.#publishedEnd = end;
    this.#publishedClicks = this.#recorder.clicks;
  }

  #writeThrough(): void {
    // While the disk refuses, a turn is soon enough.
    if (this.#refused.isEmpty) this.flush();
  }

  #flushBuffer(clicks: number): void {
    const { end } = this.#recorder;
    const bytes = this.#recorder.takeBytes();
    const offset = end - bytes.length;
    const header = this.#header;
    this.#header = undefined;
    this.#publishedClicks = this.#recorder.clicks;
    const chunk = { segment: this.#segment, offset, bytes, clicks, header };
    if (!this.#refused.isEmpty) {
      this.#refused.hold(chunk);
      return;
    }
    try {
      this.#write(chunk);
    } catch (error) {
      this.#options.counters.add('journalWriteErrors');
      this.#options.onTrouble(error as Error);
      this.#refused.hold(chunk);
      this.#refused.beginRetrying();
      return;
    }
    this.#rollIfDue(end);
    if (this.#supply?.hasReady && this.#refused.isEmpty && this.#hasBegun && !this.#isClosed)
      this.#endSegment();
  }

  /** @throws if the disk refuses; it is written again from its start, later. */
  #write(chunk: Chunk): void {
    this.#files.write(chunk);
    if (this.#options.sync === 'turn') this.#options.counters.add('journalSyncs');
    this.#options.counters.add('journalWrites');
    const end = chunk.offset + chunk.bytes.length;
    this.#account.publish(chunk.segment, end, chunk.bytes.length + (chunk.header?.length ?? 0), chunk.clicks);
  }

  /** @param size Bytes in the segment. */
  #rollIfDue(size: number): void {
    const { segmentBytes, segmentMs } = this.#options;
    if (this.#account.isFull(this.#options.maxBytes)) {
      // Only an ended segment can be ingested and removed.
      this.#endSegment();
      this.#refused.refuse(new Error('the click journal has reached CLICK_JOURNAL_MAX_BYTES'));
      this.#refused.beginRetrying();
      return;
    }
    const isOld = Math.abs(this.#recorder.timeMs - this.#openedMs) >= segmentMs;
    if (size >= segmentBytes || isOld || this.#recorder.textCount >= MAX_TEXTS) this.#endSegment();
  }

  /** Without clicks there is no turn to end an old segment, and only an ended one can be removed. */
  #rollIdle(): void {
    if (!this.#hasBegun || !this.#refused.isEmpty) return;
    if (performance.now() - this.#openedAtMs < this.#options.segmentMs) return;
    this.flush();
    if (this.#refused.isEmpty && this.#hasBegun) this.#endSegment();
  }

  /** Sends the next click to another segment: a ready mapped one, otherwise a written one. */
  #endSegment(): void {
    const isHeld = !this.#refused.isEmpty;
    const ready = isHeld ? undefined : this.#supply?.take();
    const next = ready?.segment ?? this.#segment + 1;
    // A segment on its way has its number already, and clicks written before it must come before it.
    if (ready === undefined && next >= (this.#supply?.nextNumber ?? Number.POSITIVE_INFINITY)) return;
    this.#leaveMapped();
    if (!isHeld) this.#files.end();
    this.#enter(next, ready);
    // Publishes that the previous segment is complete, even while this one is empty.
    if (!isHeld) this.#account.beginSegment(next);
    this.#account.wake();
    if (!this.#isClosed) this.#supply?.prepare(next);
  }

  #enter(segment: number, ready: ReadySegment | undefined): void {
    const supply = this.#supply;
    this.#segment = segment;
    this.#seed = randomBytes(4).readUInt32LE(0);
    this.#mapped =
      ready === undefined || supply === undefined
        ? undefined
        : new MappedSegment(ready, this.#seed, supply, this.#options);
    this.#isThrough = this.#mapped === undefined && supply !== undefined;
    this.#hasBegun = false;
    this.#publishedClicks = 0;
    this.#recorder.startSegment(this.#mapped?.memory ?? this.#writtenMemory());
  }

  #leaveMapped(): void {
    this.#mapped?.retire(this.#hasBegun ? this.#recorder.end : 0);
    this.#mapped = undefined;
  }

  #writtenMemory(): RecordMemory {
    return this.#buffer.memory(this.#segment, this.#seed, HEADER_BYTES);
  }

  /** A mapped segment is ready: it is the better place, and the current written one ends. */
  #enterReady(): void {
    if (this.#isClosed || this.#mapped !== undefined) return;
    this.flush();
    if (this.#refused.isEmpty && this.#mapped === undefined) this.#endSegment();
  }

  #sync(): void {
    const mapped = this.#mapped;
    if (mapped === undefined) {
      if (this.#files.isRemoved && this.#refused.isEmpty) this.#leaveRemoved();
      this.#files.sync(() => this.#options.counters.add('journalSyncs'));
      return;
    }
    this.flush();
    if (this.#mapped === mapped && this.#hasBegun && mapped.sync(this.#recorder)) this.#publishMapped(0);
  }

  #onSynced(segment: number, isRemoved: boolean): void {
    this.#options.counters.add('journalSyncs');
    if (isRemoved && segment === this.#segment && this.#mapped !== undefined) this.#leaveRemoved();
  }

  /** Bytes in a file without a name are lost when it is closed: begin a new one. */
  #leaveRemoved(): void {
    this.#options.onTrouble(new Error('the open segment of the click journal was removed'));
    this.flush();
    if (this.#hasBegun) this.#endSegment();
  }
}
