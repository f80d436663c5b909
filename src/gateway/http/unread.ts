/**
 * The library keeps for a connection whatever it does not read, without an end, and says that only when it is
 * asked to answer in parts. Once in so many bytes it is asked: whoever sends on and reads nothing is found
 * soon after its share of them, and cut.
 */
export const PROOF_BYTES = 256 * 1024;

/** What the head of an answer has about. */
export const HEAD_BYTES = 256;
/** In two parts it can be asked for whether there is room. */
export const BLANK = '  ';
