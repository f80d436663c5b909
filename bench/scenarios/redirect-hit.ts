import path from 'node:path';
import { hasNginx, startNginx } from '../arms/nginx.js';
import { startNodeServer } from '../arms/node-server.js';
import { COUNTRY_HEADER, withVisitors } from '../data/visitors.js';
import type { ScenarioResult } from '../report/results.js';
import { compareArms, medianOf, runRounds, stepsOf } from '../rounds.js';
import type { Bench, Scenario } from '../scenario.js';
import {
  type Baseline,
  CONNECTIONS,
  LINKS,
  popularPaths,
  type RedirectSetup,
  withRedirectServers,
} from './redirect-setup.js';
import { armOf, ratioTarget } from './targets.js';

export const bareBaseline: Baseline = {
  name: 'bare',
  about: 'uWebSockets.js alone: one route, a constant 302 of as many bytes, in a worker thread',
  start: () => startNodeServer('bare', 'server core', {}),
};

const httpBaseline: Baseline = {
  name: 'http',
  about: 'Node http, links in a map',
  start: () => startNodeServer('http', 'server core', { LINKS: String(LINKS) }),
};

const fastifyBaseline: Baseline = {
  name: 'fastify',
  about: 'Fastify, links in a map',
  start: () => startNodeServer('fastify', 'server core', { LINKS: String(LINKS) }),
};

const nginxBaseline: Baseline = {
  name: 'nginx',
  about: 'Nginx, one worker, return 302 from a map',
  start: () => startNginx(LINKS, 'server core'),
};

interface HitOptions {
  readonly pipelining?: number;
  readonly connections?: number;
  /** File of paths; those of popular links where it is absent. */
  readonly paths?: string;
  /** Of Switchyard. */
  readonly settings?: Readonly<Record<string, string>>;
}

async function runHit(
  bench: Bench,
  { name, title }: { name: string; title: string },
  baselines: readonly Baseline[],
  { pipelining = 1, connections = CONNECTIONS, paths = popularPaths(bench), settings = {} }: HitOptions = {},
): Promise<Omit<ScenarioResult, 'targets'>> {
  const armCount = bench.subjects.length === 1 ? baselines.length + 1 : bench.subjects.length;
  bench.progress.begin(name, stepsOf(armCount, bench.rounds) + armCount);
  const load = {
    connections,
    seconds: bench.seconds,
    paths,
    pipelining,
    expected: 302,
    isPinned: true,
  };
  const measure = async ({ arms, notes }: RedirectSetup): Promise<Omit<ScenarioResult, 'targets'>> => {
    const results = await runRounds(arms, {
      rounds: bench.rounds,
      onStep: (what) => bench.progress.step(what),
    });
    const own = armOf(results, bench.subjects[0]?.name ?? '');
    return {
      name,
      title,
      unit: 'requests',
      parameters: {
        connections,
        links: LINKS,
        popularity: 'Zipf 1.0',
        pipelining,
        seconds: bench.seconds,
      },
      arms: results,
      comparisons: compareArms(results),
      facts: [],
      timelines: [],
      notes,
      unitCosts:
        own === undefined || pipelining > 1 || connections !== CONNECTIONS
          ? {}
          : {
              hitMicros: medianOf(own, ({ cpuMicros }) => cpuMicros),
              hitsPerGateway: medianOf(own, ({ perSecond }) => perSecond),
            },
    };
  };
  return withRedirectServers(bench, baselines, load, measure, { settings });
}

export const redirectHit: Scenario = {
  name: 'redirect-hit',
  title: 'Redirects that hit the cache',
  isComparable: true,
  run: async (bench) => {
    const result = await runHit(bench, redirectHit, [bareBaseline]);
    const own = bench.subjects[0]?.name ?? '';
    return {
      ...result,
      targets: [
        ...ratioTarget(result.arms, 'CPU per request of the bare App', 'cpuMicros', 'bare', own, 1.1),
        ...ratioTarget(result.arms, 'throughput of the bare App', 'perSecond', 'bare', own, 0.92),
      ],
    };
  },
};

/** The dearest way to be asked: each turn of the event loop has one request. */
export const redirectOne: Scenario = {
  name: 'redirect-one',
  title: 'Redirects that hit the cache, one connection',
  isComparable: true,
  run: async (bench) => {
    const result = await runHit(bench, redirectOne, [bareBaseline], { connections: 1 });
    const own = bench.subjects[0]?.name ?? '';
    const text = 'CPU per request of the bare App, one connection';
    return { ...result, targets: ratioTarget(result.arms, text, 'cpuMicros', 'bare', own, 1.2) };
  },
};

export const redirectPipelined: Scenario = {
  name: 'redirect-pipelined',
  title: 'Redirects that hit the cache, 16 pipelined',
  isComparable: true,
  run: async (bench) => {
    const result = await runHit(bench, redirectPipelined, [bareBaseline], { pipelining: 16 });
    const own = bench.subjects[0]?.name ?? '';
    const text = 'CPU per request of the bare App, pipelined';
    return { ...result, targets: ratioTarget(result.arms, text, 'cpuMicros', 'bare', own, 1.5) };
  },
};

export const redirectDetails: Scenario = {
  name: 'redirect-details',
  title: 'Redirects that hit the cache, with CLICK_DETAILS=basic',
  isComparable: true,
  run: async (bench) => {
    const paths = path.join(bench.folder, 'visited.txt');
    withVisitors(popularPaths(bench), paths);
    const settings = { CLICK_DETAILS: 'basic', CLICK_COUNTRY_HEADER: COUNTRY_HEADER };
    const result = await runHit(bench, redirectDetails, [bareBaseline], { paths, settings });
    const text = 'CPU per request of the bare App';
    const own = bench.subjects[0]?.name ?? '';
    return {
      ...result,
      notes: [
        ...result.notes,
        'both get the same headers: some 200 user agents, 6 pages that led here or none, 12 countries',
      ],
      unitCosts: {},
      targets: ratioTarget(result.arms, text, 'cpuMicros', 'bare', own, 1.25),
    };
  },
};

export const redirectServers: Scenario = {
  name: 'redirect-servers',
  title: 'Redirects that hit the cache, beside other servers',
  isComparable: false,
  run: async (bench) => {
    const baselines = [bareBaseline, ...(hasNginx() ? [nginxBaseline] : []), httpBaseline, fastifyBaseline];
    const result = await runHit(bench, redirectServers, baselines);
    const own = bench.subjects[0]?.name ?? '';
    return {
      ...result,
      notes: hasNginx() ? result.notes : [...result.notes, 'Nginx is not installed here: not compared'],
      unitCosts: {},
      targets: [
        ...ratioTarget(result.arms, 'throughput of Nginx', 'perSecond', 'nginx', own, 0.9),
        ...ratioTarget(result.arms, 'throughput of Node http', 'perSecond', 'http', own, 1.8),
      ],
    };
  },
};
