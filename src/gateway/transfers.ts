import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Database, type ServerState } from '../memory/server-state.js';
import type {
  FromImport,
  FromList,
  ImportRequest,
  ListRequest,
  ToTransfer,
  TransferRequest,
} from '../messages/transfers.js';
import { limitKey } from './http/client-address.js';
import type { EarlyUpload } from './http/early-upload.js';
import { type Exchange, type Headers, JSON_TYPE } from './http/exchange.js';
import { BlockJoiner } from './http/pieces.js';
import type { SupervisorLink } from './supervisor-link.js';

export interface TransfersOptions {
  readonly state: ServerState;
  readonly supervisor: SupervisorLink;
  /** Until a worker begins. */
  readonly waitMs: number;
  /** Between two signs of progress. */
  readonly stallMs: number;
  /** For the whole transfer. */
  readonly deadlineMs: number;
  readonly waitingMax: number;
  readonly importMaxBytes: number;
}

/** Maximum pieces of a list under way to a slow client. */
const LIST_CREDITS = 4;
/** Maximum bytes of an import under way to its worker before the client is paused. */
const IMPORT_WINDOW_BYTES = 1024 * 1024;
/** The same for imports that wait for their turn, which may be very many. */
const WAITING_WINDOW_BYTES = 64 * 1024;
const SWEEP_MS = 100;
/** Pieces are joined into blocks of this size; the rest at the end of a turn is a smaller one. */
const IMPORT_BLOCK_BYTES = 64 * 1024;
/** The library gives up on slow bodies; this is how often we reset its clock. */
const NUDGE_MS = 4000;

/** A transfer under way, as the deadlines' timer sees it. */
interface Watched {
  readonly client: string;
  hasBegun: boolean;
  progressMs: number;
  readonly startMs: number;
  nudgeMs: number;
  readonly exchange: Exchange;
  readonly giveUp: () => void;
}

/**
 * Imports and lists of any size, each over its own port to a worker, in pieces and with credits: a slow side
 * slows only its own transfer, and a fixed number of bytes is under way.
 */
export class Transfers {
  readonly #options: TransfersOptions;
  readonly #watched = new Set<Watched>();
  readonly #sweeper: NodeJS.Timeout;

  constructor(options: TransfersOptions) {
    this.#options = options;
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
  }

  /** Streams a list out. */
  list(exchange: Exchange, request: ListRequest, headers: Headers = [], contentType = JSON_TYPE): void {
    if (exchange.isOver) return;
    const opened = this.#open(exchange, request);
    if (opened === undefined) return;
    const { port, watched, end } = opened;
    const grant = (): void => {
      watched.progressMs = performance.now();
      port.postMessage({ kind: 'credit', amount: 1 } satisfies ToTransfer);
    };
    let ungranted = 0;
    exchange.res.onWritable(() => {
      for (; ungranted > 0; ungranted -= 1) grant();
      return true;
    });
    port.on('message', (message: FromList) => {
      if (exchange.isOver) return;
      watched.hasBegun = true;
      watched.progressMs = performance.now();
      switch (message.kind) {
        case 'chunk':
          if (!exchange.hasStarted) exchange.startStream(headers, contentType);
          // A HEAD is answered now.
          if (exchange.isOver) end();
          else if (exchange.write(message.bytes)) grant();
          else ungranted += 1;
          break;
        case 'end':
          if (!exchange.hasStarted) exchange.startStream(headers, contentType);
          exchange.endStream();
          end();
          break;
        case 'failed':
          if (exchange.hasStarted) exchange.breakOff();
          else exchange.fail(message.error, message.detail);
          end();
          break;
        case 'begun':
          break;
        default:
          throw new Error(`no such message: ${String(message satisfies never)}`);
      }
    });
    port.postMessage({ kind: 'credit', amount: LIST_CREDITS } satisfies ToTransfer);
  }

