import { figure, percent, table } from '../report/text.js';
import type { Options } from './options.js';
import type { Result, Window } from './simulation.js';

const columns: readonly (readonly [string, (window: Window, options: Options) => string])[] = [
  ['seconds', ({ from, to }) => `${figure(from)}–${figure(to)}`],
  ['redirects/s', (window) => figure((window.hits + window.resolved) / secondsOf(window))],
  ['hits', ({ hits, requests }) => percent(hits / requests)],
  ['misses/s', (window) => figure(window.misses / secondsOf(window))],
  ['look-ups/s', (window) => figure(window.flights / secondsOf(window))],
  ['at the peak', ({ peakFlights }) => figure(peakFlights)],
  ['coalesced', ({ coalesced }) => figure(coalesced)],
  // On a scale fewer codes come together in one query than in the whole.
  ['queries/s', (window, { scale }) => figure(scale < 1 ? Number.NaN : window.queries / secondsOf(window))],
  ['a miss waits ms', ({ waited, resolved }) => figure((waited / resolved) * 1e3)],
  ['failed', ({ failed }) => figure(failed)],
  ['clicks waiting', ({ clicksWaiting }) => figure(clicksWaiting)],
  ['longest journal MB', ({ longestJournal }, { clickBytes }) => figure((longestJournal * clickBytes) / 1e6)],
];

/** The result for people. */
export function describeResult({ options, windows, total, busiest, cachedLinks }: Result): string {
  const rowOf = (window: Window): string[] => columns.map(([, cell]) => cell(window, options));
  return [
    table([columns.map(([title]) => title), ...windows.map(rowOf)]),
    '',
    table([
      ['', ...columns.slice(1).map(([title]) => title)],
      [`from ${figure(total.from)} s`, ...rowOf(total).slice(1)],
    ]),
    '',
    `${figure(cachedLinks)} links cached, in ${options.servers * options.gateways} caches; the busiest server has ${figure(busiest)} times the mean load`,
  ].join('\n');
}

function secondsOf({ from, to }: Window): number {
  return to - from;
}
