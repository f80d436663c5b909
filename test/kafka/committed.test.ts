import { describe, expect, it } from 'vitest';
import { committedRecords, type FetchedBatch, headerOf } from '../../src/kafka/committed.js';

const TRANSACTIONAL = 16;
const CONTROL = 48;

function batch(
  first: number,
  producer: number,
  values: readonly string[],
  attributes = TRANSACTIONAL,
): FetchedBatch {
  return {
    firstOffset: BigInt(first),
    lastOffsetDelta: values.length - 1,
    attributes,
    producerId: BigInt(producer),
    records: values.map((value, offsetDelta) => ({
      offsetDelta,
      key: null,
      value: Buffer.from(value),
      headers: [],
    })),
  };
}

function marker(first: number, producer: number, type: 'abort' | 'commit'): FetchedBatch {
  const key = Buffer.from([0, 0, 0, type === 'commit' ? 1 : 0]);
  return {
    ...batch(first, producer, [''], CONTROL),
    records: [{ offsetDelta: 0, key, value: Buffer.alloc(6), headers: [] }],
  };
}

function aborted(...transactions: readonly (readonly [producer: number, first: number])[]) {
  return transactions.map(([producer, first]) => ({
    producerId: BigInt(producer),
    firstOffset: BigInt(first),
  }));
}

function texts(...args: Parameters<typeof committedRecords>): string[] {
  return committedRecords(...args).records.map(({ value }) => Buffer.from(value ?? []).toString());
}

describe('the committed records of a fetch', () => {
  it('leave out aborted ones, also of a producer that aborts twice, and keep what it commits in between', () => {
    const batches = [
      batch(0, 1, ['lost']),
      marker(1, 1, 'abort'),
      batch(2, 1, ['kept', 'too']),
      marker(4, 1, 'commit'),
      batch(5, 1, ['lost again']),
      marker(6, 1, 'abort'),
      batch(7, 2, ['of another']),
    ];
    expect(texts(batches, aborted([1, 5], [1, 0]), 0n)).toEqual(['kept', 'too', 'of another']);
  });

  it('go on behind the control batch of a transaction that wrote nothing here', () => {
    const batches = [
      marker(0, 1, 'abort'),
      batch(1, 2, ['lost']),
      batch(2, 1, ['kept']),
      marker(3, 2, 'abort'),
      marker(4, 1, 'commit'),
    ];
    expect(texts(batches, aborted([2, 1]), 0n)).toEqual(['kept']);
  });

  it('leave out those of a transaction that began before the fetch', () => {
    const batches = [batch(8, 1, ['lost']), marker(9, 1, 'abort'), batch(10, 1, ['kept'])];
    expect(texts(batches, aborted([1, 3]), 8n)).toEqual(['kept']);
  });

  it('begin at the offset that was asked for, though its batch begins before', () => {
    const { records, next } = committedRecords([batch(4, 1, ['a', 'b', 'c'])], [], 5n);
    expect(records.map(({ offset }) => offset)).toEqual([5n, 6n]);
    expect(next).toBe(7n);
  });

  it('go on where they began if there are none, and behind control batches and compacted ones', () => {
    expect(committedRecords([], [], 5n)).toEqual({ records: [], next: 5n });
    const compacted = { ...batch(5, 1, ['x']), lastOffsetDelta: 9, records: [] };
    expect(committedRecords([compacted, marker(15, 1, 'commit')], [], 5n).next).toBe(16n);
  });

  it('have headers', () => {
    const headers = [
      [null, null],
      [Buffer.from('database'), Buffer.from('id')],
      [Buffer.from('empty'), null],
    ] as const;
    expect(headerOf({ headers }, 'database')).toBe('id');
    expect(headerOf({ headers }, 'empty')).toBeUndefined();
    expect(headerOf({ headers }, 'other')).toBeUndefined();
  });
});
