import type { Options } from './options.js';

/**
 * The clicks that wait in each server's journal. They come as visits do, and are ingested at the servers' rate,
 * or at the database's if that is lower.
 */
export class Journals {
  readonly #options: Options;
  readonly #waiting: Float64Array;
  readonly #loads: Float64Array;
  #redirects = 0;

  constructor(options: Options) {
    this.#options = options;
    this.#waiting = new Float64Array(options.servers);
    this.#loads = new Float64Array(options.servers);
  }

  /** In all journals together, and in the longest. */
  get waiting(): number {
    return this.#waiting.reduce((sum, clicks) => sum + clicks, 0);
  }

  get longest(): number {
    return Math.max(...this.#waiting);
  }

  /**
   * @param redirects So far, of all servers; they are credited by the visits that each server had.
   * @param canIngest By server.
   * @returns how many clicks were ingested.
   */
  pass(
    seconds: number,
    redirects: number,
    loads: readonly number[],
    canIngest: (server: number) => boolean,
  ): number {
    const { ingest, databaseIngest, scale } = this.#options;
    const came = redirects - this.#redirects;
    const visits = loads.reduce((sum, load, server) => sum + load - (this.#loads[server] as number), 0);
    const wanted = loads.map((load, server) => {
      const share = visits > 0 ? (load - (this.#loads[server] as number)) / visits : 1 / loads.length;
      this.#waiting[server] = (this.#waiting[server] as number) + came * share;
      this.#loads[server] = load;
      return canIngest(server) ? Math.min(this.#waiting[server] as number, ingest * scale * seconds) : 0;
    });
    this.#redirects = redirects;
    const all = wanted.reduce((sum, clicks) => sum + clicks, 0);
    const share = all > 0 ? Math.min(1, (databaseIngest * scale * seconds) / all) : 0;
    for (const [server, clicks] of wanted.entries())
      this.#waiting[server] = (this.#waiting[server] as number) - clicks * share;
    return all * share;
  }
}
