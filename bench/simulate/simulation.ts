import { Random } from '../../csv/random.js';
import { mix } from './caches.js';
import { type Counts, difference, noCounts } from './counts.js';
import { Events } from './events.js';
import { Journals } from './journals.js';
import type { Options } from './options.js';
import { Popularity, type Visit } from './popularity.js';
import { Server } from './server.js';

/** How often journals are looked at, and look-ups that wait too long; seconds. */
const STEP = 0.1;
/** From so many changes in one transaction on, servers are sent one message for everything. */
const CHANGES_FOR_ALL = 1000;

interface Peaks {
  /** The most clicks that waited in all journals, and in one. */
  clicksWaiting: number;
  longestJournal: number;
  /** Most look-ups in a tenth of a second, times ten. */
  peakFlights: number;
}

/** A stretch of time; counts are of the whole world, whatever the scale. */
export interface Window extends Readonly<Counts>, Readonly<Peaks> {
  readonly from: number;
  readonly to: number;
}

export interface Result {
  readonly options: Options;
  /** Since `warm`. */
  readonly total: Window;
  readonly windows: readonly Window[];
  /** Visits of the busiest server, divided by the mean. */
  readonly busiest: number;
  readonly cachedLinks: number;
  /** At the end. */
  readonly visitsWaiting: number;
  readonly clicksWaiting: number;
}

export function simulate(options: Options): Result {
  return new Simulation(options).run();
}

class Simulation {
  readonly #options: Options;
  readonly #events = new Events();
  readonly #counts = noCounts();
  readonly #database = { isUp: true };
  readonly #servers: readonly Server[];
  readonly #journals: Journals;
  readonly #popularity: Popularity;
  readonly #routing: Random;
  readonly #arrivals: Random;
  #peaks: Peaks = { clicksWaiting: 0, longestJournal: 0, peakFlights: 0 };
  #flights = 0;

  constructor(options: Options) {
    this.#options = options;
    this.#servers = Array.from(
      { length: options.servers },
      () => new Server(options, this.#events, this.#counts, this.#database),
    );
    this.#journals = new Journals(options);
    this.#popularity = new Popularity(options);
    this.#routing = new Random(options.seed + 2);
    this.#arrivals = new Random(options.seed + 3);
    this.#plan();
  }

