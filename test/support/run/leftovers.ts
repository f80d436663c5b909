import { afterAll } from 'vitest';
import { endLeftovers } from '../server/server.js';

// Set up first, so that it runs last: behind whatever a file's own hooks have stopped.
afterAll(endLeftovers);
