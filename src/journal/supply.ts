/** A gateway's requests to the maker of its segments, in the supervisor's thread. */
export type SegmentRequest =
  | { readonly kind: 'prepare'; readonly segment: number }
  /** Sync everything stored before `end`. */
  | { readonly kind: 'sync'; readonly segment: number; readonly end: number }
  /** The gateway does not touch the segment any more; its records end there. */
  | { readonly kind: 'retire'; readonly segment: number; readonly end: number };

export type SegmentReply =
  /** Its file is allocated and mapped at `address`, with nothing stored in it. */
  | { readonly kind: 'ready'; readonly segment: number; readonly address: bigint; readonly bytes: number }
  | { readonly kind: 'refused'; readonly segment: number; readonly reason: string }
  | { readonly kind: 'synced'; readonly segment: number; readonly isRemoved: boolean };

/** A segment in whose memory a gateway stores. */
export interface ReadySegment {
  readonly segment: number;
  readonly mapping: ArrayBuffer;
}

export interface SupplyOptions {
  readonly ask: (request: SegmentRequest) => void;
  /** The memory at an address. */
  readonly view: (address: bigint, bytes: number) => ArrayBuffer;
}

/** A journal's reactions to its supply. */
export interface SupplyListener {
  /** @param wasRefused Whether the previous request failed. */
  readonly onReady: (wasRefused: boolean) => void;
  /** The supply asks again by itself. */
  readonly onRefused: (reason: string, isFirst: boolean) => void;
  readonly onSynced: (segment: number, isRemoved: boolean) => void;
}

/** Segments written while a mapped one is awaited get numbers before it: at most this many. */
const STRIDE = 1024;
/** The pause before the next request after a refused one. */
const RETRY_MS = 1000;

/**
 * A gateway's segments, which another thread makes ahead of time: one is always ready, or on its way. The
 * gateway only stores to their memory.
 */
export class SegmentSupply {
  readonly #options: SupplyOptions;
  #listener: SupplyListener | undefined;
  #awaited: number | undefined;
  #ready: ReadySegment | undefined;
  /** The segment that is in use. */
  #after = 0;
  #isRefused = false;
  #isClosed = false;
  #retryTimer: NodeJS.Timeout | undefined;

  constructor(options: SupplyOptions) {
    this.#options = options;
  }

  /** Requests the next segment, unless one is ready or on its way. */
  prepare(after: number): void {
    this.#after = after;
    if (this.#awaited !== undefined || this.#ready !== undefined || this.#retryTimer !== undefined) return;
    this.#awaited = after + STRIDE;
    this.#options.ask({ kind: 'prepare', segment: this.#awaited });
  }

  set listener(listener: SupplyListener) {
    this.#listener = listener;
  }

  get hasReady(): boolean {
    return this.#ready !== undefined;
  }

  /** No segment of the other kind may get this number, or a later one. */
  get nextNumber(): number {
    return this.#ready?.segment ?? this.#awaited ?? Number.POSITIVE_INFINITY;
  }

  take(): ReadySegment | undefined {
    const taken = this.#ready;
    this.#ready = undefined;
    return taken;
  }

  sync(segment: number, end: number): void {
    this.#options.ask({ kind: 'sync', segment, end });
  }

  retire(segment: number, end: number): void {
    this.#options.ask({ kind: 'retire', segment, end });
  }

  receive(reply: SegmentReply): void {
    if (reply.kind === 'synced') {
      this.#listener?.onSynced(reply.segment, reply.isRemoved);
      return;
    }
    if (reply.segment !== this.#awaited || this.#isClosed) return;
    this.#awaited = undefined;
    const wasRefused = this.#isRefused;
    this.#isRefused = reply.kind === 'refused';
    if (reply.kind === 'refused') {
      this.#retryTimer = setTimeout(() => {
        this.#retryTimer = undefined;
        this.prepare(this.#after);
      }, RETRY_MS).unref();
      this.#listener?.onRefused(reply.reason, !wasRefused);
      return;
    }
    this.#ready = { segment: reply.segment, mapping: this.#options.view(reply.address, reply.bytes) };
    this.#listener?.onReady(wasRefused);
  }

  /** Requests no more segments, and ignores later ones. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retryTimer);
  }
}