  run(): Result {
    const { seconds, warm, windows: rows, scale } = this.#options;
    const windows: Window[] = [];
    let start = { at: 0, counts: { ...this.#counts } };
    const ends = Array.from({ length: rows }, (_, index) => (seconds * (index + 1)) / rows);
    const warmed = { at: 0, counts: { ...this.#counts } };
    const stops = [...new Set([...ends, ...(warm > 0 && warm < seconds ? [warm] : [])])].sort(
      (a, b) => a - b,
    );
    for (const stop of stops) {
      this.#runTo(stop);
      if (stop === warm) Object.assign(warmed, { at: stop, counts: { ...this.#counts } });
      if (!ends.includes(stop)) continue;
      windows.push(this.#windowSince(start.at, start.counts, this.#peaks));
      start = { at: stop, counts: { ...this.#counts } };
      this.#peaks = { clicksWaiting: 0, longestJournal: 0, peakFlights: 0 };
    }
    const most = (name: keyof Peaks): number =>
      Math.max(...windows.map((window) => (window.to > warmed.at ? window[name] * scale : 0)));
    const loads = this.#servers.map(({ load }) => load);
    const mean = loads.reduce((sum, load) => sum + load, 0) / loads.length;
    return {
      options: this.#options,
      total: this.#windowSince(warmed.at, warmed.counts, {
        clicksWaiting: most('clicksWaiting'),
        longestJournal: most('longestJournal'),
        peakFlights: most('peakFlights'),
      }),
      windows,
      busiest: Math.max(...loads) / mean,
      cachedLinks:
        this.#servers
          .flatMap(({ gateways }) => gateways.map(({ cache }) => cache.size))
          .reduce((sum, size) => sum + size, 0) / scale,
      visitsWaiting: this.#servers.reduce((sum, { visitsWaiting }) => sum + visitsWaiting, 0) / scale,
      clicksWaiting: this.#journals.waiting / scale,
    };
  }

  #plan(): void {
    const { restart, outage, storm, drift, changes, scale } = this.#options;
    const events = this.#events;
    events.every(STEP, () => this.#step());
    if (drift > 0) events.every(1 / (drift * scale), () => this.#popularity.drift());
    if (changes > 0) events.every(1 / (changes * scale), () => this.#invalidate(this.#popularity.anyLink()));
    for (const [at = 0, seconds = 5, index = 0] of restart) {
      const server = this.#servers[index];
      if (server === undefined) throw new RangeError(`--restart: there is no server ${index}`);
      events.at(at, () => server.stop());
      events.at(at + seconds, () => {
        server.isUp = true;
      });
    }
    for (const [at = 0, seconds = 0] of outage) {
      events.at(at, () => this.#loseDatabase());
      events.at(at + seconds, () => this.#findDatabase());
    }
    for (const [at = 0, links = 0] of storm) events.at(at, () => this.#storm(links));
  }

  #runTo(end: number): void {
    const perSecond = this.#options.rate * this.#options.scale;
    for (;;) {
      // Visitors do not know of each other: the time between two of them is exponential.
      const next = this.#events.now - Math.log(1 - this.#arrivals.next()) / perSecond;
      if (next > end) break;
      this.#events.runTo(next);
      this.#visit(this.#popularity.next());
    }
    this.#events.runTo(end);
  }

  #visit({ rank, link }: Visit): void {
    this.#counts.requests += 1;
    const busy = this.#serverOf(rank);
    const server = this.#options.scale === 1 ? busy : this.#serverOf(link);
    if (busy === undefined || server === undefined) {
      this.#counts.failed += 1;
      this.#counts.misses += 1;
      return;
    }
    busy.load += 1;
    const { gateways } = server;
    const gateway = gateways.length === 1 ? 0 : this.#routing.int(0, gateways.length - 1);
    server.visit(gateways[gateway] as (typeof gateways)[number], link);
  }

  /** Where the proxy sends it: by hash, those of a server that is gone to the others. */
  #serverOf(key: number): Server | undefined {
    const servers = this.#servers;
    const isHashed = this.#options.route === 'hash';
    for (let attempt = 0; attempt < 50; attempt += 1) {
      const draw = isHashed ? mix(mix(key) + attempt) / 2 ** 32 : this.#routing.next();
      const server = servers[Math.floor(draw * servers.length)];
      if (server?.isUp === true) return server;
    }
    return servers.find(({ isUp }) => isUp);
  }

  #step(): void {
    const counts = this.#counts;
    for (const server of this.#servers) server.ask();
    counts.ingested += this.#journals.pass(
      STEP,
      counts.hits + counts.resolved,
      this.#servers.map(({ load }) => load),
      (server) => this.#database.isUp && this.#servers[server]?.isUp === true,
    );
    const peaks = this.#peaks;
    peaks.clicksWaiting = Math.max(peaks.clicksWaiting, this.#journals.waiting);
    peaks.longestJournal = Math.max(peaks.longestJournal, this.#journals.longest);
    peaks.peakFlights = Math.max(peaks.peakFlights, (counts.flights - this.#flights) / STEP);
    this.#flights = counts.flights;
  }

  #loseDatabase(): void {
    this.#database.isUp = false;
    for (const server of this.#servers) server.loseDatabase();
  }

  #findDatabase(): void {
    this.#database.isUp = true;
    for (const server of this.#servers) {
      server.suspectAll();
      server.ask();
    }
  }

  #storm(links: number): void {
    if (links > CHANGES_FOR_ALL) {
      for (const server of this.#servers) server.forgetAll();
      this.#counts.invalidations += links * this.#options.scale;
      return;
    }
    const those = Math.min(this.#popularity.links, Math.round(links * this.#options.scale));
    for (let place = 0; place < those; place += 1) this.#invalidate(this.#popularity.linkAt(place));
  }

  #invalidate(link: number): void {
    this.#counts.invalidations += 1;
    for (const server of this.#servers) server.invalidate(link);
  }

  #windowSince(at: number, counts: Counts, peaks: Peaks): Window {
    const { scale } = this.#options;
    const whole = Object.entries({ ...difference(this.#counts, counts), ...peaks }).map(([name, value]) => [
      name,
      value / scale,
    ]);
    return { from: at, to: this.#events.now, ...Object.fromEntries(whole) } as unknown as Window;
  }
}
