import type { HttpResponse } from 'uWebSockets.js';

/**
 * The library keeps everything that a connection does not read, without a limit, and reveals it only when
 * answering in parts. We ask at intervals of some bytes: a client that keeps sending and reads nothing is found
 * soon after its share of them, and cut.
 */
export const PROOF_BYTES = 256 * 1024;

/** The approximate size of an answer's head. */
export const HEAD_BYTES = 256;
/** In two parts, the library says whether there is room. */
export const BLANK = '  ';

/**
 * Sends a body as far as the client reads it, and the rest as it goes on reading.
 * @returns sends from an offset on; false where the client does not keep up.
 */
export function sendAsRead(
  res: HttpResponse,
  bytes: Uint8Array,
  control: { readonly isOver: () => boolean; readonly onDone: () => void },
): (from: number) => boolean {
  const send = (from: number): boolean => {
    const [isSent, isDone] = res.tryEnd(bytes.subarray(from), bytes.length);
    if (isDone) control.onDone();
    return isSent;
  };
  res.onWritable((offset) => {
    let isSent = true;
    res.cork(() => {
      isSent = control.isOver() || send(offset);
    });
    return isSent;
  });
  return send;
}
