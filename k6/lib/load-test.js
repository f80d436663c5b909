// The load tests differ in how many visitors there are and for how long; the rest is here.
import { oneRequest } from './mix.js';
import { summary } from './summary.js';
import { countClicks, makeLinks } from './switchyard.js';

const LINKS = Number(__ENV.LINKS || 500);

/** p99.9 shows what p99 hides at these rates. */
export const summaryTrendStats = ['avg', 'min', 'med', 'p(90)', 'p(95)', 'p(99)', 'p(99.9)', 'max'];

/** Of every run: nothing fails, and redirects stay quick even where the generator takes half of the machine. */
export const thresholds = {
  checks: ['rate==1'],
  http_req_failed: ['rate==0'],
  redirect_ms: ['p(95)<100', 'p(99)<250'],
  'http_req_duration{name:shorten}': ['p(95)<500'],
  'http_req_duration{name:get link}': ['p(95)<500'],
  'http_req_duration{name:list /events}': ['p(95)<1000'],
  'http_req_duration{name:list /urls}': ['p(95)<500'],
  'http_req_duration{name:list /users}': ['p(95)<500'],
  // Without those of set-up and count.
  'http_reqs{scenario:visits}': ['count>0'],
};

/** Options of a run with so many virtual users, all from the start. */
export function visitors(vus, seconds) {
  const visits = { executor: 'constant-vus', vus, duration: durationOf(seconds) };
  return { scenarios: { visits }, thresholds, summaryTrendStats, setupTimeout: '60s' };
}

/** SECONDS, or how long the run is meant to be. */
export function durationOf(seconds) {
  return `${__ENV.SECONDS || seconds}s`;
}

export function setup() {
  return { links: makeLinks(LINKS) };
}

export function visit({ links }) {
  oneRequest(links);
}

export function teardown({ links }) {
  countClicks(links);
}

/** `handleSummary` of the run with this name. */
export function summaryAs(name, seconds) {
  return (data) => summary(name, Number(__ENV.SECONDS || seconds), data);
}
