/** A place in a journal between two frames: where the next one begins. Positions only move forward. */
export interface JournalPosition {
  readonly segment: number;
  /** Bytes from the start of the segment's file. */
  readonly offset: number;
}

/** @returns less than 0 if `one` comes before `other`, 0 for the same place, more than 0 otherwise. */
export function comparePositions(one: JournalPosition, other: JournalPosition): number {
  return one.segment === other.segment ? one.offset - other.offset : one.segment - other.segment;
}
