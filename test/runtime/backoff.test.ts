import { describe, expect, it } from 'vitest';
import { Backoff } from '../../src/runtime/backoff.js';

describe('a backoff', () => {
  it('doubles its pauses up to the bound, with jitter, and begins anew after a success', () => {
    const backoff = new Backoff({ firstMs: 100, maxMs: 1000 });
    for (const pauseMs of [100, 200, 400, 800, 1000, 1000]) {
      const waitMs = backoff.next();
      expect(waitMs).toBeGreaterThanOrEqual(pauseMs / 2);
      expect(waitMs).toBeLessThanOrEqual(pauseMs);
    }
    expect(backoff.failures).toBe(6);
    backoff.reset();
    expect(backoff.next()).toBeLessThanOrEqual(100);
    for (let count = 0; count < 2000; count += 1) expect(backoff.next()).toBeLessThanOrEqual(1000);
  });
});