  /**
   * Streams a multipart body in. Call it in the request's handler, before anything is awaited, or with the
   * bytes that have arrived since.
   */
  import(exchange: Exchange, request: ImportRequest, status: 200 | 201, early?: EarlyUpload): void {
    if (exchange.isOver) return;
    const opened = this.#open(exchange, request);
    if (opened === undefined) return;
    const { port, watched, end } = opened;
    let received = 0;
    let underWay = 0;
    let isComplete = false;
    let willFlush = false;
    const blocks = new BlockJoiner(IMPORT_BLOCK_BYTES, (bytes) => {
      port.postMessage({ kind: 'chunk', bytes } satisfies ToTransfer, [bytes]);
    });
    const flush = (): void => {
      willFlush = false;
      if (!exchange.isOver) blocks.flush();
    };
    const hasRoom = (): boolean => underWay < (watched.hasBegun ? IMPORT_WINDOW_BYTES : WAITING_WINDOW_BYTES);
    // Once the body is complete, the answer ends the pause: resuming would mean expecting more from the
    // client, for which the library has its own time-out.
    const resumeIfRoom = (): void => {
      if (!isComplete && hasRoom()) exchange.resume();
    };
    port.on('message', (message: FromImport) => {
      if (exchange.isOver) return;
      watched.hasBegun = true;
      watched.progressMs = performance.now();
      switch (message.kind) {
        case 'credit':
          underWay -= message.amount;
          resumeIfRoom();
          break;
        case 'begun':
          resumeIfRoom();
          break;
        case 'done':
          exchange.json(status, message.body);
          end();
          break;
        case 'failed':
          exchange.fail(message.error, message.detail);
          end();
          break;
        default:
          throw new Error(`no such message: ${String(message satisfies never)}`);
      }
    });
    const take = (chunk: ArrayBuffer, isLast: boolean): void => {
      if (exchange.isOver) return;
      received += chunk.byteLength;
      watched.progressMs = performance.now();
      if (received > this.#options.importMaxBytes) {
        exchange.fail('BODY_TOO_LARGE');
        end();
        return;
      }
      underWay += chunk.byteLength;
      blocks.add(chunk);
      if (!isLast && !willFlush) {
        willFlush = true;
        setImmediate(flush);
      }
      if (isLast) {
        isComplete = true;
        blocks.flush();
        port.postMessage({ kind: 'end' } satisfies ToTransfer);
      } else if (!hasRoom()) {
        exchange.pause();
      }
    };
    exchange.res.onData(take);
    early?.passTo(take);
    if (early?.isComplete === false) resumeIfRoom();
  }

  close(): void {
    clearInterval(this.#sweeper);
  }

  #open(
    exchange: Exchange,
    request: TransferRequest,
  ): { port: MessagePort; watched: Watched; end: () => void } | undefined {
    const client = limitKey(exchange.clientAddress);
    if (this.#options.state.database !== Database.UP || this.#isCrowded(client)) {
      exchange.fail('UNAVAILABLE');
      return undefined;
    }
    if (request.kind === 'import' && exchange.contentCoding !== '') {
      exchange.fail('CONTENT_CODING');
      return undefined;
    }
    const { port1: port, port2 } = new MessageChannel();
    const now = performance.now();
    const fail = (): void => {
      if (exchange.hasStarted) exchange.breakOff();
      else exchange.fail('UNAVAILABLE');
      end();
    };
    const watched: Watched = {
      client,
      hasBegun: false,
      progressMs: now,
      startMs: now,
      nudgeMs: now + NUDGE_MS,
      exchange,
      giveUp: fail,
    };
    const end = (): void => {
      this.#watched.delete(watched);
      port.close();
    };
    this.#watched.add(watched);
    exchange.onAborted(end);
    // The worker's end closes with the worker; a transfer that has answered is unaffected.
    port.on('close', () => {
      if (this.#watched.has(watched) && !exchange.isOver) fail();
    });
    this.#options.supervisor.requestTransfer({ request, client, port: port2 });
    return { port, watched, end };
  }

  /** One address may take half of the waiting places. */
  #isCrowded(client: string): boolean {
    const { waitingMax } = this.#options;
    let [waiting, ofClient] = [0, 0];
    for (const watched of this.#watched) {
      if (watched.hasBegun) continue;
      waiting += 1;
      if (watched.client === client) ofClient += 1;
    }
    return waiting >= waitingMax || ofClient >= Math.ceil(waitingMax / 2);
  }

  #sweep(): void {
    if (this.#watched.size === 0) return;
    const now = performance.now();
    const isDown = this.#options.state.database === Database.DOWN;
    for (const watched of this.#watched) {
      const { hasBegun, progressMs, startMs, giveUp } = watched;
      if (now >= watched.nudgeMs) {
        watched.nudgeMs = now + NUDGE_MS;
        watched.exchange.nudge();
      }
      const hasWaited = !hasBegun && (isDown || now - startMs >= this.#options.waitMs);
      const hasStalled = hasBegun && now - progressMs >= this.#options.stallMs;
      if (hasWaited || hasStalled || now - startMs >= this.#options.deadlineMs) giveUp();
    }
  }
}
