// k6 run -e BASE_URL=http://localhost k6/load-test-50vus.js
import { setup, summaryAs, teardown, visit, visitors } from './lib/load-test.js';

const SECONDS = 60;

export { setup, teardown };
export const options = visitors(50, SECONDS);
export const handleSummary = summaryAs('load-test-50vus', SECONDS);
export default visit;
