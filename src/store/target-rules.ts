import { isReserved } from '../api/registry.js';
import type { ErrorCode } from '../errors.js';
import type { OperationContext } from './operation.js';

const codePath = /^\/([A-Za-z0-9_-]{1,128})\/?\+?$/;

/** Why a link may not lead there on this server, besides what is wrong with the URL itself. */
export async function targetRefusal(
  target: string,
  { origin, links }: Pick<OperationContext, 'origin' | 'links'>,
): Promise<ErrorCode | undefined> {
  const url = new URL(target);
  if (isShortUrl(url, origin)) return 'TARGET_IS_SHORT_LINK';
  return links.isBlocked(url.hostname) ? 'TARGET_NOT_ALLOWED' : undefined;
}

/** Whether a URL is a short one of this service: it would lead in a circle, or change with another link. */
function isShortUrl(url: URL, origin: string): boolean {
  if (origin === '' || url.host !== new URL(origin).host) return false;
  const [, code] = codePath.exec(url.pathname) ?? [];
  return code !== undefined && !isReserved(code);
}
