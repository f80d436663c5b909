import { connect, type Socket } from 'node:net';

/**
 * Sends requests together and waits until all are answered: pipelined on one connection, in one write; or one
 * on each of several, in one turn.
 */
export class Bursts {
  readonly #sockets: readonly Socket[];
  #pending = 0;
  #expected = 0;
  #wrong = 0;
  #finish: (() => void) | undefined;
  readonly #partial = new Map<Socket, string>();

  private constructor(sockets: readonly Socket[]) {
    this.#sockets = sockets;
    for (const socket of sockets) {
      socket.setEncoding('latin1');
      socket.on('data', (text: string) => this.#read(socket, text));
    }
  }

  static async open(port: number, connections: number): Promise<Bursts> {
    const sockets = Array.from({ length: connections }, () =>
      connect({ host: '127.0.0.1', port, noDelay: true }),
    );
    await Promise.all(
      sockets.map(
        (socket) =>
          new Promise<void>((resolve, reject) => {
            socket.once('connect', resolve);
            socket.once('error', reject);
          }),
      ),
    );
    return new Bursts(sockets);
  }

  /** @throws if an answer has another status. */
  async send(requests: readonly string[], expected: number): Promise<void> {
    this.#pending = requests.length;
    this.#expected = expected;
    this.#wrong = 0;
    const done = new Promise<void>((resolve) => {
      this.#finish = resolve;
    });
    const [only, ...others] = this.#sockets;
    if (others.length === 0) only?.write(requests.join(''), 'latin1');
    else for (const [index, request] of requests.entries()) this.#sockets[index]?.write(request, 'latin1');
    await done;
    if (this.#wrong > 0) throw new Error(`${this.#wrong} of ${requests.length} answers are not ${expected}`);
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #read(socket: Socket, text: string): void {
    let rest = (this.#partial.get(socket) ?? '') + text;
    for (;;) {
      const headEnd = rest.indexOf('\r\n\r\n');
      if (headEnd === -1) break;
      const length = Number(/content-length: (\d+)/i.exec(rest.slice(0, headEnd))?.[1] ?? 0);
      const end = headEnd + 4 + length;
      if (rest.length < end) break;
      if (Number(rest.slice(9, 12)) !== this.#expected) this.#wrong += 1;
      rest = rest.slice(end);
      this.#pending -= 1;
    }
    this.#partial.set(socket, rest);
    if (this.#pending <= 0) this.#finish?.();
  }
}
