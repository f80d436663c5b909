import { z } from 'zod';

const progress = z.object({
  v: z.literal(1),
  segment: z.number().int().nonnegative(),
  offset: z.number().int().nonnegative(),
  clicks: z.number().int().nonnegative(),
});

/**
 * How far a journal is in the stream: where its next click begins, and how many were before it, lost ones
 * included. It is a record of `<topic>.positions` with the journal's id as key, in the transaction of the clicks.
 */
export interface JournalProgress {
  readonly segment: number;
  readonly offset: number;
  readonly clicks: number;
}

export function encodeProgress({ segment, offset, clicks }: JournalProgress): string {
  return JSON.stringify({ v: 1, segment, offset, clicks });
}

/** @returns `undefined` for a value that this version can't read. */
export function decodeProgress(value: Uint8Array | null): JournalProgress | undefined {
  if (value === null) return undefined;
  try {
    const { segment, offset, clicks } = progress.parse(JSON.parse(Buffer.from(value).toString('utf8')));
    return { segment, offset, clicks };
  } catch {
    return undefined;
  }
}

/** The topic of the positions. */
export function positionsTopic(topic: string): string {
  return `${topic}.positions`;
}
