import { CodedError } from '../../errors.js';

export interface PlacesOptions<Kind extends string> {
  /** Of all kinds together. */
  readonly total: number;
  readonly most: Readonly<Record<Kind, number>>;
  /** Of one kind, for one client. */
  readonly perClient: number;
  /** The number of waiting transfers changes by one. */
  readonly onWaiting?: (kind: Kind, change: 1 | -1) => void;
  /** There was no place in time. */
  readonly onRefused?: (kind: Kind) => void;
}

export interface Claim<Kind extends string> {
  readonly kind: Kind;
  /** Empty for the server's own work. */
  readonly client: string;
  readonly waitMs: number;
  /** Aborts when the client is gone. */
  readonly signal?: AbortSignal;
}

export interface Place<Kind extends string> {
  readonly kind: Kind;
  readonly client: string;
  leave(): void;
}

interface Waiting<Kind extends string> {
  readonly claim: Claim<Kind>;
  readonly begin: () => void;
}

/**
 * A bounded number of places of several kinds. The waiting client with the fewest places is next, and of
 * several the first: a client that keeps asking comes after those that ask once.
 */
export class Places<Kind extends string> {
  readonly #options: PlacesOptions<Kind>;
  readonly #held = new Set<Place<Kind>>();
  readonly #waiting = new Set<Waiting<Kind>>();

  constructor(options: PlacesOptions<Kind>) {
    this.#options = options;
  }

  /** @throws CodedError UNAVAILABLE if there is none in time; the signal's reason if it aborts. */
  take(claim: Claim<Kind>): Promise<Place<Kind>> {
    const { kind, signal } = claim;
    const { onWaiting, onRefused } = this.#options;
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#waiting.delete(waiting);
        onWaiting?.(kind, -1);
        clearTimeout(timer);
        signal?.removeEventListener('abort', giveUp);
      };
      const giveUp = (): void => {
        settle();
        const isGone = signal?.aborted === true;
        if (!isGone) onRefused?.(kind);
        reject(isGone ? signal.reason : new CodedError('UNAVAILABLE'));
      };
      const begin = (): void => {
        settle();
        resolve(this.#hold(claim));
      };
      const waiting = { claim, begin };
      const timer = setTimeout(giveUp, claim.waitMs);
      signal?.addEventListener('abort', giveUp);
      this.#waiting.add(waiting);
      onWaiting?.(kind, 1);
      this.#serve();
    });
  }

  /** Whether a waiting client could use this place. */
  isWanted(place: Place<Kind>): boolean {
    if (this.#waiting.size === 0 || !this.#held.delete(place)) return false;
    const isWanted = this.#next() !== undefined;
    this.#held.add(place);
    return isWanted;
  }

  #hold({ kind, client }: Claim<Kind>): Place<Kind> {
    const place: Place<Kind> = {
      kind,
      client,
      leave: () => {
        if (this.#held.delete(place)) this.#serve();
      },
    };
    this.#held.add(place);
    return place;
  }

  #serve(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) next.begin();
  }

  #next(): Waiting<Kind> | undefined {
    const { total, most, perClient } = this.#options;
    if (this.#held.size >= total) return undefined;
    let next: Waiting<Kind> | undefined;
    let fewest = perClient;
    for (const waiting of this.#waiting) {
      const { kind, client } = waiting.claim;
      let [ofKind, ofClient] = [0, 0];
      for (const place of this.#held) {
        if (place.kind !== kind) continue;
        ofKind += 1;
        if (place.client === client) ofClient += 1;
      }
      if (ofKind >= most[kind] || ofClient >= fewest) continue;
      next = waiting;
      fewest = ofClient;
      if (fewest === 0) break;
    }
    return next;
  }
}
