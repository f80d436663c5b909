import type { MessagePort } from 'node:worker_threads';
import { CodedError } from '../../errors.js';
import type { FromTransfer } from '../../messages/transfers.js';
import { Pace } from './pace.js';

/** The client of a transfer, as its worker sees it: through a port to the gateway. */
export class Peer {
  readonly pace = new Pace();
  readonly port: MessagePort;
  readonly #ending = new AbortController();
  #isGone = false;

  constructor(port: MessagePort) {
    this.port = port;
    port.on('close', () => {
      this.#isGone = true;
      this.end(new CodedError('UNAVAILABLE', 'the client went away'));
    });
  }

  /** The gateway has closed the port: an answer has no receiver. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Aborted with the reason when the client is gone, or the wait for it ends. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  end(reason: CodedError): void {
    this.#ending.abort(reason);
  }

  send(message: FromTransfer, transferred: ArrayBuffer[] = []): void {
    this.port.postMessage(message, transferred);
  }

  /** Waits for the client until `wake` is called, the signal aborts or the time is over. @throws the reason. */
  async wait(onWake: (wake: () => void) => void, milliseconds?: number): Promise<void> {
    this.signal.throwIfAborted();
    let timer: NodeJS.Timeout | undefined;
    let wake: () => void = () => undefined;
    this.pace.wait();
    await new Promise<void>((resolve) => {
      wake = resolve;
      onWake(resolve);
      this.signal.addEventListener('abort', resolve as () => void);
      if (milliseconds !== undefined) timer = setTimeout(resolve, milliseconds);
    });
    clearTimeout(timer);
    this.signal.removeEventListener('abort', wake);
    this.pace.goOn();
    this.signal.throwIfAborted();
  }
}
