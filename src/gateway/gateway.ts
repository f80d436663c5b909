import uWS, { type us_listen_socket } from 'uWebSockets.js';
import { parentPort, workerData } from 'node:worker_threads';
import type { Config } from '../config.js';
import { loadKoffi, viewMemory } from '../journal/native.js';
import { SegmentSupply } from '../journal/supply.js';
import { ClickJournal } from '../journal/writer.js';
import { Coherence } from '../memory/coherence.js';
import { ConnectionBudget } from '../memory/connection-budget.js';
import { Counters } from '../memory/counters.js';
import { JournalSlots } from '../memory/journal-slots.js';
import { ServerState } from '../memory/server-state.js';
import { WrongTries } from '../memory/wrong-tries.js';
import type { ToGateway } from '../messages/supervisor.js';
import { describeError } from '../runtime/describe-error.js';
import { createThreadLogger } from '../runtime/logger.js';
import { watchThread } from '../runtime/thread-health.js';
import { openAccess } from './access/open.js';
import { Api } from './api.js';
import { Barriers } from './barriers.js';
import { BodyChecks } from './body-checks.js';
import { Calls } from './call-client.js';
import { Connections } from './connections.js';
import { bodyClasses } from './http/body-limits.js';
import { BodyReader } from './http/body-reader.js';
import { ClientAddresses } from './http/client-address.js';
import { Cors } from './http/cors.js';
import type { Exchange } from './http/exchange.js';
import type { GatewayState } from './http/gateway-state.js';
import { originOf } from './http/origin.js';
import { RateLimit } from './http/rate-limit.js';
import { RequestLog } from './http/request-log.js';
import { setTimeouts } from './http/timeouts.js';
import { LiveListeners } from './live-listeners.js';
import { CHAOS_GUESSES_PER_MINUTE, Operations } from './operations.js';
import { assembleRedirect } from './redirect/assembly.js';
import type { Flight } from './redirect/code-resolver.js';
import type { Redirect } from './redirect/redirect.js';
import { Turn } from './redirect/turn.js';
import { registerRoutes } from './router.js';
import { SupervisorLink } from './supervisor-link.js';
import { Transfers } from './transfers.js';

/** What a gateway thread gets from the supervisor at its start. */
export interface GatewayData {
  readonly config: Config;
  readonly ordinal: number;
  readonly port: number;
  /** Not sharing its port: a second process then fails to listen instead of sharing it. */
  readonly isExclusive: boolean;
  readonly journalFolder: string;
  readonly journalId: string;
  readonly journalSlot: number;
  /** Whether the supervisor makes mapped segments. */
  readonly isMapped: boolean;
  readonly coherence: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  readonly state: SharedArrayBuffer;
  readonly connections: SharedArrayBuffer;
  readonly listeners: SharedArrayBuffer;
  readonly wrongTries: SharedArrayBuffer;
  /** Present if requests to the API are limited. */
  readonly requestRates: SharedArrayBuffer | undefined;
  readonly journals: SharedArrayBuffer;
}

/** A gateway serves its connections for at least this long after it has closed its listener. */
const DRAIN_CHECK_MS = 20;
/** A listener that does not read is dropped. */
const LISTENER_STALL_MS = 5000;

/**
 * A gateway thread: one uWebSockets.js App with its own link cache and click journal.
 *
 * It always closes its App before it ends: a thread that ends with an open App takes the process down with
 * it. An uncaught exception therefore also runs `close`, and ends only this thread.
 */
class Gateway {
  readonly #data: GatewayData;
  readonly #app = uWS.App();
  readonly #log;
  readonly #journal: ClickJournal;
  readonly #turn: Turn;
  readonly #segments: SegmentSupply | undefined;
  readonly #redirect: Redirect;
  readonly #calls: Calls<Flight>;
  readonly #bodies: BodyReader;
  readonly #transfers: Transfers;
  readonly #supervisor: SupervisorLink;
  readonly #state: GatewayState;
  readonly #listeners: LiveListeners;
  readonly #stopWatching: () => void;
  readonly #releaseCounters: () => void;
  #listenSocket: us_listen_socket | undefined;
  readonly #connections: Connections;
  #isClosed = false;

