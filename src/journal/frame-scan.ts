import { readAt } from './file-bytes.js';
import { decodeFrame, FRAME_MAGIC, type Frame } from './frames.js';

/** The content of a stretch of a segment: a whole frame, or bytes that are none. */
export type Scanned =
  | { readonly kind: 'frame'; readonly offset: number; readonly frame: Frame }
  | { readonly kind: 'damage'; readonly offset: number; readonly bytes: number; readonly reason: string };

const READ_BYTES = 1024 * 1024;

/**
 * Reads the frames between two offsets of a segment file, beginning at a frame. Reports everything but whole
 * frames as damage, and continues at the next whole frame.
 */
export function* scanFrames(descriptor: number, start: number, end: number): Generator<Scanned> {
  const window = new Window(descriptor, end);
  let offset = start;
  while (offset < end) {
    const frame = window.frameAt(offset);
    if (typeof frame !== 'string') {
      yield { kind: 'frame', offset, frame };
      offset += frame.bytes;
      continue;
    }
    const next = window.nextFrame(offset + 4);
    const reason = frame === 'incomplete' ? 'frame cut short' : 'frame damaged';
    yield { kind: 'damage', offset, bytes: next - offset, reason };
    offset = next;
  }
}

/** A part of a file in memory that moves along with the reading. */
class Window {
  readonly #descriptor: number;
  readonly #end: number;
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;

  constructor(descriptor: number, end: number) {
    this.#descriptor = descriptor;
    this.#end = end;
  }

  frameAt(offset: number): Frame | 'incomplete' | 'damaged' {
    for (;;) {
      const isInside = offset >= this.#start && offset < this.#start + this.#bytes.length;
      const frame = isInside ? decodeFrame(this.#bytes, offset - this.#start) : 'incomplete';
      if (frame !== 'incomplete') return frame;
      const known = isInside ? this.#start + this.#bytes.length - offset : 0;
      const length = Math.min(this.#end - offset, Math.max(READ_BYTES, known * 2));
      if (length <= known) return 'incomplete';
      this.#bytes = readAt(this.#descriptor, offset, length);
      this.#start = offset;
      if (this.#bytes.length <= known) return 'incomplete';
    }
  }

  /** The offset of the next whole frame at or after `from`, or the end. Frames begin on multiples of 4. */
  nextFrame(from: number): number {
    for (let offset = roundUp(from); offset + 4 <= this.#end; ) {
      const bytes = readAt(this.#descriptor, offset, Math.min(READ_BYTES, this.#end - offset));
      for (let index = 0; index + 4 <= bytes.length; index += 4) {
        if (bytes.readUInt32LE(index) !== FRAME_MAGIC) continue;
        if (typeof this.frameAt(offset + index) !== 'string') return offset + index;
      }
      offset += Math.max(4, bytes.length & ~3);
    }
    return this.#end;
  }
}

function roundUp(offset: number): number {
  return Math.ceil(offset / 4) * 4;
}
