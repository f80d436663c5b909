/** The same text in one piece: neither a chain of parts nor a window on a larger text. */
export function flat(text: string): string {
  const narrow = Buffer.from(text, 'latin1').toString('latin1');
  return narrow === text ? narrow : Buffer.from(text, 'utf16le').toString('utf16le');
}
