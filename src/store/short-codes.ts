import { randomFillSync } from 'node:crypto';
import { isReserved } from '../api/registry.js';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

const random = new Uint8Array(4096);
let used = random.length;

/** This many letters or digits, all equally likely and unpredictable. */
export function makeShortCode(length: number): string {
  for (;;) {
    let code = '';
    while (code.length < length) {
      // 248 is the largest multiple of 62 in a byte: larger values would favour the first letters.
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
