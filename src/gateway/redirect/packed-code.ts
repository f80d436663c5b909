/**
 * Short codes as numbers: up to ten of the 64 common characters become two 32-bit words, six bits a
 * character, with the length above them.
 */
export const PACKED_CODE_MAX = 10;
const CHARACTERS_A_WORD = 5;
/** Six bits for each of 64 characters; 255 for the others. */
const sixBits = new Uint8Array(256).fill(255);
const characters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
for (const [index, character] of [...characters].entries()) sixBits[character.charCodeAt(0)] = index;

/** Two words that no packed code has: the upper one has both of its length bits set. */
export const UNPACKED_HIGH = 0xc0000000 | 0;

/** Packs codes into its two words, one code after the other, without allocating. */
export class CodePacker {
  low = 0;
  high = 0;

  /** @returns false for a code that can't be packed; the words are then unchanged. */
  pack(shortCode: string): boolean {
    const { length } = shortCode;
    if (length === 0 || length > PACKED_CODE_MAX) return false;
    let low = length & 3;
    let high = length >> 2;
    for (let index = 0; index < length; index += 1) {
      const unit = shortCode.charCodeAt(index);
      const bits = unit < 256 ? (sixBits[unit] as number) : 255;
      if (bits === 255) return false;
      if (index < CHARACTERS_A_WORD) low = (low << 6) | bits;
      else high = (high << 6) | bits;
    }
    this.low = low;
    this.high = high;
    return true;
  }
}

/** The code of two words that `CodePacker` made. */
export function unpackCode(low: number, high: number): string {
  // The length is above the characters: up to five of them in each word.
  for (let length = 1; length <= PACKED_CODE_MAX; length += 1) {
    const inLow = Math.min(length, CHARACTERS_A_WORD);
    const inHigh = length - inLow;
    if (low >>> (6 * inLow) !== (length & 3) || high >>> (6 * inHigh) !== length >> 2) continue;
    return charactersOf(low, inLow) + charactersOf(high, inHigh);
  }
  throw new Error(`${low}, ${high} are not the words of a code`);
}

function charactersOf(word: number, count: number): string {
  let text = '';
  for (let index = count - 1; index >= 0; index -= 1) text += characters[(word >>> (6 * index)) & 63];
  return text;
}
