import { describe, expect, it } from 'vitest';
import { ConfigError, parseConfig } from '../../src/config.js';
import { planClientConnections } from '../../src/ops/descriptor-plan.js';

describe('connections of clients', () => {
  const small = parseConfig({ GATEWAY_THREADS: '1', WORKER_THREADS: '1' });
  const large = parseConfig({ GATEWAY_THREADS: '8', WORKER_THREADS: '4', DATABASE_POOL_MAX: '40' });

  it('are what the limit of descriptors leaves, with a reserve that grows with threads and pool', () => {
    const reserve = 1024 - planClientConnections(small, 1024);
    expect(reserve).toBeGreaterThan(64);
    expect(160 - planClientConnections(small, 160)).toBe(reserve);
    expect(1024 - planClientConnections(large, 1024)).toBeGreaterThan(reserve + 60);
    expect(planClientConnections(small, Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
  });

  it('find no room under a limit that is too low, which is said in one line', () => {
    expect(() => planClientConnections(small, 64)).toThrow(ConfigError);
    expect(() => planClientConnections(small, 64)).toThrow(
      /^the process may open 64 files \(ulimit -n\): with these settings it needs at least \d+$/,
    );
  });
});
