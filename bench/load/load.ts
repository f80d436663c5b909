import { spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { placed } from '../arms/process.js';
import type { LatencyPoint } from '../measure/histogram.js';
import { root } from '../root.js';

/** Load to be put on a server: as fast as it answers, or at a fixed rate. */
export interface Load {
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
  /**
   * File of paths, one a line, walked around from the offset on. Headers may follow a path on its line, a tab before
   * each.
   */
  readonly paths: string;
  readonly offset?: number;
  /** Requests sent together on a connection. */
  readonly pipelining?: number;
  readonly method?: 'GET' | 'POST';
  /** JSON, the same for every request. */
  readonly body?: string;
  /** The status that counts as right; any other answer is an error. */
  readonly expected: number;
  /** Whether the generator stays on its own core. */
  readonly isPinned: boolean;
}

export interface LoadResult {
  /** Answered, and counted in the figures. */
  readonly requests: number;
  /** Answered in all, those of a warm-up included; what the server's CPU time was spent on. */
  readonly answered: number;
  readonly seconds: number;
  /** Connections that broke, time-outs, and wrong answers. */
  readonly errors: number;
  readonly latency: readonly LatencyPoint[];
}

export const generators = ['wrk', 'autocannon'] as const;
export type Generator = (typeof generators)[number];

/** wrk where it is installed, for it alone saturates a fast server from one core; else autocannon. */
export function bestGenerator(): Generator {
  return spawnSync('wrk', ['-v']).error === undefined ? 'wrk' : 'autocannon';
}

/** Sends requests as fast as they are answered. */
export async function saturate(generator: Generator, load: Load): Promise<LoadResult> {
  return generator === 'wrk' ? runWrk(load) : runChild('autocannon', load);
}

export interface PacedLoad extends Load {
  /** Requests a second, whatever the server does. */
  readonly rate: number;
}

/**
 * Sends requests at a fixed rate. An answer's time counts from when its request was due, not from when
 * a connection was free for it, so that a stall of the server is not left out (coordinated omission).
 */
export function pace(load: PacedLoad): Promise<LoadResult> {
  return runChild('paced', load);
}

async function runWrk(load: Load): Promise<LoadResult> {
  const seconds = Math.max(1, Math.round(load.seconds));
  const output = await run(load.isPinned, 'wrk', [
    '-t1',
    `-c${load.connections}`,
    `-d${seconds}s`,
    '--timeout',
    '10s',
    '-s',
    path.join(root, 'bench/load/wrk.lua'),
    `http://127.0.0.1:${load.port}`,
    '--',
    load.paths,
    String(load.offset ?? 0),
    String(load.pipelining ?? 1),
    load.method ?? 'GET',
    load.body ?? '',
  ]);
  return resultIn(output);
}

async function runChild(name: 'autocannon' | 'paced', load: Load | PacedLoad): Promise<LoadResult> {
  const script = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  return resultIn(await run(load.isPinned, process.execPath, [script, JSON.stringify(load)]));
}

function resultIn(output: string): LoadResult {
  const match = /^RESULT (.*)$/m.exec(output);
  if (match === null) throw new Error(`the load generator gave no result: ${output.slice(-500)}`);
  return JSON.parse(match[1] ?? '') as LoadResult;
}

function run(isPinned: boolean, program: string, programArgs: readonly string[]): Promise<string> {
  const [command, args] = placed(isPinned ? 'generator core' : 'anywhere', program, programArgs);
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${program} ended with ${code}: ${output.slice(-500)}`));
    });
  });
}
