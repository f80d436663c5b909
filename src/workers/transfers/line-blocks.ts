const LINE_BREAK = 0x0a;

/** Blocks of whole lines, as far as lines have an end within reach. */
export interface LineBlock {
  readonly bytes: Buffer;
  /** Whether it ends where a line does, and no character is cut. */
  readonly isWhole: boolean;
}

/** A line beyond this has no end within reach: it, and all that follows, is passed on as it comes. */
export const MAX_LINE_BYTES = 1024 * 1024;

/**
 * The same bytes in other blocks: each ends after a line feed, the last one where the bytes end. No character and no
 * CRLF is cut.
 */
export async function* lineBlocks(pieces: AsyncIterable<Buffer>): AsyncGenerator<LineBlock> {
  let rest = Buffer.allocUnsafe(16 * 1024);
  let restBytes = 0;
  let isCut = false;
  const keep = (bytes: Buffer): void => {
    if (restBytes + bytes.length > rest.length) {
      // Doubled each time, because the rest may come in pieces of one byte.
      const larger = Buffer.allocUnsafe(Math.max(rest.length * 2, restBytes + bytes.length));
      rest.copy(larger, 0, 0, restBytes);
      rest = larger;
    }
    bytes.copy(rest, restBytes);
    restBytes += bytes.length;
  };
  const withRest = (bytes: Buffer): Buffer => {
    if (restBytes === 0) return bytes;
    const joined = Buffer.concat([rest.subarray(0, restBytes), bytes]);
    restBytes = 0;
    return joined;
  };
  for await (const piece of pieces) {
    if (isCut) {
      yield { bytes: piece, isWhole: false };
      continue;
    }
    const end = piece.lastIndexOf(LINE_BREAK) + 1;
    if (end > 0) yield { bytes: withRest(piece.subarray(0, end)), isWhole: true };
    keep(piece.subarray(end));
    if (restBytes <= MAX_LINE_BYTES) continue;
    isCut = true;
    yield { bytes: withRest(Buffer.alloc(0)), isWhole: false };
  }
  if (restBytes > 0) yield { bytes: withRest(Buffer.alloc(0)), isWhole: true };
}
