/** A record as it was fetched. */
export interface FetchedRecord {
  readonly offsetDelta: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly (readonly [Uint8Array | null, Uint8Array | null])[];
}

/** A batch as it was fetched, control batches among them. */
export interface FetchedBatch {
  readonly firstOffset: bigint;
  readonly lastOffsetDelta: number;
  readonly attributes: number;
  readonly producerId: bigint;
  readonly records: readonly FetchedRecord[];
}

export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: bigint;
}

export interface CommittedRecord {
  readonly offset: bigint;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: FetchedRecord['headers'];
}

export interface CommittedRecords {
  readonly records: readonly CommittedRecord[];
  /** Where to fetch next. */
  readonly next: bigint;
}

const TRANSACTIONAL = 1 << 4;
const CONTROL = 1 << 5;
const ABORT = 0;

/**
 * The committed records of a partition from `from` on, out of what one fetch with the isolation level
 * `read_committed` has brought. A broker sends aborted records too, with a list of the transactions that they
 * belong to: from its first offset on, a transaction's producer is skipped up to its control batch. One producer
 * may have several in one fetch, and a control batch may end a transaction that wrote nothing here.
 */
export function committedRecords(
  batches: readonly FetchedBatch[],
  aborted: readonly AbortedTransaction[],
  from: bigint,
): CommittedRecords {
  const waiting = [...aborted].sort((one, other) => (one.firstOffset < other.firstOffset ? -1 : 1));
  const skipped = new Set<bigint>();
  const records: CommittedRecord[] = [];
  let next = from;
  for (const batch of batches) {
    const last = batch.firstOffset + BigInt(batch.lastOffsetDelta);
    for (let one = waiting[0]; one !== undefined && one.firstOffset <= last; one = waiting[0]) {
      skipped.add(one.producerId);
      waiting.shift();
    }
    if ((batch.attributes & CONTROL) !== 0) {
      if (controlType(batch) === ABORT) skipped.delete(batch.producerId);
    } else if ((batch.attributes & TRANSACTIONAL) === 0 || !skipped.has(batch.producerId)) {
      for (const { offsetDelta, key, value, headers } of batch.records) {
        const offset = batch.firstOffset + BigInt(offsetDelta);
        // A fetch begins with the whole batch that its offset is in.
        if (offset >= from) records.push({ offset, key, value, headers });
      }
    }
    if (last >= next) next = last + 1n;
  }
  return { records, next };
}

/** The key of a control record: a version and a type, 16 bits each. */
function controlType({ records }: FetchedBatch): number | undefined {
  const key = records[0]?.key;
  if (key === null || key === undefined || key.length < 4) return undefined;
  return ((key[2] as number) << 8) | (key[3] as number);
}

/** A header's text; `undefined` if there is none. */
export function headerOf({ headers }: Pick<CommittedRecord, 'headers'>, name: string): string | undefined {
  const found = headers.find(([key]) => key !== null && Buffer.from(key).toString('utf8') === name);
  const value = found?.[1];
  return value === undefined || value === null ? undefined : Buffer.from(value).toString('utf8');
}
