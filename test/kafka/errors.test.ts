import { describe, expect, it } from 'vitest';
import { describeKafkaError, isPassing, kafkaCodes } from '../../src/kafka/errors.js';
import { partitionOf } from '../../src/kafka/transactions.js';
import { formOf } from '../../src/kafka/versions.js';

function response(...codes: readonly string[]): Error {
  return Object.assign(new Error('Received response with error'), {
    errors: codes.map((apiId) => ({ apiId })),
  });
}

describe('what Kafka and its client say', () => {
  it('is Kafka’s own name of it, or what the network said', () => {
    expect(describeKafkaError(response('PRODUCER_FENCED', 'PRODUCER_FENCED'))).toBe('PRODUCER_FENCED');
    const refused = new Error('Connection to a:1 failed.', { cause: new Error('connect ECONNREFUSED') });
    expect(describeKafkaError(refused)).toBe('Connection to a:1 failed: connect ECONNREFUSED');
    expect(describeKafkaError('odd')).toBe('odd');
    expect([...kafkaCodes({ cause: response('NOT_COORDINATOR') })]).toEqual(['NOT_COORDINATOR']);
  });

  it('passes by itself only if all of it does', () => {
    expect(isPassing(response('CONCURRENT_TRANSACTIONS'))).toBe(true);
    expect(isPassing(response('CONCURRENT_TRANSACTIONS', 'PRODUCER_FENCED'))).toBe(false);
    expect(isPassing(new Error('Connection closed'))).toBe(false);
    expect(isPassing(response('NOT_COORDINATOR'))).toBe(false);
    expect(isPassing(response('NOT_COORDINATOR'), 'NOT_COORDINATOR')).toBe(true);
  });

  it('is asked in the newest form that both know, and in none that is for brokers alone', () => {
    const versions = (key: number, minVersion: number, maxVersion: number) =>
      new Map([[key, { minVersion, maxVersion }]]);
    expect(formOf('produce', versions(0, 0, 9)).version).toBe(9);
    expect(formOf('produce', versions(0, 3, 13)).version).toBe(11);
    expect(formOf('addPartitionsToTxn', versions(24, 0, 5)).version).toBe(3);
    expect(() => formOf('produce', versions(0, 0, 2))).toThrow('the broker does not know produce');
    expect(() => formOf('fetch', versions(0, 0, 9))).toThrow('the broker does not know fetch');
  });
});

describe('the partition of a key', () => {
  // The hashes that Kafka's own client has: -973932308 and -790332482.
  it.each([
    ['21', 1_000_000, 551_340],
    ['foobar', 1_000_000, 151_166],
    ['foobar', 1, 0],
  ])('%s of %i is the one that Kafka’s own client takes', (key, partitions, partition) => {
    expect(partitionOf(Buffer.from(key), partitions)).toBe(partition);
  });
});
