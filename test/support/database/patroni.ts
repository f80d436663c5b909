import { type ChildProcess, spawn } from 'node:child_process';
import {
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { postgresIdentity } from '../../../src/postgres/binaries.js';
import { makeFolder } from '../machine/folders.js';
import { toolPath } from '../machine/tools.js';
import { eventually } from '../machine/wait.js';
import { freePort, Program } from '../server/program.js';
import { connectDatabase, type TestDatabase, urlOf } from './database.js';
import { FaultProxy } from './proxy.js';

const USER = 'switchyard';
/** Nobody is asked for it; initdb wants one. */
const PASSWORD = 'of-this-test-only';
const START_MS = 120_000;
/** Seconds after which a leader that says nothing is no leader any more: Patroni's own time. */
export const LEADER_SECONDS = 5;

/** Three PostgreSQL that Patroni manages by an etcd, all on loopback. */
export class PatroniCluster {
  readonly nodes: readonly PatroniNode[];
  readonly #folder: string;
  readonly #etcd: Program;

  private constructor(folder: string, etcd: Program, nodes: readonly PatroniNode[]) {
    this.#folder = folder;
    this.#etcd = etcd;
    this.nodes = nodes;
  }

  static async start(): Promise<PatroniCluster> {
    const folder = makeFolder('patroni');
    const [clients, peers] = [await freePort(), await freePort()];
    const etcd = new Program(toolPath('etcd'), [
      ...['--data-dir', path.join(folder, 'etcd'), '--enable-v2', '--unsafe-no-fsync'],
      ...['--listen-client-urls', `http://127.0.0.1:${clients}`],
      ...['--advertise-client-urls', `http://127.0.0.1:${clients}`],
      ...['--listen-peer-urls', `http://127.0.0.1:${peers}`],
      ...['--initial-advertise-peer-urls', `http://127.0.0.1:${peers}`],
      ...['--initial-cluster', `default=http://127.0.0.1:${peers}`, '--log-level', 'error'],
    ]);
    await etcd.answers(`http://127.0.0.1:${clients}/health`, START_MS);
    const nodes: PatroniNode[] = [];
    const cluster = new PatroniCluster(folder, etcd, nodes);
    for (const name of ['one', 'two', 'three']) nodes.push(await PatroniNode.place(folder, name, clients));
    nodes[0]?.start();
    await cluster.leader();
    for (const node of nodes.slice(1)) node.start();
    await cluster.whole();
    return cluster;
  }

  /** A URL with all hosts, as libpq has it. */
  get url(): string {
    const hosts = this.nodes.map(({ port }) => `127.0.0.1:${port}`).join(',');
    return `postgresql://${USER}@${hosts}/postgres?target_session_attrs=read-write`;
  }

  /** Waits for a leader. @param other Than this one. */
  leader(other?: PatroniNode): Promise<PatroniNode> {
    return eventually(
      async () => {
        for (const node of this.nodes) if (node !== other && (await node.isPrimary())) return node;
        return undefined;
      },
      START_MS,
      () => `a primary: ${this.nodes.map((node) => node.log).join('\n')}`,
    );
  }

  /** Waits until all but the leader are standbys that follow it. */
  async whole(): Promise<PatroniNode> {
    const leader = await this.leader();
    await eventually(
      async () => {
        const database = await leader.connect().catch(() => undefined);
        const rows = await database?.query('SELECT FROM pg_stat_replication').catch(() => []);
        await database?.drop();
        return rows?.length === this.nodes.length - 1;
      },
      START_MS,
      () => `two standbys: ${this.nodes.map((node) => node.log).join('\n')}`,
    );
    return leader;
  }

  async stop(): Promise<void> {
    for (const node of this.nodes) await node.kill();
    for (const node of this.nodes) await node.close();
    await this.#etcd.stop('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** One machine of the cluster: Patroni and its PostgreSQL. Its peers reach it, and it reaches etcd, by proxies alone. */
export class PatroniNode {
  readonly name: string;
  /** Of its PostgreSQL, as a client reaches it that is not cut off. */
  readonly port: number;
  readonly #folder: string;
  /** What lies between it and its peers. */
  readonly #lines: readonly FaultProxy[];
  #child: ChildProcess | undefined;

  private constructor(name: string, port: number, folder: string, lines: readonly FaultProxy[]) {
    this.name = name;
    this.port = port;
    this.#folder = folder;
    this.#lines = lines;
  }

  static async place(parent: string, name: string, etcdPort: number): Promise<PatroniNode> {
    const folder = path.join(parent, name);
    mkdirSync(folder, { mode: 0o700 });
    const [port, restPort] = [await freePort(), await freePort()];
    const lines = [
      await FaultProxy.start(etcdPort),
      await FaultProxy.start(port),
      await FaultProxy.start(restPort),
    ] as const;
    const [etcd, peers, rest] = lines.map((line) => `127.0.0.1:${line.port}`) as [string, string, string];
    const anybody = { username: USER, password: PASSWORD };
    const settings = {
      scope: 'switchyard',
      name,
      restapi: { listen: `127.0.0.1:${restPort}`, connect_address: rest },
      // By a proxy alone, and not by the address that etcd says it has.
      etcd: { hosts: etcd, use_proxies: true },
      bootstrap: {
        dcs: {
          ttl: LEADER_SECONDS,
          loop_wait: 1,
          retry_timeout: 2,
          maximum_lag_on_failover: 1024 * 1024 * 1024,
          primary_start_timeout: 0,
          postgresql: {
            use_pg_rewind: true,
            parameters: {
              max_connections: 60,
              wal_log_hints: 'on',
              max_wal_senders: 5,
              wal_retrieve_retry_interval: '100ms',
            },
          },
        },
        initdb: [{ encoding: 'UTF8' }, { locale: 'C' }, 'no-sync'],
      },
      postgresql: {
        listen: `127.0.0.1:${port}`,
        connect_address: peers,
        data_dir: path.join(folder, 'data'),
        bin_dir: path.dirname(realpathSync(toolPath('postgres'))),
        pgpass: path.join(folder, 'pgpass'),
        authentication: { superuser: anybody, replication: anybody, rewind: anybody },
        pg_hba: ['host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust'],
        remove_data_directory_on_rewind_failure: true,
        remove_data_directory_on_diverged_timelines: true,
        parameters: { unix_socket_directories: '', fsync: 'off', shared_buffers: '32MB' },
      },
    };
    const file = path.join(folder, 'patroni.yml');
    writeFileSync(file, stringify(settings));
    const identity = postgresIdentity();
    if (identity !== undefined) for (const one of [folder, file]) chownSync(one, identity.uid, identity.gid);
    return new PatroniNode(name, port, folder, lines);
  }

  /** Patroni's words, and PostgreSQL's. */
  get log(): string {
    return readText(path.join(this.#folder, 'log')).slice(-4000);
  }

  start(): void {
    const log = openSync(path.join(this.#folder, 'log'), 'a', 0o644);
    const identity = postgresIdentity();
    this.#child = spawn(toolPath('patroni'), [path.join(this.#folder, 'patroni.yml')], {
      cwd: '/',
      // A session of its own: all its processes are found by it.
      detached: true,
      stdio: ['ignore', log, log],
      ...(identity === undefined ? {} : { uid: identity.uid, gid: identity.gid }),
    });
    closeSync(log);
  }

  connect(): Promise<TestDatabase> {
    return connectDatabase(this.#address);
  }

  async isPrimary(): Promise<boolean> {
    const asked = (async () => {
      const database = await this.connect().catch(() => undefined);
      const rows = await database
        ?.query<{ standby: boolean }>('SELECT pg_is_in_recovery() AS standby')
        .catch(() => []);
      await database?.drop();
      return rows?.[0]?.standby === false;
    })();
    // One that is frozen never answers.
    return Promise.race([asked, sleep(1000, false, { ref: false })]);
  }

  /** Ends all of it at once, as a machine does that loses its power. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    const end = new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve(undefined);
      else child.once('close', resolve);
    });
    this.#signal(child, 'SIGKILL');
    await end;
    await eventually(() => this.#processes(child).length === 0, 20_000, 'the end of a node');
  }

  /** All of it goes on holding its connections, and does nothing. */
  pause(): void {
    this.#signal(this.#child, 'SIGSTOP');
  }

  resume(): void {
    this.#signal(this.#child, 'SIGCONT');
  }

  /** Its peers and etcd reach it no more, nor it them; its clients do. */
  cutOff(): void {
    for (const line of this.#lines) line.freeze();
  }

  reconnect(): void {
    for (const line of this.#lines) {
      line.thaw();
      line.cutAll();
    }
  }

  async close(): Promise<void> {
    for (const line of this.#lines) await line.stop();
  }

  get url(): string {
    return urlOf(this.#address);
  }

  get #address(): Parameters<typeof connectDatabase>[0] {
    return { host: '127.0.0.1', port: this.port, database: 'postgres', user: USER, password: '' };
  }

  #signal(child: ChildProcess | undefined, signal: NodeJS.Signals): void {
    if (child === undefined) return;
    for (const pid of this.#processes(child)) {
      try {
        process.kill(pid, signal);
      } catch {
        // It has ended meanwhile.
      }
    }
  }

  /** Patroni, and PostgreSQL with all its children: those whose command line or folder is this node's. */
  #processes({ pid }: ChildProcess): number[] {
    const parents = new Map<number, number>();
    const own = new Set<number>();
    for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
      const status = readText(`/proc/${name}/status`);
      if (status === '' || /^State:\s+[ZX]/m.test(status)) continue;
      parents.set(Number(name), Number(/^PPid:\s+(\d+)$/m.exec(status)?.[1]));
      if (Number(name) === pid || readText(`/proc/${name}/cmdline`).includes(`${this.#folder}/`))
        own.add(Number(name));
    }
    // PostgreSQL's children have its title and not its arguments.
    for (let before = -1; before !== own.size; ) {
      before = own.size;
      for (const [child, parent] of parents) if (own.has(parent)) own.add(child);
    }
    return [...own];
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
