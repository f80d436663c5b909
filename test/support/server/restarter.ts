import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFolder } from '../machine/folders.js';
import { eventually } from '../machine/wait.js';
import { freePort } from './program.js';
import { type ServerEnvironment, startServer, type TestServer } from './server.js';

/** How long Docker waits before it starts a container again that had run well. */
const PAUSE_MS = 100;

export interface Life {
  readonly pid: number;
  readonly code: number | NodeJS.Signals;
}

/**
 * Imitates `restart: always`: starts the server again however it ended, on the same port and data folder,
 * until the test stops it.
 */
export class Restarter {
  readonly dataDir: string;
  /** The past lives. */
  readonly lives: Life[] = [];
  readonly #environment: ServerEnvironment;
  #current: TestServer | undefined;
  #isOver = false;
  #loop: Promise<void> = Promise.resolve();

  private constructor(dataDir: string, environment: ServerEnvironment) {
    this.dataDir = dataDir;
    this.#environment = environment;
  }

  static async start(environment: ServerEnvironment): Promise<Restarter> {
    const dataDir = makeFolder('restarter');
    const PORT = String(await freePort());
    const restarter = new Restarter(dataDir, { ...environment, PORT, DATA_DIR: dataDir });
    const server = await restarter.#begin();
    restarter.#loop = restarter.#keep(server);
    return restarter;
  }

  /** The server of the present life, or of the last one while there is none. */
  get server(): TestServer {
    if (this.#current === undefined) throw new Error('never started');
    return this.#current;
  }

  /** Waits for the life after the first `before` ones. */
  async nextLife(before: number): Promise<TestServer> {
    return eventually(
      () => this.lives.length > before && this.server.pid !== this.lives.at(-1)?.pid && this.server,
      60_000,
      'the next life of the server',
    );
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    this.#current?.signal('SIGTERM');
    await this.#loop;
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  async #keep(first: TestServer): Promise<void> {
    for (let server = first; ; server = await this.#begin()) {
      this.lives.push({ pid: server.pid, code: await server.exit });
      if (this.#isOver) return;
      await sleep(PAUSE_MS);
      if (this.#isOver) return;
    }
  }

  async #begin(): Promise<TestServer> {
    this.#current = await startServer(this.#environment);
    // A stop that came while it started.
    if (this.#isOver) this.#current.signal('SIGTERM');
    return this.#current;
  }
}
