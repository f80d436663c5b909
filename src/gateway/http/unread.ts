/**
 * The library keeps everything that a connection does not read, without a limit, and reveals it only when
 * answering in parts. We ask once in so many bytes: a client that keeps sending and reads nothing is found
 * soon after its share of them, and cut.
 */
export const PROOF_BYTES = 256 * 1024;

/** The approximate size of an answer's head. */
export const HEAD_BYTES = 256;
/** In two parts, the library says whether there is room. */
export const BLANK = '  ';
