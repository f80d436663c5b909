import { connect, createServer, type Server, type Socket } from 'node:net';

interface Pair {
  readonly client: Socket;
  readonly upstream: Socket;
  /** From now on PostgreSQL's answers are discarded. */
  isMuted: boolean;
  /** Its next COMMIT gets no answer. */
  isMarked: boolean;
}

/** A TCP proxy in front of PostgreSQL that can imitate a network's faults. */
export class FaultProxy {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #isFrozen = false;
  #commitCuts = 0;
  /** How the next COMMITs end: cut before PostgreSQL gets it, or after, its answer lost. */
  #cutBefore = false;
  #marker: string | undefined;
  cuts = 0;
  readonly port: number;
  #upstreamPort: number;

  private constructor(server: Server, port: number, upstreamPort: number) {
    this.#server = server;
    this.port = port;
    this.#upstreamPort = upstreamPort;
  }

  static async start(upstreamPort: number): Promise<FaultProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const proxy = new FaultProxy(server, (server.address() as { port: number }).port, upstreamPort);
    server.on('connection', (client) => proxy.#accept(client));
    return proxy;
  }

  /** Connections stay open and nothing goes through, in either direction; new ones are accepted. */
  freeze(): void {
    this.#isFrozen = true;
    for (const { client, upstream } of this.#pairs) {
      client.pause();
      upstream.pause();
    }
  }

  thaw(): void {
    this.#isFrozen = false;
    for (const { client, upstream } of this.#pairs) {
      client.resume();
      upstream.resume();
    }
  }

  /** From now on it leads to another PostgreSQL, like an address after a failover. */
  leadTo(upstreamPort: number): void {
    this.#upstreamPort = upstreamPort;
    this.cutAll();
  }

  /** Cuts every connection. */
  cutAll(): void {
    for (const pair of this.#pairs) this.#cut(pair);
  }

  /** The next `count` COMMITs get no answer: their connection is cut, before or after it took place. */
  cutCommits(count: number, before: boolean): void {
    this.#commitCuts = count;
    this.#cutBefore = before;
  }

  /** The next COMMIT after a statement with this text takes place, and its answer never comes. */
  muteCommitAfter(text: string): void {
    this.#marker = text;
  }

  get pendingCuts(): number {
    return this.#commitCuts;
  }

  async stop(): Promise<void> {
    this.cutAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    const upstream = connect(this.#upstreamPort, '127.0.0.1');
    const pair: Pair = { client, upstream, isMuted: false, isMarked: false };
    this.#pairs.add(pair);
    if (this.#isFrozen) {
      client.pause();
      upstream.pause();
    }
    client.on('data', (data) => this.#fromClient(pair, data));
    upstream.on('data', (data) => {
      if (!pair.isMuted) client.write(data);
    });
    for (const socket of [client, upstream]) {
      socket.on('error', () => this.#cut(pair));
      socket.on('close', () => this.#cut(pair));
    }
  }

  #fromClient(pair: Pair, data: Buffer): void {
    if (this.#marker !== undefined && data.includes(this.#marker)) {
      this.#marker = undefined;
      pair.isMarked = true;
    }
    if (pair.isMarked && data.includes('COMMIT\0')) pair.isMuted = true;
    const isCommit = this.#commitCuts > 0 && data.includes('COMMIT\0');
    if (!isCommit) {
      pair.upstream.write(data);
      return;
    }
    this.#commitCuts -= 1;
    this.cuts += 1;
    if (this.#cutBefore) {
      this.#cut(pair);
      return;
    }
    pair.isMuted = true;
    // PostgreSQL's answer confirms the commit, but never reaches its receiver.
    pair.upstream.once('data', () => this.#cut(pair));
    pair.upstream.write(data);
  }

  #cut(pair: Pair): void {
    this.#pairs.delete(pair);
    pair.client.destroy();
    pair.upstream.destroy();
  }
}
