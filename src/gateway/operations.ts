import { createHash, timingSafeEqual } from 'node:crypto';
import { robotsText } from '../api/crawlers.js';
import { type InputFor, type LocalName, routeWords } from '../api/registry.js';
import type { Counters } from '../memory/counters.js';
import { JournalSlots } from '../memory/journal-slots.js';
import { Database, type ServerState } from '../memory/server-state.js';
import type { WrongTries } from '../memory/wrong-tries.js';
import { ConsoleFiles } from './console.js';
import { limitKey } from './http/client-address.js';
import type { Exchange } from './http/exchange.js';
import type { GatewayState } from './http/gateway-state.js';
import type { LiveListeners } from './live-listeners.js';
import { Reference } from './reference.js';
import type { SupervisorLink } from './supervisor-link.js';

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
/** Wrong tokens from one address, over all gateways. */
export const CHAOS_GUESSES_PER_MINUTE = 10;
const TEXT_TYPE = 'text/plain; charset=utf-8';
const HEALTHY = '{"status":"ok"}';

type Handlers = {
  readonly [Name in LocalName]: (exchange: Exchange, input: InputFor<Name>) => Promise<void> | void;
};

/** What the server knows about itself, for requests to a gateway. */
export interface OperationsOptions {
  readonly supervisor: SupervisorLink;
  readonly listeners: LiveListeners;
  readonly chaosToken: string | undefined;
  readonly chaosGuesses: WrongTries;
  readonly state: ServerState;
  /** Of all threads. */
  readonly counters: Counters;
  readonly journals: JournalSlots;
  /** Maximum size of each gateway's journal. */
  readonly journalMaxBytes: number;
  readonly gateway: Pick<GatewayState, 'isDraining'>;
  /** Whether crawlers may follow links. */
  readonly isIndexed: boolean;
}

/** The routes that need no worker: answered from shared memory, or by the supervisor for all threads. */
export class Operations {
  readonly #options: OperationsOptions;
  readonly #reference = new Reference();
  readonly #console = new ConsoleFiles();
  readonly #handlers: Handlers = {
    health: (exchange) => exchange.json(200, HEALTHY),
    readiness: (exchange) => this.#readiness(exchange),
    metrics: (exchange) => this.#metrics(exchange),
    live: (exchange) => this.#options.listeners.add(exchange),
    logs: (exchange, input) => this.#logs(exchange, input),
    chaos: (exchange) => this.#chaos(exchange),
    robots: (exchange) => exchange.text(200, TEXT_TYPE, this.#robots),
    favicon: (exchange) => exchange.noContent(),
    openapi: (exchange) => this.#reference.file('openapi', exchange),
    docsPage: (exchange) => this.#reference.file('docsPage', exchange),
    docsScript: (exchange) => this.#reference.file('docsScript', exchange),
    docsLibrary: (exchange) => this.#reference.file('docsLibrary', exchange),
    docsStyle: (exchange) => this.#reference.file('docsStyle', exchange),
    consoleEntry: (exchange) => this.#console.entry(exchange),
    consolePage: (exchange) => this.#console.page(exchange),
    consoleRunbook: (exchange) => this.#console.runbook(exchange),
    consoleFile: (exchange) => this.#console.file(exchange),
  };

  readonly #robots: string;

  constructor(options: OperationsOptions) {
    this.#options = options;
    this.#robots = robotsText(routeWords, options.isIndexed);
  }

  /** @param input Accepted by the schemas of the operation's route. */
  async perform(name: LocalName, exchange: Exchange, input: unknown): Promise<void> {
    await this.#handlers[name](exchange, input as never);
  }

  #readiness(exchange: Exchange): void {
    if (this.#options.gateway.isDraining) {
      exchange.fail('UNAVAILABLE');
      return;
    }
    const database = this.#databaseCondition();
    const journal = this.#journalCondition();
    const status = database === 'up' && journal === 'ok' ? 'ready' : 'degraded';
    exchange.json(200, JSON.stringify({ status, database, journal }));
  }

  /** `listen-lost`: this server does not hear changes by others, and reads links again before use. */
  #databaseCondition(): 'up' | 'listen-lost' | 'down' {
    const { state } = this.#options;
    if (state.database !== Database.UP) return 'down';
    return state.coherent ? 'up' : 'listen-lost';
  }

  /**
   * `full`: a gateway loses its clicks. `buffering`: the disk refuses them, and the gateway holds them in
   * memory.
   */
  #journalCondition(): 'ok' | 'buffering' | 'full' {
    const { counters, journals, journalMaxBytes } = this.#options;
    for (let index = 0; index < JournalSlots.count; index += 1) {
      const journal = journals.slot(index);
      if (journal.get('writtenBytes') - journal.get('removedBytes') >= journalMaxBytes) return 'full';
    }
    return counters.livingTotal('journalBufferBytes') > 0 ? 'buffering' : 'ok';
  }

  async #metrics(exchange: Exchange): Promise<void> {
    const body = await this.#options.supervisor.ask({ of: 'metrics' });
    if (body === undefined) exchange.fail('UNAVAILABLE');
    else exchange.text(200, METRICS_TYPE, body);
  }

  async #logs(exchange: Exchange, { limit, filter, level }: InputFor<'logs'>): Promise<void> {
    const body = await this.#options.supervisor.ask({ of: 'logs', limit, filter, level });
    if (body === undefined) exchange.fail('UNAVAILABLE');
    else exchange.json(200, body);
  }

  #chaos(exchange: Exchange): void {
    const token = exchange.header('x-chaos-token');
    // A request without a token is no guess.
    if (token === '') {
      exchange.fail('UNAUTHORIZED');
      return;
    }
    const { chaosGuesses } = this.#options;
    const key = `chaos ${limitKey(exchange.clientAddress)}`;
    const admission = chaosGuesses.begin(key, Date.now());
    if (admission !== 'go') {
      // Other guesses from this address are being compared, which takes no time.
      const seconds = admission === 'wait' ? 1 : admission.retrySeconds;
      exchange.fail('TOO_MANY_TRIES', undefined, [['Retry-After', String(seconds)]]);
      return;
    }
    const isAllowed = this.#isAllowed(token);
    chaosGuesses.end(key, Date.now(), !isAllowed);
    if (!isAllowed) {
      exchange.fail('UNAUTHORIZED');
      return;
    }
    exchange.noContent();
    this.#options.supervisor.tell({ kind: 'chaos' });
  }

  /** Takes a time that reveals nothing about the token, not even its length. */
  #isAllowed(given: string): boolean {
    const { chaosToken } = this.#options;
    if (chaosToken === undefined) return false;
    const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
    return timingSafeEqual(digest(given), digest(chaosToken));
  }
}
