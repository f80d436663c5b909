import { expect, it } from 'vitest';
import { planConnections } from '../../src/ops/connection-plan.js';

it('connections add up to the budget, and every interactive thread has one', () => {
  for (let budget = 3; budget <= 200; budget += 1) {
    for (const threads of [1, 2, 3, 4, 8, 16]) {
      const { listen, interactive, transfer, ingest } = planConnections(budget, threads);
      expect([budget, listen + transfer + ingest + interactive.reduce((sum, part) => sum + part, 0)]).toEqual(
        [budget, budget],
      );
      expect(Math.min(listen, transfer, ...interactive)).toBeGreaterThan(0);
      expect(interactive.length).toBeLessThanOrEqual(threads);
    }
  }
});

it('a budget that can’t be shared out is refused', () => {
  expect(() => planConnections(2, 1)).toThrow(/^a plan of .* for 2 connections$/);
});
