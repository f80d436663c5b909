/** A synced position, with the number of syncs so far: three words. */
const CELL_BYTES = 12;

function checkOf(position: number, count: number): number {
  return (Math.imul(position, 0x9e3779b1) ^ Math.imul(count, 0x85ebca6b) ^ 0x53594e43) >>> 0;
}

/** @param at The cell's index in `words`. */
export function writeSyncCell(words: Uint32Array, at: number, position: number, count: number): void {
  words[at] = position;
  words[at + 1] = count;
  words[at + 2] = checkOf(position, count);
}

/** @returns the position, 0 if there is none or it is not whole. */
export function readSyncCell(bytes: Buffer, offset: number): number {
  if (bytes.length < offset + CELL_BYTES) return 0;
  const position = bytes.readUInt32LE(offset);
  return bytes.readUInt32LE(offset + 8) === checkOf(position, bytes.readUInt32LE(offset + 4)) ? position : 0;
}