  constructor(data: GatewayData, port: NonNullable<typeof parentPort>) {
    this.#data = data;
    const { config } = data;
    const name = `gateway-${data.ordinal}`;
    this.#log = createThreadLogger(name, config.LOG_LEVEL);
    const allCounters = new Counters(data.counters);
    const claimed = allCounters.claim('gateway');
    const { counters } = claimed;
    this.#releaseCounters = claimed.release;
    this.#stopWatching = watchThread(counters);
    const state = new ServerState(data.state);
    this.#connections = new Connections(new ConnectionBudget(data.connections), counters, this.#log);
    const journals = new JournalSlots(data.journals);
    this.#supervisor = new SupervisorLink(port, journals);
    this.#state = {
      counters,
      requestLog: new RequestLog(this.#log, counters, config.LOG_REQUESTS_PER_SECOND),
      addresses: new ClientAddresses(config.TRUSTED_PROXIES),
      cors: config.CORS_ORIGINS.length === 0 ? undefined : new Cors(config.CORS_ORIGINS),
      open: 0,
      unprovedBytes: 0,
      isDraining: false,
    };
    this.#segments = data.isMapped ? this.#openSupply() : undefined;
    this.#journal = new ClickJournal({
      folder: data.journalFolder,
      journalId: data.journalId,
      slot: journals.slot(data.journalSlot),
      counters,
      segmentBytes: config.CLICK_JOURNAL_SEGMENT_BYTES,
      segmentMs: config.CLICK_JOURNAL_SEGMENT_MS,
      maxBytes: config.CLICK_JOURNAL_MAX_BYTES,
      bufferBytes: config.CLICK_JOURNAL_BUFFER_BYTES,
      sync: config.CLICK_JOURNAL_SYNC,
      supply: this.#segments,
      onWritten: () => this.#supervisor.tell({ kind: 'journalled' }),
      onTrouble: (error) => {
        if (error === undefined) this.#log.info('the click journal accepts clicks again');
        else this.#log.error({ error }, `the click journal is in trouble: ${describeError(error)}`);
      },
    });
    this.#calls = new Calls({
      state,
      counters,
      pendingMax: config.CALL_PENDING_MAX,
      deadlineMs: config.CALL_DEADLINE_MS,
    });
    this.#turn = new Turn(counters, state, () => this.#journal.flush());
    this.#bodies = new BodyReader({
      counters,
      totalBytes: config.BODY_TOTAL_BYTES,
      deadlineMs: config.BODY_DEADLINE_MS,
    });
    const onFault = (error: unknown, exchange: Exchange): void => this.#logFault(error, exchange);
    const originFor = (exchange: Exchange): string => originOf(exchange, config.BASE_URL, data.port);
    this.#redirect = assembleRedirect({
      config,
      gateway: this.#state,
      state,
      coherence: data.coherence,
      wrongTries: data.wrongTries,
      calls: this.#calls,
      journal: this.#journal,
      turn: this.#turn,
      bodies: this.#bodies,
      originFor,
      onFault,
    });
    this.#transfers = new Transfers({
      state,
      supervisor: this.#supervisor,
      waitMs: config.TRANSFER_WAIT_MS,
      stallMs: config.TRANSFER_STALL_MS,
      deadlineMs: config.TRANSFER_DEADLINE_MS,
      waitingMax: config.TRANSFER_WAITING_MAX,
      importMaxBytes: config.IMPORT_MAX_BYTES,
    });
    this.#listeners = new LiveListeners({
      budget: new ConnectionBudget(data.listeners),
      counters,
      stallMs: LISTENER_STALL_MS,
    });
    setTimeouts(this.#app, config.TRANSFER_STALL_MS);
    // biome-ignore lint/suspicious/useIterableCallbackReturn: not an array's filter, but uWebSockets.js's hook
    this.#app.filter((response, change) => {
      if (Number(change) > 0) this.#connections.connected(response);
      else this.#connections.disconnected();
    });
    registerRoutes(this.#app, {
      redirect: this.#redirect,
      api: new Api({
        access: openAccess(config, new Coherence(data.coherence), state, this.#calls),
        rateLimit: data.requestRates && new RateLimit(config.API_RATE_PER_MINUTE, data.requestRates),
        calls: this.#calls,
        bodies: this.#bodies,
        bodyClasses: bodyClasses(config.BODY_MAX_BYTES),
        bodyChecks: new BodyChecks(this.#supervisor, counters, config.DELETE_DEADLINE_MS),
        transfers: this.#transfers,
        // What Kafka brings comes when it comes.
        barriers: new Barriers(
          this.#supervisor,
          config.CLICK_INGEST === 'consume' ? 0 : config.READ_BARRIER_MS,
          state,
        ),
        operations: new Operations({
          supervisor: this.#supervisor,
          listeners: this.#listeners,
          chaosToken: config.CHAOS_TOKEN,
          chaosGuesses: new WrongTries(CHAOS_GUESSES_PER_MINUTE, data.wrongTries),
          state,
          counters: allCounters,
          journals,
          journalMaxBytes: config.CLICK_JOURNAL_MAX_BYTES,
          gateway: this.#state,
          isIndexed: config.ROBOTS_INDEX,
        }),
        callDeadlineMs: config.CALL_DEADLINE_MS,
        longDeadlineMs: config.DELETE_DEADLINE_MS,
        originFor,
      }),
      gateway: this.#state,
      hasConsole: config.CONSOLE,
      onFault,
    });
  }

  listen(): void {
    // The declarations lack the constant, and the overload with a host and options; the library has both.
    const { LIBUS_LISTEN_EXCLUSIVE_PORT } = uWS as unknown as { LIBUS_LISTEN_EXCLUSIVE_PORT: number };
    const options = this.#data.isExclusive ? LIBUS_LISTEN_EXCLUSIVE_PORT : 0;
    const listen = this.#app.listen.bind(this.#app) as unknown as (
      host: string,
      port: number,
      options: number,
      callback: (socket: us_listen_socket | false) => void,
    ) => void;
    listen(this.#data.config.HOST, this.#data.port, options, (socket) => {
      if (socket === false) {
        const { HOST } = this.#data.config;
        this.#supervisor.tell({ kind: 'failed', message: `can't listen on ${HOST}:${this.#data.port}` });
        return;
      }
      this.#listenSocket = socket;
      this.#supervisor.tell({ kind: 'listening', port: uWS.us_socket_local_port(socket as never) });
    });
  }

  receive(message: ToGateway): void {
    switch (message.kind) {
      case 'listen':
        this.listen();
        break;
      case 'worker':
        this.#calls.addWorker(message.port);
        break;
      case 'barrier':
      case 'answer':
        this.#supervisor.receive(message);
        break;
      case 'segment':
        this.#segments?.receive(message.reply);
        break;
      case 'live':
        this.#listeners.send(message.figures);
        break;
      case 'drain':
        this.#drain();
        break;
      case 'close':
        this.close();
        process.exit(0);
        break;
      default:
        throw new Error(`no such message: ${String(message satisfies never)}`);
    }
  }

  /**
   * Accepts no new connections; the next answer on each open one closes it. Idle ones stay open for a while:
   * a request into a connection that is being cut fails, and can't always be sent again.
   */
  #drain(): void {
    this.#state.isDraining = true;
    this.#closeListener();
    this.#listeners.close();
    const lingerUntilMs = performance.now() + this.#data.config.DRAIN_LINGER_MS;
    const timer = setInterval(() => {
      if (this.#state.open > 0) return;
      if (this.#connections.open > 0 && performance.now() < lingerUntilMs) return;
      clearInterval(timer);
      this.#supervisor.tell({ kind: 'drained' });
    }, DRAIN_CHECK_MS);
  }

  /** Cuts all connections and ends the journal. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closeListener();
    this.#app.close();
    this.#turn.end();
    this.#journal.close();
    this.#calls.close();
    this.#bodies.close();
    this.#transfers.close();
    this.#stopWatching();
    this.#releaseCounters();
  }

  #openSupply(): SegmentSupply | undefined {
    const koffi = loadKoffi();
    if (typeof koffi === 'string') return undefined;
    return new SegmentSupply({
      ask: (request) => this.#supervisor.tell({ kind: 'segment', request }),
      view: viewMemory(koffi),
    });
  }

  fail(error: unknown): void {
    this.#log.fatal({ error }, `the gateway ends: ${describeError(error)}`);
    this.close();
    process.exit(1);
  }

  #closeListener(): void {
    if (this.#listenSocket === undefined) return;
    uWS.us_listen_socket_close(this.#listenSocket);
    this.#listenSocket = undefined;
  }

  #logFault(error: unknown, exchange: Exchange): void {
    this.#log.error({ error, request_id: exchange.requestId }, `${exchange.method} ${exchange.path} failed`);
  }
}

if (parentPort !== null) {
  const port = parentPort;
  const gateway = new Gateway(workerData as GatewayData, port);
  process.on('uncaughtException', (error) => gateway.fail(error));
  process.on('unhandledRejection', (error) => gateway.fail(error));
  port.on('message', (message: ToGateway) => gateway.receive(message));
}
