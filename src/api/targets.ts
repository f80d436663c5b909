import { locationOf } from './location.js';
import { isRedirectTarget } from './values.js';

/** Maximum bytes of a Location header: the answer's head then fits proxies' limits. */
const MAX_ASCII_BYTES = 15_000;
const MAX_LABEL = 63;
const MAX_HOST = 253;

/** The host's end for a strict parser, which gives backslashes no meaning. */
const authorityOf = /^https?:\/\/([^/?#]*)/i;
const bidiControl = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

export interface TargetFault {
  /** Why a valid URL is refused; none for text that is no http(s) URL with a host. */
  readonly reason?: string;
}

/** Why a target is refused: it would mislead people, or lead nowhere. */
export function targetFault(target: string): TargetFault | undefined {
  const [, authority = ''] = authorityOf.exec(target) ?? [];
  // A browser takes the backslash for a slash, and what follows an @ is then no host but a path.
  if (authority.includes('\\')) return { reason: "a '\\' before the end of the host" };
  if (!isRedirectTarget(target)) return {};
  if (bidiControl.test(target)) return { reason: 'bidirectional control characters' };
  const { hostname, port } = new URL(target);
  if (port === '0') return { reason: 'port 0' };
  const reason = hostFault(hostname);
  if (reason !== undefined) return { reason };
  if (locationOf(target).length > MAX_ASCII_BYTES) {
    return { reason: `more than ${MAX_ASCII_BYTES} bytes once percent-encoded` };
  }
  return undefined;
}

function hostFault(hostname: string): string | undefined {
  if (hostname.startsWith('[')) return undefined;
  if (hostname.length > MAX_HOST + 1) return `a host of more than ${MAX_HOST} characters`;
  const labels = hostname.split('.');
  // A dot at the end only says that the name is complete.
  if (labels.at(-1) === '') labels.pop();
  if (labels.length === 0 || labels.includes('')) return 'a host with an empty label';
  if (labels.some((label) => label.length > MAX_LABEL)) {
    return `a host with a label of more than ${MAX_LABEL} characters`;
  }
  return undefined;
}
