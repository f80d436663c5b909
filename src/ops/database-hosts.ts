import type { DatabaseAddress } from '../config.js';
import type { Primary } from '../memory/primary.js';
import type { ClusterIdentity } from '../postgres/cluster-identity.js';
import { NotPrimaryError } from '../postgres/failures.js';
import { hostName } from '../postgres/given-database.js';
import { HostProbe } from '../postgres/host-probe.js';
import { choosePrimary, type HostPlace, type HostState } from '../postgres/primary-choice.js';
import type { SeenTimeline } from '../postgres/seen-timeline.js';
import { describeError } from '../runtime/describe-error.js';
import type { Logger } from '../runtime/logger.js';

export interface DatabaseHostsOptions {
  /** Their number never changes; an embedded PostgreSQL may have another port after a restart. */
  readonly addresses: () => readonly DatabaseAddress[];
  /** What the other threads know about it. */
  readonly primary: Primary;
  readonly seen: SeenTimeline;
  readonly connectMs: number;
  readonly timeoutMs: number;
  readonly everyMs: number;
  readonly log: Logger;
}

const NO_MORE = 'it is the primary no more';

/** A primary on a timeline that was left behind. */
class StalePrimaryError extends NotPrimaryError {
  override readonly name = 'StalePrimaryError';
}

/**
 * The hosts that PostgreSQL may be on, and which of them to write to. Several hosts are all asked for their role
 * repeatedly; a single one is asked at each connection.
 */
export class DatabaseHosts {
  readonly #options: DatabaseHostsOptions;
  readonly #probes: readonly HostProbe[];
  #places: readonly HostPlace[] = [];
  #current: number | undefined;
  #switches = 0;
  #last: number | undefined;
  /** The single host's timeline is lower than one seen before. */
  #isStale = false;
  /** The latest log line about a stale primary. */
  #said = '';
  /** Called when the host in use is no longer the primary. */
  onLeft: (why: Error) => void = () => undefined;

  constructor(options: DatabaseHostsOptions) {
    this.#options = options;
    const addresses = options.addresses();
    const { connectMs, timeoutMs, everyMs } = options;
    const onState = (): void => {
      this.#look();
    };
    this.#probes =
      addresses.length === 1
        ? []
        : addresses.map((address) => new HostProbe({ address, connectMs, timeoutMs, everyMs, onState }));
    // A single host is known before it has been reached.
    options.primary.set(addresses.length === 1 ? 0 : -1, '', 0);
  }

