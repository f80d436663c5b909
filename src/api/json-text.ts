/** The limits of a JSON text, which bound the time to parse it. */
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
  ZERO: 0x30,
  NINE: 0x39,
  A: 0x61,
  U: 0x75,
} as const;

/**
 * Reads each byte once, and reports what exceeds the limits. For text that is not JSON its result is
 * arbitrary: it only bounds the parser's input.
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
 * The text of an object's last member of that name, as sent.
 * @param bytes Known to be JSON, and an object, in UTF-8.
 * @param name In ASCII.
 */
export function memberText(bytes: Uint8Array, name: string): Uint8Array | undefined {
  const plain = Buffer.from(`"${name}"`);
  let found: Uint8Array | undefined;
  let at = skipSpace(bytes, bytes.indexOf(Byte.OPEN_OBJECT) + 1);
  while (bytes[at] === Byte.QUOTE) {
    const nameEnd = endOfString(bytes, at);
    // Behind the colon.
    const start = skipSpace(bytes, skipSpace(bytes, nameEnd) + 1);
    const end = endOfValue(bytes, start);
    if (isName(bytes.subarray(at, nameEnd), plain)) found = bytes.subarray(start, end);
    at = skipSpace(bytes, end);
    if (bytes[at] !== Byte.COMMA) break;
    at = skipSpace(bytes, at + 1);
  }
  return found;
}

/** The maximum bytes of one character, as in a unicode escape. */
const ESCAPED_BYTES = 6;

/** Whether a member's name, in its quotes, is `plain`: it may be written with escapes. */
function isName(text: Uint8Array, plain: Buffer): boolean {
  if (text.length < plain.length || text.length > plain.length * ESCAPED_BYTES) return false;
  if (!text.includes(Byte.BACKSLASH)) return plain.equals(text);
  return JSON.parse(textOf(text)) === plain.toString('latin1', 1, plain.length - 1);
}

/**
 * Whether a JSON text, including members that a parser would drop, has characters that the database can't
 * store: a NUL or half a surrogate pair. Raw ones are no JSON, or no UTF-8: they can only be escapes.
 */
export function hasUnstorableText(bytes: Uint8Array): boolean {
  let at = bytes.indexOf(Byte.BACKSLASH);
  while (at !== -1) {
    const unit = escapedUnit(bytes, at);
    let end = at + (unit === undefined ? 2 : ESCAPED_BYTES);
    if (unit === 0) return true;
    if (unit !== undefined && unit >= Unit.HIGH && unit < Unit.END) {
      const low = escapedUnit(bytes, end);
      if (unit >= Unit.LOW || low === undefined || low < Unit.LOW || low >= Unit.END) return true;
      end += ESCAPED_BYTES;
    }
    at = bytes.indexOf(Byte.BACKSLASH, end);
  }
  return false;
}

/** Of UTF-16: the first of the high surrogates, of the low ones, and behind those. */
const Unit = { HIGH: 0xd800, LOW: 0xdc00, END: 0xe000 } as const;

/** The code unit that an escape of the form `\uXXXX` stands for, if there is one. */
function escapedUnit(bytes: Uint8Array, at: number): number | undefined {
  if (bytes[at] !== Byte.BACKSLASH || bytes[at + 1] !== Byte.U) return undefined;
  let unit = 0;
  for (let next = at + 2; next < at + ESCAPED_BYTES; next += 1) {
    const byte = bytes[next] as number;
    unit = unit * 16 + (byte <= Byte.NINE ? byte - Byte.ZERO : (byte | 0x20) - Byte.A + 10);
  }
  return unit;
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
      // Belongs to the object around it, if the value is a plain one.
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
