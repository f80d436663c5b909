import pg from 'pg';
import type { DatabaseAddress } from '../config.js';
import type { KnownPrimary, Primary } from '../memory/primary.js';
import { destroy } from './cancel.js';
import { ROLE_QUERY, type RoleRow, roleOfRow } from './cluster-identity.js';
import { NotPrimaryError } from './failures.js';

/** Where a pool's connections go. */
export interface PrimaryOptions {
  readonly addresses: readonly DatabaseAddress[];
  readonly primary: Primary;
}

/** How often to check whether the primary has changed. */
const LOOK_EVERY_MS = 100;

/**
 * A pool's connections to whichever host is the primary. Each is asked for its role before it is used, and cut, with
 * whatever runs on it, as soon as the supervisor knows of another primary: a frozen one would hold up an ingest for
 * minutes, and one that nobody has fenced would go on accepting writes.
 */
export class PrimaryConnections {
  readonly #options: PrimaryOptions;
  /** Which primary a connection was opened to. */
  readonly #openedTo = new WeakMap<pg.ClientBase, KnownPrimary>();
  readonly #open = new Set<pg.ClientBase>();
  readonly #timer: NodeJS.Timeout;
  #generation: number;

  constructor(options: PrimaryOptions) {
    this.#options = options;
    this.#generation = options.primary.generation;
    this.#timer = setInterval(() => this.#cutOld(), LOOK_EVERY_MS).unref();
  }

  /** For the pool: a new client connects to the host that is the primary at that moment. */
  get Client(): new (
    options: pg.ClientConfig,
  ) => pg.Client {
    const { primary, addresses } = this.#options;
    const note = (client: pg.Client, known: KnownPrimary): void => this.#note(client, known);
    return class extends pg.Client {
      constructor(options: pg.ClientConfig) {
        const known = primary.read();
        super({ ...options, ...addresses[Math.max(0, known.host)] });
        note(this, known);
      }
    };
  }

  #note(client: pg.Client, known: KnownPrimary): void {
    this.#openedTo.set(client, known);
    this.#open.add(client);
    client.once('end', () => this.#open.delete(client));
  }

  /** The query for a fresh connection; `undefined` if its answer could not be compared with anything. */
  questionTo(client: pg.ClientBase): string | undefined {
    return this.#openedTo.get(client)?.system === '' ? undefined : ROLE_QUERY;
  }

  /** @throws NotPrimaryError if a fresh connection's answer is not the primary's, or the primary has changed. */
  requirePrimary(client: pg.ClientBase, row: RoleRow | undefined): void {
    this.requireCurrent(client);
    this.requireKnown();
    const known = this.#openedTo.get(client);
    if (row === undefined || known === undefined) return;
    const { isWritable, system, timeline } = roleOfRow(row);
    if (!isWritable || system !== known.system || timeline !== known.timeline)
      throw new NotPrimaryError('the host that answered is not the primary, or not the same one as before');
  }

  /** Whether the connection leads to the present primary. */
  isCurrent(client: pg.ClientBase): boolean {
    return this.#openedTo.get(client)?.generation === this.#options.primary.generation;
  }

  /** @throws NotPrimaryError if the connection leads to a host that is not the primary any more. */
  requireCurrent(client: pg.ClientBase): void {
    if (!this.isCurrent(client)) throw new NotPrimaryError('there is another primary now');
  }

  /** @throws NotPrimaryError while no primary is known. */
  requireKnown(): void {
    if (this.#options.primary.read().host < 0)
      throw new NotPrimaryError('no host is known to be the primary');
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #cutOld(): void {
    const { generation } = this.#options.primary;
    if (generation === this.#generation) return;
    this.#generation = generation;
    for (const client of this.#open) if (!this.isCurrent(client)) destroy(client);
  }
}