  start(): void {
    for (const probe of this.#probes) probe.start();
  }

  stop(): void {
    for (const probe of this.#probes) probe.stop();
  }

  addressOf(host: number): DatabaseAddress {
    return this.#options.addresses()[host] as DatabaseAddress;
  }

  /** How often the host written to has changed. */
  get switches(): number {
    return this.#switches;
  }

  /** The number of hosts in each role. @param isUp Whether the host in use can be reached. */
  places(isUp: boolean): Readonly<Record<HostPlace, number>> {
    const single: HostPlace = this.#isStale ? 'stale' : isUp ? 'primary' : 'silent';
    const places = this.#probes.length === 0 ? [single] : this.#places;
    const count = (wanted: HostPlace): number => places.filter((place) => place === wanted).length;
    return {
      primary: count('primary'),
      standby: count('standby'),
      silent: count('silent'),
      stale: count('stale'),
    };
  }

  /**
   * The host to connect to, once each has had the time to answer.
   * @throws NotPrimaryError when none is the primary.
   */
  async choose(): Promise<number> {
    if (this.#probes.length === 0) return 0;
    await Promise.all(this.#probes.map(({ asked }) => asked));
    const states = this.#look();
    const current = this.#current;
    // The probe notices when a silent host is back; connecting to it would only cost a wait.
    if (current !== undefined && states[current]?.kind === 'answers') return current;
    const { addresses } = this.#options;
    const what = states.map(
      (state, host) => `${hostName(addresses()[host] as DatabaseAddress)} ${said(state)}`,
    );
    throw new NotPrimaryError(`no host is the primary: ${what.join(', ')}`);
  }

  /** @throws NotPrimaryError for a timeline lower than one that was written to, until the operator accepts it. */
  requireNewest(identity: ClusterIdentity | undefined): void {
    const { seen } = this.#options;
    // The operator may have accepted it meanwhile.
    if (identity !== undefined && seen.isStale(identity)) this.#reloadSeen();
    this.#isStale = identity !== undefined && seen.isStale(identity);
    if (!this.#isStale || identity === undefined) return;
    const what = `it is on timeline ${identity.timeline}, and ${seen.seen?.timeline} was written to`;
    this.#sayStale(what);
    throw new StalePrimaryError(`an old primary is not written to: ${what}`);
  }

  /**
   * From now on writes go to this host.
   * @param mark Left in its database, by which its standbys are recognised.
   * @throws NotPrimaryError when another one was chosen meanwhile.
   */
  use(host: number, identity: ClusterIdentity | undefined, mark?: string): void {
    const { primary, seen, log } = this.#options;
    if (this.#probes.length > 0 && this.#current !== host) throw new NotPrimaryError(NO_MORE);
    if (this.#last !== undefined && this.#last !== host) this.#switches += 1;
    this.#last = host;
    primary.set(host, identity?.system ?? '', identity?.timeline ?? 0);
    primary.mark = mark;
    if (identity === undefined) return;
    try {
      seen.note(identity);
    } catch (error) {
      log.warn({ error }, `the timeline could not be noted in DATA_DIR: ${describeError(error)}`);
    }
  }

  /** @throws NotPrimaryError if the host that was in use is abandoned. */
  requireInUse(): void {
    if (this.#options.primary.read().host < 0) throw new NotPrimaryError(NO_MORE);
  }

  /** From now on writes go to no host. */
  leave(): void {
    this.#options.primary.clear();
  }

  /** Compares the hosts' answers. */
  #look(): readonly HostState[] {
    const { seen } = this.#options;
    const states = this.#probes.map(({ state }) => state);
    let choice = choosePrimary(states, seen.seen, this.#current);
    if (choice.places.includes('stale') && choice.host === undefined) {
      this.#reloadSeen();
      choice = choosePrimary(states, seen.seen, this.#current);
    }
    this.#places = choice.places;
    const stale = choice.places.indexOf('stale');
    if (stale >= 0) {
      const state = states[stale] as Extract<HostState, { kind: 'answers' }>;
      this.#sayStale(
        `${hostName(this.addressOf(stale))} says that it is the primary, on timeline ${state.role.timeline}`,
      );
    } else if (this.#probes.length > 0) this.#said = '';
    this.#move(choice.host, states);
    return states;
  }

  #move(host: number | undefined, states: readonly HostState[]): void {
    const { primary } = this.#options;
    const before = this.#current;
    if (host === before) return;
    // A host that merely does not answer may be well, and there is no better one.
    if (host === undefined && before !== undefined && states[before]?.kind !== 'answers') return;
    this.#current = host;
    if (primary.read().host < 0) return;
    primary.clear();
    this.onLeft(new NotPrimaryError(host === undefined ? NO_MORE : 'another host is the primary'));
  }

  /** A file that can't be read counts as not accepted by the operator. */
  #reloadSeen(): void {
    const { seen, log } = this.#options;
    try {
      seen.reload();
    } catch (error) {
      log.warn({ error }, `the noted timeline can't be read: ${describeError(error)}`);
    }
  }

  #sayStale(what: string): void {
    if (this.#said === what) return;
    this.#said = what;
    this.#options.log.error(`an old primary answers, and is not written to: ${what}`);
  }
}

function said(state: HostState): string {
  switch (state.kind) {
    case 'asked':
      return 'has not answered yet';
    case 'silent':
      return `can't be reached (${describeError(state.error)})`;
    case 'answers':
      return state.role.isWritable ? 'is an old primary' : 'is a standby';
    default:
      throw new Error(`no such state: ${String(state satisfies never)}`);
  }
}
