/** What a JSON text may hold, so that to parse it never takes long. */
export interface JsonLimits {
  /** Arrays and objects within each other. */
  readonly depth: number;
  /** Numbers, strings, arrays, objects and so on; the names of members are not counted. */
  readonly values: number;
}

const Byte = {
  QUOTE: 0x22,
  COMMA: 0x2c,
  BACKSLASH: 0x5c,
  OPEN_ARRAY: 0x5b,
  CLOSE_ARRAY: 0x5d,
  OPEN_OBJECT: 0x7b,
  CLOSE_OBJECT: 0x7d,
  SPACE: 0x20,
} as const;

/**
 * Looks once at each byte, and says what is beyond the limits. Of a text that is no JSON it may say
 * anything: it only bounds what the parser gets to see.
 */
export function jsonExcess(bytes: Uint8Array, limits: JsonLimits): 'depth' | 'values' | undefined {
  let depth = 0;
  let values = 1;
  /** Just after a bracket that opens: what follows is its first value, or its end. */
  let isFirst = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] as number;
    if (byte <= Byte.SPACE) continue;
    const isEnd = byte === Byte.CLOSE_ARRAY || byte === Byte.CLOSE_OBJECT;
    if (byte === Byte.COMMA || (isFirst && !isEnd)) {
      values += 1;
      if (values > limits.values) return 'values';
    }
    isFirst = false;
    if (byte === Byte.QUOTE) {
      at = endOfString(bytes, at) - 1;
    } else if (byte === Byte.OPEN_ARRAY || byte === Byte.OPEN_OBJECT) {
      depth += 1;
      if (depth > limits.depth) return 'depth';
      isFirst = true;
    } else if (isEnd) {
      depth -= 1;
    }
  }
  return undefined;
}

/**
 * The text of an object's last member of that name, as it was sent.
 * @param bytes Known to be JSON, and an object, in UTF-8.
 */
export function memberText(bytes: Uint8Array, name: string): Uint8Array | undefined {
  let found: Uint8Array | undefined;
  let at = skipSpace(bytes, bytes.indexOf(Byte.OPEN_OBJECT) + 1);
  while (bytes[at] === Byte.QUOTE) {
    const nameEnd = endOfString(bytes, at);
    // A name may be written with escapes.
    const isWanted = JSON.parse(textOf(bytes.subarray(at, nameEnd))) === name;
    // Behind the colon.
    const start = skipSpace(bytes, skipSpace(bytes, nameEnd) + 1);
    const end = endOfValue(bytes, start);
    if (isWanted) found = bytes.subarray(start, end);
    at = skipSpace(bytes, end);
    if (bytes[at] !== Byte.COMMA) break;
    at = skipSpace(bytes, at + 1);
  }
  return found;
}

/** Whether a JSON text, with the members that a parser would drop, holds what no text in the database can. */
export function hasUnstorableText(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += 1) {
    if (bytes[at] !== Byte.QUOTE) continue;
    const end = endOfString(bytes, at);
    const text = bytes.subarray(at, end);
    // Without an escape there is nothing: raw control characters are no JSON, raw surrogates no UTF-8.
    if (text.includes(Byte.BACKSLASH)) {
      const value = JSON.parse(textOf(text)) as string;
      if (value.includes('\0') || !value.isWellFormed()) return true;
    }
    at = end - 1;
  }
  return false;
}

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

/** @param at Of the opening quote. @returns Behind the closing one. */
function endOfString(bytes: Uint8Array, at: number): number {
  for (let next = at + 1; next < bytes.length; next += 1) {
    const byte = bytes[next];
    if (byte === Byte.BACKSLASH) next += 1;
    else if (byte === Byte.QUOTE) return next + 1;
  }
  return bytes.length;
}

function endOfValue(bytes: Uint8Array, start: number): number {
  let depth = 0;
  for (let at = start; at < bytes.length; at += 1) {
    const byte = bytes[at] as number;
    if (byte === Byte.QUOTE) {
      at = endOfString(bytes, at) - 1;
    } else if (byte === Byte.OPEN_ARRAY || byte === Byte.OPEN_OBJECT) {
      depth += 1;
    } else if (byte === Byte.CLOSE_ARRAY || byte === Byte.CLOSE_OBJECT) {
      // Of the object around it, when the value is a plain one.
      if (depth === 0) return at;
      depth -= 1;
    } else if (byte === Byte.COMMA && depth === 0) {
      return at;
    }
  }
  return bytes.length;
}

function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  while (at < bytes.length && (bytes[at] as number) <= Byte.SPACE) at += 1;
  return at;
}
