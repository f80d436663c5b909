import { randomFillSync } from 'node:crypto';
import { isReserved } from '../api/registry.js';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const LENGTH = 6;

const random = new Uint8Array(4096);
let used = random.length;

/** Six letters or digits, all equally likely, and not to be guessed. */
function makeShortCode(): string {
  for (;;) {
    let code = '';
    while (code.length < LENGTH) {
      // 248 is the largest multiple of 62 in a byte: what is above would favour the first letters.
      const byte = nextByte();
      if (byte < 248) code += ALPHABET[byte % ALPHABET.length];
    }
    if (!isReserved(code)) return code;
  }
}

function nextByte(): number {
  if (used === random.length) {
    randomFillSync(random);
    used = 0;
  }
  used += 1;
  return random[used - 1] as number;
}

/** So many codes, each different from the others. */
export function makeShortCodes(count: number): string[] {
  const codes = new Set<string>();
  while (codes.size < count) codes.add(makeShortCode());
  return [...codes];
}
