import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { mainOf } from './checkout.js';
import type { ProbeAnswer, ProbeRequest } from './counted-probe.js';
import { makeFolder } from './data/database.js';
import { root } from './root.js';

/** Room for all allocations while we count, to avoid a collection in between. */
const YOUNG_MEBIBYTES = 128;
const largeYoungSpace = [
  `--min-semi-space-size=${YOUNG_MEBIBYTES}`,
  `--max-semi-space-size=${YOUNG_MEBIBYTES}`,
];

/** The real server with the probe in it, a process that we can talk to. */
export class CountedServer {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #dataDir: string;

  private constructor(child: ChildProcess, dataDir: string, port: number) {
    this.#child = child;
    this.#dataDir = dataDir;
    this.port = port;
  }

  /** @param settings On top of the default ones. @param nodeArgs For Node itself. */
  static async start(
    databaseUrl: string,
    checkout: string = root,
    settings: Readonly<Record<string, string>> = {},
    nodeArgs: readonly string[] = largeYoungSpace,
  ): Promise<CountedServer> {
    const dataDir = makeFolder('counted');
    const { PATH, HOME } = process.env;
    const child = spawn(
      process.execPath,
      [
        ...nodeArgs,
        '--import',
        fileURLToPath(new URL('./counted-probe.js', import.meta.url)),
        mainOf(checkout),
      ],
      {
        cwd: dataDir,
        env: {
          PATH,
          HOME,
          NODE_ENV: 'production',
          HOST: '127.0.0.1',
          PORT: '0',
          DATA_DIR: dataDir,
          DATABASE_URL: databaseUrl,
          SEED_ON_BOOT: 'false',
          GATEWAY_THREADS: '1',
          ...settings,
        },
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      },
    );
    const port = await new Promise<number>((resolve, reject) => {
      let said = '';
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        const match = /serves http:\/\/[^:]+:(\d+) /.exec(said);
        if (match !== null) resolve(Number(match[1]));
      });
      child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${said}`)));
    });
    return new CountedServer(child, dataDir, port);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Asks the gateway thread. */
  probe(request: Exclude<ProbeRequest, { ask: 'block' }>): Promise<ProbeAnswer> {
    return new Promise((resolve) => {
      this.#child.once('message', (answer) => resolve(answer as ProbeAnswer));
      this.#child.send(request);
    });
  }

  block(milliseconds: number): void {
    this.#child.send({ ask: 'block', milliseconds } satisfies ProbeRequest);
  }

  async stop(): Promise<void> {
    const exit = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    await exit;
    rmSync(this.#dataDir, { recursive: true, force: true });
  }
}
