import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { noteOpened } from '../run/opened.js';

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve, reject) => {
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', resolve);
  });
  const address = probe.address();
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  if (typeof address !== 'object' || address === null) throw new Error('no free port');
  return address.port;
}

/** A program of the system's that a test runs, and ends. */
export class Program {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly exit: Promise<number | NodeJS.Signals>;
  #output = '';

  constructor(
    command: string,
    args: readonly string[],
    options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
  ) {
    this.#name = command;
    this.#child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
    const closed = noteOpened(command, () => this.#child.kill('SIGKILL'));
    this.exit = new Promise((resolve, reject) => {
      this.#child.once('error', (error) => {
        closed();
        reject(error);
      });
      this.#child.once('close', (code, signal) => {
        closed();
        resolve(code ?? signal ?? 0);
      });
    });
  }

  /** What it has said so far, on both outputs. */
  get output(): string {
    return this.#output;
  }

  /** Waits until the address answers with a success. @throws when the program ends before. */
  async answers(url: string, deadlineMs = 30_000): Promise<void> {
    let end: number | NodeJS.Signals | undefined;
    void this.exit.then((code) => {
      end = code;
    });
    const deadline = Date.now() + deadlineMs;
    while (Date.now() < deadline) {
      if (end !== undefined) throw new Error(`${this.#name} ended with ${end}: ${this.#output}`);
      const isUp = await fetch(url).then(
        (response) => response.ok,
        () => false,
      );
      if (isUp) return;
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    throw new Error(`${this.#name} did not answer within ${deadlineMs} ms: ${this.#output}`);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals> {
    this.#child.kill(signal);
    return this.exit;
  }
}

/** Runs a program to its end. @returns its exit code and all it said. */
export async function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<{ code: number | NodeJS.Signals; output: string }> {
  const program = new Program(command, args, options);
  const code = await program.exit;
  return { code, output: program.output };
}
