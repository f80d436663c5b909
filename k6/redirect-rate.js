// k6 run -e BASE_URL=http://localhost -e RATE=2000 k6/redirect-rate.js
// Redirects at a rate that does not yield when answers come late, as visitors who know nothing of each other.
import { durationOf, setup, summaryAs, summaryTrendStats, teardown, thresholds } from './lib/load-test.js';
import { pick } from './lib/mix.js';
import { follow } from './lib/switchyard.js';

const SECONDS = 60;

export { setup, teardown };
export const options = {
  scenarios: {
    visits: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.RATE || 1000),
      timeUnit: '1s',
      duration: durationOf(SECONDS),
      preAllocatedVUs: 100,
      maxVUs: 1000,
    },
  },
  thresholds: {
    checks: thresholds.checks,
    http_req_failed: thresholds.http_req_failed,
    redirect_ms: thresholds.redirect_ms,
    'http_reqs{scenario:visits}': thresholds['http_reqs{scenario:visits}'],
    // What could not be sent in time says that the generator is the limit, and the run is no measurement.
    dropped_iterations: ['count==0'],
  },
  summaryTrendStats,
};
export const handleSummary = summaryAs('redirect-rate', SECONDS);

export default function ({ links }) {
  follow(pick(links));
}
