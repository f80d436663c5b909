import { parseArgs } from 'node:util';
import { type Policy, policies } from './caches.js';

/** Numbers that can be given: default, least value, meaning. */
const numbers = {
  servers: [3, 1, 'servers behind the proxy'],
  gateways: [1, 1, 'gateway threads of each, with a cache of its own each; at most 500 in all'],
  rate: [10_000, 1, 'redirects a second, of all servers together'],
  seconds: [60, 1, 'virtual time'],
  warm: [10, 0, 'seconds at the beginning that the totals leave out'],
  windows: [6, 1, 'rows of the table over time'],
  links: [1_000_000, 1, 'links that are visited'],
  zipf: [1, 0, 'exponent of their popularity: rank^-x'],
  drift: [0, 0, 'visited links a second that lose their popularity to any other'],
  cache: [500_000, 1, 'CACHE_MAX_LINKS: links that a gateway keeps'],
  connections: [4, 1, 'connections of a server for calls'],
  batch: [512, 1, 'codes in one query'],
  queryMs: [1, 0, 'time of a query, of which'],
  codeMicros: [5.85, 0, 'more for each code'],
  deadlineMs: [1800, 1, 'CALL_DEADLINE_MS: a redirect that waits longer fails'],
  pending: [10_000, 1, 'CALL_PENDING_MAX: codes that may wait at a gateway'],
  changes: [0, 0, 'links a second that are changed, and asked anew by all'],
  ingest: [82_966, 0, 'clicks a second that one server ingests'],
  databaseIngest: [1e12, 0, 'clicks a second that the database ingests, of all servers'],
  clickBytes: [12.7, 0, 'of a click in the journal'],
  scale: [1, 1e-6, 'share of links, visits and caches that is simulated: 0.01 takes a hundredth of the time'],
  seed: [1, 0, 'of all random numbers'],
} as const satisfies Readonly<Record<string, readonly [number, number, string]>>;

const choices = {
  route: ['hash', 'random'],
  policy: policies,
} as const;

const events = {
  restart: 'at[:seconds[:server]]: a server is gone so long (5) and comes back with an empty cache',
  outage: 'at:seconds: the database does not answer; afterwards everything cached is asked anew',
  storm: 'at:links: so many links, the most visited ones, change at once; more than 1000 empty all caches',
} as const;

export type Numbers = Readonly<Record<keyof typeof numbers, number>>;
export type Route = (typeof choices.route)[number];

export interface Options extends Numbers {
  readonly route: Route;
  readonly policy: Policy;
  readonly restart: readonly (readonly number[])[];
  readonly outage: readonly (readonly number[])[];
  readonly storm: readonly (readonly number[])[];
}

export const MAX_GATEWAYS = 500;

/** The defaults with what is given. @throws RangeError for what can't be simulated. */
export function optionsOf(given: Partial<Options> = {}): Options {
  const fallbacks = Object.fromEntries(Object.entries(numbers).map(([name, [fallback]]) => [name, fallback]));
  const options = {
    ...(fallbacks as Numbers),
    route: 'hash' as const,
    policy: 'clock' as const,
    restart: [],
    outage: [],
    storm: [],
    ...given,
  };
  for (const [name, [, least]] of Object.entries(numbers)) {
    const value = options[name as keyof Numbers];
    if (!(value >= least)) throw new RangeError(`--${name} must be a number, at least ${least}`);
  }
  for (const [name, known] of Object.entries(choices)) {
    if (!(known as readonly string[]).includes(options[name as keyof typeof choices]))
      throw new RangeError(`--${name} must be ${known.join(' or ')}`);
  }
  for (const name of Object.keys(events) as (keyof typeof events)[]) {
    const areNumbers = options[name].every((event) => event.every((part) => part >= 0));
    if (!areNumbers) throw new RangeError(`--${name} is ${events[name]}`);
  }
  if (options.servers * options.gateways > MAX_GATEWAYS)
    throw new RangeError(`at most ${MAX_GATEWAYS} gateways in all`);
  if (options.scale > 1) throw new RangeError('--scale is at most 1');
  return options;
}

export interface CommandLine {
  readonly options: Options;
  readonly isJson: boolean;
  readonly isHelp: boolean;
}

/** @throws with a line for the user. */
export function parseOptions(args: readonly string[]): CommandLine {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...Object.fromEntries(Object.keys({ ...numbers, ...choices }).map((name) => [name, text])),
      ...Object.fromEntries(Object.keys(events).map((name) => [name, { ...text, multiple: true }])),
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const given: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(values as Readonly<Record<string, unknown>>)) {
    if (name in numbers) given[name] = Number(value);
    if (name in choices) given[name] = value;
    if (name in events) given[name] = (value as string[]).map((event) => event.split(':').map(Number));
  }
  return {
    options: optionsOf(given as Partial<Options>),
    isJson: values.json === true,
    isHelp: values.help === true,
  };
}

const row = (name: string, meaning: string): string => `  --${name.padEnd(16)} ${meaning}`;

export const usage = `npm run simulate -- [options]

Many servers on virtual time: caches, look-ups and journals. The same options give the same output.

${Object.entries(numbers)
  .map(([name, [fallback, , meaning]]) => row(name, `${meaning} (${fallback})`))
  .join('\n')}
${row('route', 'hash: a link is always asked of the same server; random (hash)')}
${row('policy', 'of the caches: clock, as the gateways have it; lru (clock)')}
${Object.entries(events)
  .map(([name, meaning]) => row(name, meaning))
  .join('\n')}
${row('json', 'the result as JSON')}`;
