import { CodedError } from '../../errors.js';
import type { Peer } from './peer.js';
import { type Place, Places } from './places.js';

export type TransferKind = 'list' | 'import';
type ConnectionUse = TransferKind | 'other';

/** Lists, and imports, under way at one time. Each may need a file: the plan of descriptors counts them. */
const PLACES_EACH = 16;
const LOOK_MS = 500;

export interface AdmissionOptions {
  readonly connections: number;
  /** Lists, and imports, of one client address. */
  readonly perAddress: number;
  /** Bytes a second below which a client may be ended while others wait; 0: never. */
  readonly minRate: number;
  /** A client was ended because it was the slowest. */
  readonly onEnded: (kind: TransferKind, rate: number) => void;
  /** A list or an import begins or stops waiting for a place or a connection. */
  readonly onWaiting: (change: 1 | -1) => void;
  /** A list or an import found neither in time. */
  readonly onRefused: () => void;
}

export interface Applicant {
  readonly kind: TransferKind;
  readonly peer: Peer;
  /** The client's address, in the form used for limits. */
  readonly client: string;
  readonly waitMs: number;
}

/**
 * Admits transfers. A transfer keeps a place of its kind as long as its client takes, and a connection only
 * while the database works for it; if there are two connections, one is always left to the other kind. While
 * others wait for a place, the slowest transfer in their way is ended.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #clients: Places<TransferKind>;
  readonly #connections: Places<ConnectionUse>;
  readonly #underWay = new Set<Transfer>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    const most = Math.max(1, options.connections - 1);
    const { onRefused } = options;
    this.#clients = new Places({
      total: 2 * PLACES_EACH,
      most: { list: PLACES_EACH, import: PLACES_EACH },
      perClient: options.perAddress,
      onWaiting: (_, change) => options.onWaiting(change),
      onRefused,
    });
    this.#connections = new Places({
      total: options.connections,
      most: { list: most, import: most, other: options.connections },
      perClient: options.connections,
      onWaiting: (use, change) => use === 'other' || options.onWaiting(change),
      onRefused: (use) => use === 'other' || onRefused(),
    });
  }

  /** @throws CodedError UNAVAILABLE if there is no place in time. */
  async enter(applicant: Applicant): Promise<Transfer> {
    const { kind, client, waitMs, peer } = applicant;
    const place = await this.#clients.take({ kind, client, waitMs, signal: peer.signal });
    const transfer = new Transfer(peer, place, this.#connections, () => {
      this.#underWay.delete(transfer);
      place.leave();
    });
    this.#underWay.add(transfer);
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
    return transfer;
  }

  /** Runs the server's own work that needs one of the connections. */
  async withConnection<T>(waitMs: number, work: () => Promise<T>): Promise<T> {
    const place = await this.#connections.take({ kind: 'other', client: '', waitMs });
    try {
      return await work();
    } finally {
      place.leave();
    }
  }

  #look(): void {
    if (this.#underWay.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    let slowest: Transfer | undefined;
    let least = this.#options.minRate;
    for (const transfer of this.#underWay) {
      const rate = transfer.peer.pace.look();
      if (rate === undefined || rate >= least) continue;
      if (!this.#clients.isWanted(transfer.place) && !transfer.isPressed) continue;
      slowest = transfer;
      least = rate;
    }
    if (slowest === undefined) return;
    this.#options.onEnded(slowest.place.kind, least);
    slowest.peer.end(new CodedError('UNAVAILABLE', 'too slow while others wait'));
  }
}

/** A list or an import that has a place. */
export class Transfer {
  readonly peer: Peer;
  readonly place: Place<TransferKind>;
  readonly leave: () => void;
  readonly #connections: Places<ConnectionUse>;
  #connection: Place<ConnectionUse> | undefined;

  constructor(peer: Peer, place: Place<TransferKind>, connections: Places<ConnectionUse>, leave: () => void) {
    this.peer = peer;
    this.place = place;
    this.#connections = connections;
    this.leave = leave;
  }

  /**
   * Runs work that needs a connection, once there is one. @throws CodedError UNAVAILABLE if there is none in
   * time.
   */
  async withConnection<T>(waitMs: number, work: () => Promise<T>): Promise<T> {
    const { kind, client } = this.place;
    const connection = await this.#connections.take({ kind, client, waitMs, signal: this.peer.signal });
    this.#connection = connection;
    try {
      return await work();
    } finally {
      this.#connection = undefined;
      connection.leave();
    }
  }

  /** Whether others wait for this transfer's connection. */
  get isPressed(): boolean {
    return this.#connection !== undefined && this.#connections.isWanted(this.#connection);
  }
}
