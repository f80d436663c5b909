import { describe, expect, test } from 'vitest';
import {
  coreSecondsOf,
  defaultAssumptions,
  linkStorage,
  planFor,
  saturations,
  type UnitCosts,
} from '../../bench/capacity-model.js';

const costs: UnitCosts = {
  hitMicros: 5,
  missMicros: 50,
  missDatabaseMicros: 20,
  createMicros: 100,
  createDatabaseMicros: 200,
  ingestMicros: 4,
  ingestDatabaseMicros: 8,
  hitsPerGateway: 180_000,
  clicksIngestedPerConnection: 100_000,
  journalBytes: 6,
  eventTableBytes: 200,
  eventIndexBytes: 150,
  walBytes: 500,
  linkBytes: 400,
  cachedLinkBytes: 300,
};
const assumptions = {
  ...defaultAssumptions,
  hitShare: 0.9,
  createShare: 0.01,
  utilization: 0.5,
  coresPerServer: 10,
  coresOfDatabase: 20,
  meanOfPeak: 0.5,
  retentionDays: 10,
  walDiskBytesPerSecond: 1e9,
};

describe('the capacity model', () => {
  test('adds up what one redirect costs, by where', () => {
    const { serving, ingest, database } = coreSecondsOf(costs, assumptions);
    expect(serving).toBeCloseTo((0.9 * 5 + 0.1 * 50 + 0.01 * 100) / 1e6, 12);
    expect(ingest).toBeCloseTo(4e-6, 12);
    expect(database).toBeCloseTo((0.1 * 20 + 0.01 * 200 + 8) / 1e6, 12);
  });

  test('turns a rate into cores, servers, connections and bytes', () => {
    const plan = planFor(1e6, costs, assumptions);
    expect(plan.servingCores).toBeCloseTo(21);
    expect(plan.ingestCores).toBeCloseTo(8);
    expect(plan.servers).toBe(3);
    expect(plan.databaseCores).toBeCloseTo(24);
    expect(plan.databases).toBe(2);
    expect(plan.ingestConnections).toBe(20);
    expect(plan.journalBytesPerSecond).toBe(6e6);
    expect(plan.walBytesPerSecond).toBe(5e8);
    expect(plan.eventBytesPerDay).toBeCloseTo(1e6 * 0.5 * 86_400 * 350);
    expect(plan.eventBytes).toBeCloseTo(plan.eventBytesPerDay * 10);
  });

  test('grows with the rate, and needs one of each at least', () => {
    const small = planFor(1, costs, assumptions);
    expect([small.servers, small.databases, small.ingestConnections]).toEqual([1, 1, 1]);
    expect(planFor(2e6, costs, assumptions).servingCores).toBeCloseTo(42);
  });

  test('more databases are needed where the log disk is the narrower place', () => {
    expect(planFor(1e6, costs, { ...assumptions, walDiskBytesPerSecond: 1e8 }).databases).toBe(5);
  });

  test('says where each part ends, the first one first', () => {
    const ends = saturations(costs, assumptions);
    expect(ends.map(({ redirectsPerSecond }) => redirectsPerSecond)).toEqual(
      ends.map(({ redirectsPerSecond }) => redirectsPerSecond).toSorted((a, b) => a - b),
    );
    const of = (part: RegExp): number => ends.find((end) => part.test(end.part))?.redirectsPerSecond ?? 0;
    expect(of(/gateway/)).toBe(90_000);
    expect(of(/ingest connection/)).toBe(50_000);
    expect(of(/server of 10/)).toBeCloseTo(5 / 14.5e-6);
    expect(of(/PostgreSQL of 20/)).toBeCloseTo(10 / 12e-6);
    expect(of(/log/)).toBe(2e6);
  });

  test('links take disk and memory in proportion', () => {
    expect(linkStorage(1e9, 500_000, costs)).toEqual({ databaseBytes: 4e11, cacheBytes: 1.5e8 });
  });
});
