/** Room for every usual text, to spare it memory of its own. */
const scratch = Buffer.alloc(16 * 1024);

/** The same text in one piece: neither a chain of parts nor a window on a larger text. */
export function flat(text: string): string {
  const bytes = text.length <= scratch.length ? scratch : Buffer.alloc(text.length);
  bytes.write(text, 0, 'latin1');
  const narrow = bytes.toString('latin1', 0, text.length);
  return narrow === text ? narrow : Buffer.from(text, 'utf16le').toString('utf16le');
}
