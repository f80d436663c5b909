import { setTimeout as sleep } from 'node:timers/promises';
import type { Config, DatabaseAddress } from '../config.js';
import { Primary } from '../memory/primary.js';
import { identityOf } from '../postgres/cluster-identity.js';
import { NotPrimaryError } from '../postgres/failures.js';
import { hostName } from '../postgres/given-database.js';
import { askHosts } from '../postgres/host-probe.js';
import { choosePrimary } from '../postgres/primary-choice.js';
import type { PrimaryOptions } from '../postgres/primary-connections.js';
import { SeenTimeline } from '../postgres/seen-timeline.js';

/** How often all hosts are asked for their role. */
const LOOK_MS = 1000;

/** Which of several hosts is the primary, for a process that runs long: its connections follow. */
export class PrimaryWatch {
  readonly #config: Config;
  readonly #addresses: readonly DatabaseAddress[];
  readonly #primary = new Primary();
  readonly #seen: SeenTimeline;
  readonly #stopping = new AbortController();
  #current: number | undefined;

  private constructor(config: Config, addresses: readonly DatabaseAddress[]) {
    this.#config = config;
    this.#addresses = addresses;
    this.#seen = new SeenTimeline(config.DATA_DIR);
  }

  /** @throws NotPrimaryError when none of the hosts is the primary. */
  static async start(config: Config, addresses: readonly DatabaseAddress[]): Promise<PrimaryWatch> {
    const watch = new PrimaryWatch(config, addresses);
    await watch.#look();
    void watch.#keepLooking();
    return watch;
  }

  /** For a pool. */
  get options(): PrimaryOptions {
    return { addresses: this.#addresses, primary: this.#primary };
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #keepLooking(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await sleep(LOOK_MS, undefined, { signal, ref: false }).catch(() => undefined);
      // Without a primary its connections fail, and whoever uses them tries again.
      if (!signal.aborted) await this.#look().catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    const states = await askHosts(this.#addresses, this.#config.DATABASE_CONNECT_MS);
    const { host, places } = choosePrimary(states, this.#seen.seen, this.#current);
    if (host === undefined) {
      const what = this.#addresses
        .map((address, index) => `${hostName(address)}: ${places[index]}`)
        .join(', ');
      throw new NotPrimaryError(`no host of DATABASE_URL is the primary (${what})`);
    }
    const state = states[host];
    const identity = state?.kind === 'answers' ? identityOf(state.role) : undefined;
    this.#current = host;
    this.#primary.set(host, identity?.system ?? '', identity?.timeline ?? 0);
    if (identity !== undefined) this.#seen.note(identity);
  }
}
