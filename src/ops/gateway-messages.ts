import { MessageChannel } from 'node:worker_threads';
import type { SegmentSupplier } from '../journal/supplier.js';
import type { FromGateway } from '../messages/supervisor.js';
import type { GatewayThread } from './gateway-threads.js';
import type { IngestScheduler } from './ingest-scheduler.js';
import type { Questions } from './questions.js';
import type { Workers } from './worker-threads.js';

export interface GatewayMessagesOptions {
  readonly workers: Workers;
  readonly ingest: IngestScheduler;
  readonly supplier: SegmentSupplier | undefined;
  readonly questions: Questions;
  readonly onChaos: () => void;
}

/** Passes gateways' messages to their receivers, and gives each gateway its ports to the workers. */
export class GatewayMessages {
  readonly #options: GatewayMessagesOptions;
  #isStopping = false;

  constructor(options: GatewayMessagesOptions) {
    this.#options = options;
  }

  connectToWorkers(gateway: GatewayThread): void {
    const { interactiveThreads } = this.#options.workers;
    for (let thread = 0; thread < interactiveThreads; thread += 1) this.#connect(gateway, thread);
  }

  receive(gateway: GatewayThread, message: FromGateway): void {
    const { workers, ingest, questions, onChaos } = this.#options;
    switch (message.kind) {
      case 'journalled':
        ingest.wake();
        break;
      case 'barrier':
        ingest.reached(message.targets).then(() => gateway.send({ kind: 'barrier', id: message.id }));
        break;
      case 'transfer':
        // A port closes with its thread, which the gateway notices.
        workers.transfer(message.job).catch(() => undefined);
        break;
      case 'check':
        workers.checkBody(message.job).catch(() => undefined);
        break;
      case 'ask':
        questions.ask(message.question, (body) => gateway.send({ kind: 'answer', id: message.id, body }));
        break;
      case 'segment':
        this.#options.supplier?.handle(gateway.journalId, message.request, (reply) =>
          gateway.send({ kind: 'segment', reply }),
        );
        break;
      case 'chaos':
        onChaos();
        break;
      case 'listening':
      case 'failed':
      case 'drained':
        // About the gateway's own life: GatewayThreads handles them.
        break;
      default:
        throw new Error(`no such message: ${String(message satisfies never)}`);
    }
  }

  /** From now on no gateway gets a worker, and no question an answer. */
  stop(): void {
    this.#isStopping = true;
    this.#options.questions.close();
  }

  /** A port between a gateway and a worker thread; a new one if the thread was replaced. */
  #connect(gateway: GatewayThread, thread: number): void {
    if (gateway.hasEnded || this.#isStopping) return;
    const { port1, port2 } = new MessageChannel();
    gateway.send({ kind: 'worker', port: port1 });
    this.#options.workers.serveCalls(thread, port2).catch(() => this.#connect(gateway, thread));
  }
}
