import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { figure, table } from './report/text.js';

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const FUNCTIONS = 14;
/** Threads that hardly ran show nothing. */
const MIN_SHARE = 0.02;

/** Where the threads of the profiled servers spent their time: the functions with the most self time. */
export function summariseProfiles(folder: string): string {
  const parts: string[] = [];
  for (const file of readdirSync(folder)
    .filter((name) => name.endsWith('.cpuprofile'))
    .sort()) {
    const profile = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as CpuProfile;
    const own = selfMicros(profile);
    const total = [...own.values()].reduce((sum, micros) => sum + micros, 0);
    const busy = total - (own.get('(idle)') ?? 0);
    if (busy < total * MIN_SHARE) continue;
    const rows = [...own]
      .filter(([name]) => name !== '(idle)')
      .sort(([, one], [, other]) => other - one)
      .slice(0, FUNCTIONS)
      .map(([name, micros]) => [name, `${figure(micros / 1000)} ms`, `${figure((micros / busy) * 100)} %`]);
    parts.push(
      `\n${file} (thread ${threadOf(profile)})\n${table([['function', 'own time', 'of busy'], ...rows])}`,
    );
  }
  return parts.join('\n');
}

function selfMicros({ nodes, samples, timeDeltas }: CpuProfile): Map<string, number> {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const own = new Map<string, number>();
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? '?';
    own.set(name, (own.get(name) ?? 0) + (timeDeltas[index] ?? 0));
  }
  return own;
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  return url === '' ? name : `${name} ${url.replace(/^.*\/(dist|node_modules)\//, '')}:${lineNumber + 1}`;
}

/** Which file of ours a thread ran, to tell the gateway from the workers. */
function threadOf({ nodes }: CpuProfile): string {
  const urls = nodes.map(({ callFrame }) => callFrame.url);
  const known = [
    ['server/gateway.js', 'gateway'],
    ['server/tasks.js', 'calls, transfers or ingest'],
    ['server/main.js', 'supervisor'],
  ] as const;
  return known.find(([file]) => urls.some((url) => url.endsWith(file)))?.[1] ?? 'unknown';
}
