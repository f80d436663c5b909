/**
 * A Location with the visitor's query after its own, before its fragment. Nothing is merged or sorted: a name
 * that comes twice stays twice. Everything but printable ASCII is percent-encoded, the rest stays as sent.
 * @param location In ASCII, as `locationOf` writes it.
 * @param query From the request line, without its question mark: a text of bytes (latin1).
 */
export function withQuery(location: string, query: string): string {
  if (query === '') return location;
  const hash = location.indexOf('#');
  const base = hash === -1 ? location : location.slice(0, hash);
  const fragment = hash === -1 ? '' : location.slice(hash);
  return base + separatorAfter(base) + inAscii(query) + fragment;
}

function separatorAfter(base: string): string {
  if (!base.includes('?')) return '?';
  return base.endsWith('?') || base.endsWith('&') ? '' : '&';
}

function inAscii(query: string): string {
  return query.replaceAll(/[^!-~]/g, (character) =>
    Buffer.from(character, 'latin1').toString('hex').toUpperCase().replaceAll(/../g, '%$&'),
  );
}
