import type { ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { claimFolder } from '../runtime/folder-lock.js';
import { type Access, findAccess, inodeOf, newPassword, passFileOf, saveAccess } from './access.js';
import { type Answer, askWhoAnswers, type EmbeddedAddress, isInUse, withClient } from './answer.js';
import { EmbeddedPostgresError, installedBinaries, postgresIdentity, reachableBinaries } from './binaries.js';
import { needsInitialising } from './cluster-folder.js';
import { placeOfCluster } from './cluster-place.js';
import { freePort, isFree } from './ports.js';
import {
  hasSessions,
  type Postmaster,
  removeForeignPidFile,
  runningPostmaster,
  stopPostmaster,
} from './postmaster.js';
import { Programs } from './programs.js';

const HOST = '127.0.0.1';
const USER = 'switchyard';
const DATABASE = 'switchyard';

/** Recovery after a crash replays the log since the last checkpoint, which may take minutes. */
const START_DEADLINE_MS = 180_000;
/** How long a postmaster that says it is ready may leave us without an answer. */
const SILENCE_MS = 10_000;
/** How long the sessions of a server that was killed may take to notice. */
const GOODBYE_MS = 3000;
/** How long a start that fails is tried again. */
const RETRY_MS = 5000;
const POLL_MS = 5;

/**
 * Our own PostgreSQL under a data folder: made on the first start, kept between runs, on loopback with a
 * random password.
 *
 * It is a process beside the server, not within it: a killed server leaves it running, and the next
 * start takes it over as it is. Two servers on one data folder share it, and the last to leave stops
 * it. A start that finds it down starts it; PostgreSQL itself recovers what a crash left.
 *
 * The cluster's files are what counts; port and password only give access. If lost, they are made anew. In a
 * copied folder they lead to the original's PostgreSQL; the answering server therefore has to prove that it
 * works on this folder's files.
 */
export class EmbeddedPostgres {
  readonly #folder: string;
  readonly #cluster: string;
  readonly #programs: Programs;
  readonly #major: number;
  readonly #notice: (line: string) => void;
  #isOutside = false;
  #access: Access | undefined;
  /** What was wrong with the saved access; empty if nothing was. */
  #flaw = '';

  private constructor(folder: string, programs: Programs, major: number, notice: (line: string) => void) {
    this.#folder = folder;
    this.#cluster = path.join(folder, 'cluster');
    this.#programs = programs;
    this.#major = major;
    this.#notice = notice;
  }

  /**
   * Starts the PostgreSQL of a data folder, or takes over the one that runs there.
   * @param notice Called with one line about anything unusual.
   * @throws EmbeddedPostgresError with one line that says what to do.
   */
  static async start(
    dataDir: string,
    notice: (line: string) => void = () => undefined,
  ): Promise<EmbeddedPostgres> {
    const identity = postgresIdentity();
    const installed = await installedBinaries();
    const binaries = reachableBinaries(installed, identity);
    const folder = placeOfCluster(dataDir, identity);
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    const programs = new Programs(folder, binaries, identity);
    const embedded = new EmbeddedPostgres(folder, programs, installed.major, notice);
    embedded.#isOutside = folder !== path.resolve(dataDir, 'postgres');
    await embedded.ensureRunning();
    return embedded;
  }

  get address(): EmbeddedAddress {
    const { port, password } = this.#known();
    return { host: HOST, port, database: DATABASE, user: USER, password };
  }

  /** The folder with the cluster, its log and its access. */
  get folder(): string {
    return this.#folder;
  }

  /** Whether it is outside DATA_DIR, and stays when that is removed. */
  get isOutside(): boolean {
    return this.#isOutside;
  }

  /** A shell line that opens the database with psql. */
  get psqlCommand(): string {
    return `PGPASSFILE='${passFileOf(this.#folder)}' psql -h ${HOST} -p ${this.#known().port} -U ${USER} ${DATABASE}`;
  }

  /** Starts PostgreSQL unless it answers; safe to call from several servers at once. */
  async ensureRunning(): Promise<void> {
    const deadline = Date.now() + START_DEADLINE_MS;
    for (;;) {
      this.#readAccess();
      if (this.#flaw === '' && (await this.#ask()) === 'ours') return;
      const owner = await claimFolder(this.#folder);
      if (owner !== undefined) {
        try {
          await this.#makeRun(deadline);
        } finally {
          await owner.release();
        }
        return;
      }
      if (Date.now() > deadline) throw this.#failure('another server has been starting it for too long');
      await sleep(100);
    }
  }

  /** Stops PostgreSQL unless another server is using it. @returns whether it was stopped. */
  async stop(): Promise<boolean> {
    if (this.#access !== undefined && (await isInUse(this.address))) return false;
    await stopPostmaster(this.#cluster, 'SIGINT');
    return true;
  }

  /** Uses the saved access, or what this server knows from before, or nothing. */
  #readAccess(): void {
    const found = findAccess(this.#folder);
    this.#flaw = found.why;
    const remembered = found.why === '' ? undefined : this.#access;
    this.#access = remembered ?? found.access;
  }

  /** Starts it, as the folder's only claimant. */
  async #makeRun(deadline: number): Promise<void> {
    if ((await this.#settle(deadline)) === 'ours') return this.#saveAgain();
    if (needsInitialising(this.#folder, this.#major)) {
      this.#access = { port: 0, password: newPassword(), cluster: '' };
      this.#flaw = '';
      const code = await this.#programs.initialise(USER, this.#access.password);
      if (code !== 0) throw this.#failure(`initdb ended with ${code}`);
    } else if (this.#access === undefined) {
      await this.#regain(`access.json ${this.#flaw}`);
    }
    const isCopy = await this.#isCopy();
    removeForeignPidFile(this.#cluster);
    if ((await this.#startPostmaster(deadline)) === 'locked') {
      await stopPostmaster(this.#cluster, 'SIGINT');
      await this.#regain('access.json holds a wrong password');
      await this.#startPostmaster(deadline);
    }
    if (isCopy) await this.#changePassword();
    else await this.#saveAgain();
  }

  /** Recovers lost access that this server, or psql's password file, still knows. */
  async #saveAgain(): Promise<void> {
    if (this.#flaw === '') return;
    await this.#save(this.#known());
    this.#notice(`the embedded PostgreSQL: access.json ${this.#flaw}: written again, the data is untouched`);
    this.#flaw = '';
  }

  /** Waits until a postmaster here answers, or none runs. */
  async #settle(deadline: number): Promise<Answer> {
    let silentSince = Date.now();
    for (;;) {
      const postmaster = runningPostmaster(this.#cluster);
      const answer = await this.#ask();
      if (answer === 'ours' || postmaster === undefined) return answer;
      if (this.#access === undefined || answer === 'locked') {
        const why = this.#access === undefined ? this.#flaw : 'holds a wrong password';
        await this.#stopUnused(postmaster, why);
        this.#access = undefined;
        this.#flaw = why;
        return 'nobody';
      }
      if (Date.now() > deadline) throw this.#failure('it did not become ready');
      // Leave one in recovery alone: if ended, it would begin again.
      if (postmaster.status !== 'ready' || answer === 'busy') silentSince = Date.now();
      if (Date.now() - silentSince > SILENCE_MS) await stopPostmaster(this.#cluster, 'SIGQUIT');
      await sleep(POLL_MS);
    }
  }

  /** Access can only be made anew while nothing runs; another server keeps its PostgreSQL. */
  async #stopUnused(postmaster: Postmaster, why: string): Promise<void> {
    const deadline = Date.now() + GOODBYE_MS;
    while (hasSessions(postmaster, USER) === true) {
      if (Date.now() > deadline) {
        throw this.#failure(
          `access.json ${why}, and another server uses the PostgreSQL: stop that one first`,
        );
      }
      await sleep(50);
    }
    await stopPostmaster(this.#cluster, 'SIGINT');
  }

  async #regain(why: string): Promise<void> {
    const access = {
      port: this.#access?.port ?? 0,
      password: newPassword(),
      cluster: inodeOf(this.#cluster),
    };
    removeForeignPidFile(this.#cluster);
    const code = await this.#programs.setPassword(USER, access.password);
    if (code !== 0) throw this.#failure(`${why}, and the single-user mode ended with ${code}`);
    await this.#save(access);
    this.#flaw = '';
    this.#notice(
      `the embedded PostgreSQL: ${why}: the data is untouched, a new password was set (${this.#folder})`,
    );
  }

  /** Whether the saved access was made for another folder than this one. */
  async #isCopy(): Promise<boolean> {
    const { cluster } = this.#known();
    return cluster === '' ? (await this.#ask()) === 'foreign' : cluster !== inodeOf(this.#cluster);
  }

  /** A copy does not share its password with the original. */
  async #changePassword(): Promise<void> {
    const password = newPassword();
    await withClient(this.address, 'postgres', (client) =>
      client.query(`ALTER ROLE ${USER} PASSWORD '${password}'`),
    );
    await this.#save({ ...this.#known(), password });
    this.#notice(`the embedded PostgreSQL: ${this.#folder} is a copy: it now has its own port and password`);
  }

  async #startPostmaster(deadline: number): Promise<'ours' | 'locked'> {
    const retryUntil = Date.now() + RETRY_MS;
    for (let attempt = 1; ; attempt += 1) {
      // The port of the last run may be in use by now.
      const known = this.#known();
      const port = attempt <= 3 && (await isFree(HOST, known.port)) ? known.port : await freePort(HOST);
      this.#access = { ...known, port };
      const child = this.#programs.postgres(HOST, port);
      const answer = await this.#becomesReady(child, deadline);
      if (answer === 'ours') await this.#save(this.#access);
      if (answer === 'ours' || answer === 'locked') return answer;
      if (Date.now() > Math.min(deadline, retryUntil)) throw this.#failure('it did not start');
      // The backends of a postmaster that was killed may still be about to end.
      await sleep(100);
    }
  }

  async #becomesReady(child: ChildProcess, deadline: number): Promise<Answer> {
    let ended = false;
    child.once('error', () => {
      ended = true;
    });
    child.once('exit', () => {
      ended = true;
    });
    while (!ended && Date.now() < deadline) {
      if (runningPostmaster(this.#cluster)?.status === 'ready') {
        const answer = await this.#ask();
        if (answer === 'ours' || answer === 'locked') return answer;
      }
      await sleep(POLL_MS);
    }
    return 'nobody';
  }

  /** A running postmaster knows its port itself. */
  async #ask(): Promise<Answer> {
    const postmaster = runningPostmaster(this.#cluster);
    if (this.#access === undefined) return 'nobody';
    if (postmaster !== undefined && postmaster.port !== 0) {
      this.#access = { ...this.#access, port: postmaster.port };
    }
    if (this.#access.port === 0) return 'nobody';
    return askWhoAnswers(this.address, this.#cluster, postmaster !== undefined);
  }

  #known(): Access {
    if (this.#access === undefined) throw new Error('the embedded PostgreSQL has not been started');
    return this.#access;
  }

  async #save(access: Access): Promise<void> {
    this.#access = { ...access, cluster: inodeOf(this.#cluster) };
    await saveAccess(this.#folder, this.#access, { host: HOST, database: DATABASE, user: USER });
  }

  #failure(what: string): EmbeddedPostgresError {
    const log = path.join(this.#folder, 'postgres.log');
    return new EmbeddedPostgresError(`the embedded PostgreSQL: ${what}; see ${log}`);
  }
}
