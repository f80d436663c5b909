import { connect, createServer, type Server } from 'node:net';

/** Passes connections on and counts them. */
export class CountingProxy {
  readonly port: number;
  readonly #server: Server;
  #connections = 0;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
    server.on('connection', () => {
      this.#connections += 1;
    });
  }

  static async start(target: number): Promise<CountingProxy> {
    const server = createServer((from) => {
      const to = connect(target, '127.0.0.1');
      from.pipe(to).pipe(from);
      from.on('error', () => to.destroy());
      to.on('error', () => from.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (typeof address !== 'object' || address === null) throw new Error('not listening');
    return new CountingProxy(server, address.port);
  }

  /** Connections so far. */
  get connections(): number {
    return this.#connections;
  }

  stop(): void {
    this.#server.close();
  }
}
