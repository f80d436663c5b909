import { takeCoverage } from 'node:v8';
import { afterAll, expect } from 'vitest';

// To count every branch costs a server a third more. These tests start many, or keep them under load, and what they run
// of src/ other tests run too.
const uncounted =
  /\/test\/((torture|stack|console)\/|resilience\/(coherence|connections|descriptors|floods|heavy-calls|journal-folders|lifecycle|memory|operator|outage|pooler|restart|slow-clients)\.)/;
if (uncounted.test(expect.getState().testPath ?? '')) delete process.env.NODE_V8_COVERAGE;

// A test process is ended by its pool, without the exit at which Node would write its coverage.
afterAll(() => {
  if (process.env.NODE_V8_COVERAGE !== undefined) takeCoverage();
});
