import { type Cache, createCache } from './caches.js';
import type { Counts } from './counts.js';
import type { Events } from './events.js';
import type { Options } from './options.js';

/** A link that a gateway asks the database for, and how many visits wait for it. */
interface Flight {
  readonly link: number;
  readonly gateway: Gateway;
  readonly since: number;
  visits: number;
  /** Changed meanwhile: the answer is good for those who wait, and is not kept. */
  isOutdated: boolean;
}

interface Gateway {
  readonly cache: Cache;
  readonly flights: Map<number, Flight>;
}

/** The database as the servers see it. */
export interface Database {
  isUp: boolean;
}

/** One server: gateways, and the connections on which they have links looked up. */
export class Server {
  readonly gateways: readonly Gateway[];
  /** Visits that the proxy sent here. */
  load = 0;
  isUp = true;
  readonly #options: Options;
  readonly #events: Events;
  readonly #counts: Counts;
  readonly #database: Database;
  readonly #batch: number;
  readonly #pending: number;
  #waiting: Flight[] = [];
  readonly #asked = new Set<readonly Flight[]>();

  constructor(options: Options, events: Events, counts: Counts, database: Database) {
    this.#options = options;
    this.#events = events;
    this.#counts = counts;
    this.#database = database;
    const onScale = (value: number): number => Math.max(1, Math.round(value * options.scale));
    this.#batch = onScale(options.batch);
    this.#pending = onScale(options.pending);
    this.gateways = Array.from({ length: options.gateways }, () => ({
      cache: createCache(options.policy, onScale(options.cache)),
      flights: new Map(),
    }));
  }

  visit(gateway: Gateway, link: number): void {
    const counts = this.#counts;
    if (gateway.cache.lookup(link) === 'hit') {
      counts.hits += 1;
      return;
    }
    counts.misses += 1;
    const underWay = gateway.flights.get(link);
    if (underWay !== undefined && !underWay.isOutdated) {
      counts.coalesced += 1;
      underWay.visits += 1;
      return;
    }
    counts.flights += 1;
    const flight = { link, gateway, since: this.#events.now, visits: 1, isOutdated: false };
    if (gateway.flights.size >= this.#pending) {
      this.#fail(flight);
      return;
    }
    gateway.flights.set(link, flight);
    this.#waiting.push(flight);
    this.ask();
  }

  /** Sends waiting look-ups on the connections that are free. */
  ask(): void {
    this.#expire();
    const { connections, queryMs, codeMicros, scale } = this.#options;
    while (this.#database.isUp && this.#asked.size < connections && this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#batch);
      this.#asked.add(batch);
      this.#counts.queries += 1;
      const seconds = queryMs / 1e3 + (batch.length / scale) * (codeMicros / 1e6);
      this.#events.at(this.#events.now + seconds, () => this.#answer(batch));
    }
  }

  /** The database went away: what was asked fails, what waits does until its deadline. */
  loseDatabase(): void {
    for (const batch of this.#asked) for (const flight of batch) this.#fail(flight);
    this.#asked.clear();
  }

  invalidate(link: number): void {
    for (const { cache, flights } of this.gateways) {
      cache.drop(link);
      const flight = flights.get(link);
      if (flight !== undefined) flight.isOutdated = true;
    }
  }

  /** Everything cached is asked anew before it is used: after an outage, in which changes went unheard. */
  suspectAll(): void {
    for (const { cache } of this.gateways) cache.suspectAll();
  }

  forgetAll(): void {
    for (const { cache, flights } of this.gateways) {
      cache.clear();
      for (const flight of flights.values()) flight.isOutdated = true;
    }
  }

  stop(): void {
    this.isUp = false;
    this.loseDatabase();
    for (const flight of this.#waiting) this.#fail(flight);
    this.#waiting = [];
    this.forgetAll();
  }

  /** Visits that wait for a look-up. */
  get visitsWaiting(): number {
    return [...this.#waiting, ...[...this.#asked].flat()].reduce((sum, { visits }) => sum + visits, 0);
  }

  #answer(batch: readonly Flight[]): void {
    // They have failed meanwhile.
    if (!this.#asked.delete(batch)) return;
    for (const flight of batch) {
      this.#counts.resolved += flight.visits;
      this.#counts.waited += flight.visits * (this.#events.now - flight.since);
      this.#forget(flight);
      if (!flight.isOutdated) flight.gateway.cache.keep(flight.link);
    }
    this.ask();
  }

  #expire(): void {
    const oldest = this.#events.now - this.#options.deadlineMs / 1e3;
    let late = 0;
    while (late < this.#waiting.length && (this.#waiting[late] as Flight).since < oldest) late += 1;
    for (const flight of this.#waiting.splice(0, late)) this.#fail(flight);
  }

  /** A suspect link is better than nothing while the database can't be asked. */
  #fail(flight: Flight): void {
    if (flight.gateway.cache.lookup(flight.link) === 'suspect') this.#counts.resolved += flight.visits;
    else this.#counts.failed += flight.visits;
    this.#forget(flight);
  }

  #forget(flight: Flight): void {
    const { flights } = flight.gateway;
    if (flights.get(flight.link) === flight) flights.delete(flight.link);
  }
}
