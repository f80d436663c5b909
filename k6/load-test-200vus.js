// k6 run -e BASE_URL=http://localhost k6/load-test-200vus.js
import { setup, summaryAs, teardown, visit, visitors } from './lib/load-test.js';

const SECONDS = 180;

export { setup, teardown };
export const options = visitors(200, SECONDS);
export const handleSummary = summaryAs('load-test-200vus', SECONDS);
export default visit;
