import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { mainOf } from '../checkout.js';
import { makeFolder } from '../data/database.js';
import { ask } from '../load/ask.js';
import { requestText } from '../load/connection.js';
import { freePort } from '../load/port.js';
import { median } from '../measure/statistics.js';
import type { Scenario, Subject } from '../scenario.js';

const POLL_MS = 2;
const DEADLINE_MS = 60_000;

/** From kill -9 to the next redirect, as an operator starts it: `npm start`, the embedded PostgreSQL still there. */
export const restart: Scenario = {
  name: 'restart',
  title: 'From kill -9 to the next redirect',
  isComparable: true,
  run: async ({ subjects, progress, rounds }) => {
    progress.begin(restart.name, (rounds + 1) * subjects.length);
    const lives: Life[] = [];
    const times = new Map<string, number[]>(subjects.map(({ name }) => [name, []]));
    const refused = new Map<string, number>(subjects.map(({ name }) => [name, 0]));
    try {
      for (const subject of subjects) {
        progress.step(`first start of ${subject.name}`);
        lives.push(await Life.begin(subject));
      }
      for (let round = 0; round < rounds; round += 1) {
        for (const life of lives) {
          progress.step(`restart ${round + 1} of ${life.name}`);
          const { seconds, others } = await life.killAndRestart();
          times.get(life.name)?.push(seconds);
          refused.set(life.name, (refused.get(life.name) ?? 0) + others);
        }
      }
    } finally {
      for (const life of lives) await life.end();
    }
    return {
      name: restart.name,
      title: restart.title,
      unit: 'restarts',
      parameters: { rounds },
      arms: [],
      comparisons: [],
      targets: [],
      facts: [...times].flatMap(([name, seconds]) => [
        { label: `${name}: fastest`, value: Math.min(...seconds), unit: 's' },
        { label: `${name}: median`, value: median(seconds), unit: 's' },
        { label: `${name}: slowest`, value: Math.max(...seconds), unit: 's' },
        { label: `${name}: other answers before`, value: refused.get(name) ?? 0, unit: '' },
      ]),
      timelines: [],
      notes: ['by `npm start`; the embedded PostgreSQL outlives the kill, as it does'],
      unitCosts: {},
    };
  },
};

/** One data folder of one subject, through its restarts. */
class Life {
  readonly name: string;
  readonly #root: string;
  readonly #port: number;
  readonly #dataDir = makeFolder('restart');
  #child: ChildProcess;
  #path = '/health';

  private constructor({ name, root }: Subject, port: number) {
    this.name = name;
    this.#root = root;
    this.#port = port;
    this.#child = this.#launch();
  }

  static async begin(subject: Subject): Promise<Life> {
    const life = new Life(subject, await freePort());
    await life.#answers(200);
    const body = '{"url":"https://example.com/restarted"}';
    const made = await fetch(`http://127.0.0.1:${life.#port}/shorten`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    life.#path = `/${((await made.json()) as { short_code: string }).short_code}`;
    await life.#answers(302);
    return life;
  }

  async killAndRestart(): Promise<{ seconds: number; others: number }> {
    const startMs = performance.now();
    this.#signal('SIGKILL');
    this.#child = this.#launch();
    const others = await this.#answers(302);
    return { seconds: (performance.now() - startMs) / 1000, others };
  }

  /** Cleanly, to end the embedded PostgreSQL too: npm does not pass signals on everywhere. */
  async end(): Promise<void> {
    this.#signal('SIGKILL');
    this.#child = this.#launch(process.execPath, [mainOf(this.#root)]);
    const exit = new Promise((resolve) => this.#child.once('exit', resolve));
    await this.#answers(302);
    this.#child.kill('SIGTERM');
    await exit;
    rmSync(this.#dataDir, { recursive: true, force: true });
  }

  /** @returns how many other answers came before. */
  async #answers(status: number): Promise<number> {
    const deadline = performance.now() + DEADLINE_MS;
    for (let others = 0; ; ) {
      const found = await this.#status();
      if (found === status) return others;
      if (found !== undefined) others += 1;
      if (performance.now() > deadline) throw new Error(`${this.name} did not start`);
      await sleep(POLL_MS);
    }
  }

  async #status(): Promise<number | undefined> {
    const port = this.#port;
    const answer = await ask(port, requestText({ port }, this.#path)).catch(() => undefined);
    return answer?.status;
  }

  #launch(command = 'npm', args = ['start']): ChildProcess {
    const { PATH, HOME } = process.env;
    return spawn(command, args, {
      cwd: this.#root,
      env: {
        PATH,
        HOME,
        NODE_ENV: 'production',
        HOST: '127.0.0.1',
        PORT: String(this.#port),
        DATA_DIR: this.#dataDir,
        SEED_ON_BOOT: 'false',
        GATEWAY_THREADS: '1',
      },
      stdio: 'ignore',
      // Its own process group: a kill then reaches npm, its shell and the server.
      detached: true,
    });
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#child.pid !== undefined) process.kill(-this.#child.pid, signal);
  }
}
