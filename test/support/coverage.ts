import { takeCoverage } from 'node:v8';
import { afterAll } from 'vitest';

// A test process is ended by its pool, without the exit at which Node would write its coverage.
afterAll(() => {
  if (process.env.NODE_V8_COVERAGE !== undefined) takeCoverage();
});
