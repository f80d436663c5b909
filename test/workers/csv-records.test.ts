import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { recordBatches } from '../../src/workers/transfers/csv-records.js';

async function recordsOf(text: string): Promise<string[][]> {
  const records: string[][] = [];
  for await (const batch of recordBatches({ bytes: Readable.from([Buffer.from(text)]), isUnnamed: false }))
    records.push(...batch);
  return records;
}

describe('records of a CSV file', () => {
  it('may have any number of fields, and cost no error each', async () => {
    const made = Error.captureStackTrace;
    let errors = 0;
    Error.captureStackTrace = (target, behind) => {
      errors += 1;
      made(target, behind);
    };
    try {
      const records = await recordsOf(`a,b\n${'\n'.repeat(1000)}1\n1,2,3\n`);
      expect(records).toHaveLength(1003);
      expect([records[0], records[500], records[1001], records[1002]]).toEqual([
        ['a', 'b'],
        [''],
        ['1'],
        ['1', '2', '3'],
      ]);
    } finally {
      Error.captureStackTrace = made;
    }
    expect(errors).toBeLessThan(10);
  });
});
