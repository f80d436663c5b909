import { isReserved } from '../api/registry.js';
import type { ErrorCode } from '../errors.js';
import type { OperationContext } from './operation.js';

/** A code, as a visit finds it: with punctuation that a text has behind it, a slash, or the plus of a preview. */
const codePath = /^\/([A-Za-z0-9_-]{1,128})[.,;:!?)\]}>'"]*\/?\+?$/;

/** Why this server refuses a target, besides faults of the URL itself. */
export async function targetRefusal(
  target: string,
  { origin, links }: Pick<OperationContext, 'origin' | 'links'>,
): Promise<ErrorCode | undefined> {
  const url = new URL(target);
  if (isShortUrl(url, origin)) return 'TARGET_IS_SHORT_LINK';
  return links.isBlocked(url.hostname) ? 'TARGET_NOT_ALLOWED' : undefined;
}

/** Whether a URL is one of this service's short URLs: it would form a loop, or change with another link. */
function isShortUrl(url: URL, origin: string): boolean {
  if (origin === '' || url.host !== new URL(origin).host) return false;
  const [, code] = codePath.exec(decoded(url.pathname)) ?? [];
  return code !== undefined && !isReserved(code);
}

/** A code may be written with percent signs. */
function decoded(pathname: string): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    return pathname;
  }
}
