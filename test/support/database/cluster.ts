import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { EmbeddedPostgres } from '../../../src/postgres/embedded.js';
import { makeFolder } from '../machine/folders.js';
import { eventually } from '../machine/wait.js';
import { connectDatabase, type TestDatabase, urlOf } from './database.js';

/** A test's own PostgreSQL, which it may stop, kill and freeze. */
export class TestCluster {
  readonly dataDir: string;
  readonly #embedded: EmbeddedPostgres;

  private constructor(dataDir: string, embedded: EmbeddedPostgres) {
    this.dataDir = dataDir;
    this.#embedded = embedded;
  }

  static async start(): Promise<TestCluster> {
    const dataDir = makeFolder('cluster');
    return new TestCluster(dataDir, await EmbeddedPostgres.start(dataDir));
  }

  get url(): string {
    return urlOf(this.#embedded.address);
  }

  get port(): number {
    return this.#embedded.address.port;
  }

  connect(): Promise<TestDatabase> {
    return connectDatabase(this.#embedded.address);
  }

  /** `fast`: an orderly stop; `immediate`: as after a crash; `kill`: the postmaster is killed with -9. */
  async stop(mode: 'fast' | 'immediate' | 'kill'): Promise<void> {
    const pid = this.#postmaster();
    const family = [pid, ...childrenOf(pid)];
    process.kill(pid, ({ fast: 'SIGINT', immediate: 'SIGQUIT', kill: 'SIGKILL' } as const)[mode]);
    await eventually(() => family.every((one) => !isAlive(one)), 20_000, 'the end of PostgreSQL');
  }

  async restart(): Promise<void> {
    await this.#embedded.ensureRunning();
  }

  /** PostgreSQL keeps its connections but answers nothing. */
  freeze(): void {
    const pid = this.#postmaster();
    process.kill(pid, 'SIGSTOP');
    // From now on it has no new ones, but one may just have ended.
    for (const child of childrenOf(pid)) signal(child, 'SIGSTOP');
  }

  /** Also where it was not frozen, or has ended. */
  thaw(): void {
    if (!existsSync(this.#pidFile)) return;
    const pid = this.#postmaster();
    for (const one of [...childrenOf(pid), pid]) signal(one, 'SIGCONT');
  }

  async remove(): Promise<void> {
    await this.#embedded.stop();
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  #postmaster(): number {
    return Number(readFileSync(this.#pidFile, 'utf8').split('\n')[0]);
  }

  get #pidFile(): string {
    return path.join(this.#embedded.folder, 'cluster/postmaster.pid');
  }
}

/** Signals a process, unless it has ended. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => statusOf(pid)?.match(/^PPid:\s+(\d+)$/m)?.[1] === String(parent));
}

function isAlive(pid: number): boolean {
  const status = statusOf(pid);
  return status !== undefined && !/^State:\s+[ZX]/m.test(status);
}

function statusOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return undefined;
  }
}
