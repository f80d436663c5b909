import { execFileSync } from 'node:child_process';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { describe } from 'vitest';
import { noteOpened } from '../run/opened.js';
import { describeWith, locate, toolPath } from './tools.js';

export type Side = 'database' | 'proxy';

/** Nobody has it: what is sent there is lost without a word, as in a network that is cut. */
const NOBODY = '02:00:00:00:00:01';

/**
 * A host of its own on this machine: a network namespace with a cable to the database and one to the proxy, of
 * which each can be cut. The other ends are the machine's own.
 */
export class Host {
  readonly namespace: string;
  /** Where the proxy, and a test, reach it. */
  readonly address: string;
  /** Where it reaches the database: the port is the database's own. */
  readonly databaseHost: string;
  readonly #number: number;
  readonly #relay: Relay;
  readonly #removed: () => void;
  #isGone = false;

  /** Names and addresses are used once, for what is removed may go later. */
  static #made = 0;

  private constructor(number: number, relay: Relay) {
    this.#number = number;
    this.#relay = relay;
    this.namespace = namespaceOf(number);
    this.address = addressOf('proxy', number, 2);
    this.databaseHost = addressOf('database', number, 1);
    this.#removed = noteOpened(`namespace ${this.namespace}`, () => this.stop());
  }

  static async make(databasePort: number): Promise<Host> {
    const number = Host.#made;
    Host.#made += 1;
    ip('netns', 'add', namespaceOf(number));
    try {
      inside(number, 'link', 'set', 'lo', 'up');
      for (const side of ['database', 'proxy'] as const) {
        const [near, far] = layCable(side, number);
        ip('addr', 'add', `${addressOf(side, number, 1)}/30`, 'dev', near);
        inside(number, 'addr', 'add', `${addressOf(side, number, 2)}/30`, 'dev', far);
        ip('link', 'set', near, 'up');
        inside(number, 'link', 'set', far, 'up');
      }
      return new Host(number, await Relay.start(addressOf('database', number, 1), databasePort));
    } catch (error) {
      remove(number);
      throw error;
    }
  }

  /** From now on nothing arrives, in either direction, and nobody is told. */
  cut(side: Side): void {
    const [near, far] = [cableOf(side, this.#number, 'a'), cableOf(side, this.#number, 'b')];
    const to = (address: string, device: string): string[] => [
      'neigh',
      'replace',
      address,
      'lladdr',
      NOBODY,
      'dev',
      device,
      'nud',
      'permanent',
    ];
    ip(...to(addressOf(side, this.#number, 2), near));
    inside(this.#number, ...to(addressOf(side, this.#number, 1), far));
  }

  heal(side: Side): void {
    ip('neigh', 'del', addressOf(side, this.#number, 2), 'dev', cableOf(side, this.#number, 'a'));
    inside(
      this.#number,
      'neigh',
      'del',
      addressOf(side, this.#number, 1),
      'dev',
      cableOf(side, this.#number, 'b'),
    );
  }

  /** Removes it. Its programs must have ended. */
  async stop(): Promise<void> {
    if (this.#isGone) return;
    this.#isGone = true;
    await this.#relay.stop();
    remove(this.#number);
    this.#removed();
  }
}

/** Leads a host to the test's PostgreSQL, which listens on the loopback address alone. */
class Relay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, port: number) {
    this.#server = server;
    server.on('connection', (client) => {
      const upstream = connect(port, '127.0.0.1');
      client.pipe(upstream).pipe(client);
      for (const socket of [client, upstream]) {
        this.#sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          this.#sockets.delete(socket);
          client.destroy();
          upstream.destroy();
        });
      }
    });
  }

  static async start(host: string, port: number): Promise<Relay> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
    return new Relay(server, port);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** The number of a host that is only tried. */
const TRIAL = 31;

/** `describe` for tests that need namespaces: root, with the right to make them, on Linux. */
export function describeWithNetworks(): typeof describe | typeof describe.skip {
  if (locate('ip') === undefined) return describeWith('ip');
  const reason = whyNot();
  if (reason === undefined) return describe;
  console.warn(`skipped, ${reason}`);
  return describe.skip;
}

function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  try {
    ip('netns', 'add', namespaceOf(TRIAL));
    try {
      layCable('proxy', TRIAL);
    } finally {
      remove(TRIAL);
    }
    return undefined;
  } catch (error) {
    return `network namespaces can't be made here: ${(error as Error).message.split('\n').at(-1)}`;
  }
}

function ip(...args: string[]): void {
  execFileSync(toolPath('ip'), args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** @returns its ends: on this machine, and on the host. */
function layCable(side: Side, number: number): [near: string, far: string] {
  const [near, far] = [cableOf(side, number, 'a'), cableOf(side, number, 'b')];
  ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far, 'netns', namespaceOf(number));
  return [near, far];
}

/** The cables by name: the namespace keeps them while a connection of its dead still tries to end. */
function remove(number: number): void {
  for (const side of ['database', 'proxy'] as const) {
    try {
      ip('link', 'del', cableOf(side, number, 'a'));
    } catch {
      // Not made yet.
    }
  }
  ip('netns', 'del', namespaceOf(number));
}

function inside(number: number, ...args: string[]): void {
  ip('-n', namespaceOf(number), ...args);
}

/** Names with the process's number: another run of tests beside this one has others. */
function namespaceOf(number: number): string {
  return `switchyard-${process.pid}-${number}`;
}

/** At most 15 characters. */
function cableOf(side: Side, number: number, end: 'a' | 'b'): string {
  return `sy${process.pid}${side[0]}${number}${end}`;
}

/** Two networks of four addresses for each host, in one of 256 for each run. */
function addressOf(side: Side, number: number, end: 1 | 2): string {
  const run = process.pid % 4096;
  const place = (number % 32) * 2 + (side === 'proxy' ? 1 : 0);
  return `10.${240 + (run >> 8)}.${run & 255}.${place * 4 + end}`;
}
