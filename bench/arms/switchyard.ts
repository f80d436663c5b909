import { mkdirSync, rmSync } from 'node:fs';
import { mainOf } from '../checkout.js';
import { makeFolder } from '../data/database.js';
import { launch, type Placement, type ServerHandle } from './process.js';

export interface SwitchyardOptions {
  /** A checkout with its dist/. */
  readonly root: string;
  readonly databaseUrl: string;
  readonly placement: Placement;
  readonly settings?: Readonly<Record<string, string>>;
  /** Kept after the stop; without it, a folder that is removed. */
  readonly dataDir?: string;
  /** Folder for a CPU profile of each thread. */
  readonly profiles?: string | undefined;
  /** Further arguments to Node. */
  readonly nodeArgs?: readonly string[];
}

/** The real server: default settings but for one gateway thread, unless told otherwise. */
export async function startSwitchyard(options: SwitchyardOptions): Promise<ServerHandle> {
  const dataDir = options.dataDir ?? makeFolder('data');
  const profiling: string[] = [];
  if (options.profiles !== undefined) {
    mkdirSync(options.profiles, { recursive: true });
    profiling.push('--cpu-prof', '--cpu-prof-interval', '500', '--cpu-prof-dir', options.profiles);
  }
  const handle = await launch({
    command: process.execPath,
    args: ['--enable-source-maps', ...profiling, ...(options.nodeArgs ?? []), mainOf(options.root)],
    placement: options.placement,
    // A folder without a .env file.
    cwd: dataDir,
    environment: {
      NODE_ENV: 'production',
      HOST: '127.0.0.1',
      PORT: '0',
      DATA_DIR: dataDir,
      DATABASE_URL: options.databaseUrl,
      SEED_ON_BOOT: 'false',
      GATEWAY_THREADS: '1',
      ...options.settings,
    },
    listening: /serves http:\/\/[^:]+:(\d+) /,
  });
  return {
    ...handle,
    dataDir,
    metrics: () => readMetrics(handle.port),
    stop: async () => {
      await handle.stop();
      if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** Prometheus's text as numbers by name with labels. */
export async function readMetrics(port: number): Promise<Map<string, number>> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  if (response.status !== 200) throw new Error(`GET /metrics: ${response.status}`);
  return parseMetrics(await response.text());
}

export function parseMetrics(text: string): Map<string, number> {
  const values = new Map<string, number>();
  for (const line of text.split('\n')) {
    const match = /^([^#\s][^{\s]*(?:\{[^}]*\})?) (\S+)$/.exec(line);
    if (match !== null) values.set(match[1] ?? '', Number(match[2]));
  }
  return values;
}
