import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

export interface JobResult {
  readonly seconds: number;
  readonly cpuMicros: number;
  readonly peakBytes: number;
}

/** A script of bench/servers that does one thing: it gets ready, waits for a signal, and reports its cost. */
export class Job {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  #output = '';

  constructor(name: string, environment: Readonly<Record<string, string>>) {
    const script = fileURLToPath(new URL(`../servers/${name}.js`, import.meta.url));
    const { PATH, HOME } = process.env;
    this.#child = spawn(process.execPath, [script], {
      env: { PATH, HOME, ...environment },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
  }

  ready(): Promise<void> {
    return this.#says('READY');
  }

  async run(): Promise<JobResult> {
    const told = this.#says('RESULT');
    this.#child.stdin.write('go\n');
    await told;
    const line = /^RESULT (.*)$/m.exec(this.#output)?.[1] ?? '{}';
    return JSON.parse(line) as JobResult;
  }

  #says(word: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (new RegExp(`^${word}.*\n`, 'm').test(this.#output)) resolve();
      };
      look();
      this.#child.stdout.on('data', look);
      this.#child.once('close', () => reject(new Error(`the job ended: ${this.#output.slice(-1000)}`)));
    });
  }
}
