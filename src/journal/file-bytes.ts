import { readSync } from 'node:fs';

/** @returns up to `length` bytes of a file; fewer where it ends. Nothing else shares their memory. */
export function readAt(descriptor: number, offset: number, length: number): Buffer {
  // From the start of the memory, which makes them readable as words.
  const bytes = Buffer.from(new ArrayBuffer(Math.max(0, length)));
  let done = 0;
  while (done < bytes.length) {
    const count = readSync(descriptor, bytes, done, bytes.length - done, offset + done);
    if (count === 0) break;
    done += count;
  }
  return bytes.subarray(0, done);
}
