import path from 'node:path';
import { makeFolder } from '../machine/folders.js';
import { eventually } from '../machine/wait.js';
import { Program, run } from './program.js';

const root = path.resolve(import.meta.dirname, '../../..');

type Environment = Readonly<Record<string, string | undefined>>;

/** The tool as it is shipped; where coverage is counted, as it was compiled. */
function toolArguments(): string[] {
  const file = process.env.NODE_V8_COVERAGE === undefined ? 'dist/server/cli.js' : 'dist/src/cli/main.js';
  return ['--enable-source-maps', path.join(root, file)];
}

function toolOptions(environment: Environment): { cwd: string; env: NodeJS.ProcessEnv } {
  const { PATH, HOME, NODE_V8_COVERAGE } = process.env;
  const coverage = NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE };
  const env = { PATH, HOME, ...coverage, HOST: '127.0.0.1', DATA_DIR: makeFolder('tool'), ...environment };
  // A folder without a .env file of the developer's.
  return { cwd: path.join(root, 'test/support'), env };
}

/** Runs a command of `switchyard` to its end. */
export function runTool(
  environment: Environment,
  ...args: string[]
): Promise<{ code: number | NodeJS.Signals; output: string }> {
  return run(process.execPath, [...toolArguments(), ...args], toolOptions(environment));
}

/** `switchyard consume` as a process. */
export class TestConsumer {
  readonly dataDir: string;
  readonly #program: Program;

  private constructor(program: Program, dataDir: string) {
    this.#program = program;
    this.dataDir = dataDir;
  }

  /** Starts one, and doesn't wait for it to have partitions. */
  static start(environment: Environment, ...flags: string[]): TestConsumer {
    const { cwd, env } = toolOptions(environment);
    const program = new Program(process.execPath, [...toolArguments(), 'consume', ...flags], { cwd, env });
    return new TestConsumer(program, env.DATA_DIR as string);
  }

  /** All that it has logged. */
  get output(): string {
    return this.#program.output;
  }

  get exit(): Promise<number | NodeJS.Signals> {
    return this.#program.exit;
  }

  async says(text: string): Promise<void> {
    await eventually(
      () => this.output.includes(text),
      60_000,
      () => `"${text}" from a consumer that said ${this.output}`,
    );
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.#program.stop('SIGKILL');
  }

  /** A graceful stop. @returns its exit code. */
  stop(): Promise<number | NodeJS.Signals> {
    return this.#program.stop();
  }
}
