import type { Headers } from '../http/exchange.js';

/** Statuses that a link may redirect with. */
export const redirectStatuses = [302, 301, 307, 308] as const;
export type RedirectStatus = (typeof redirectStatuses)[number];

const statusLines: Readonly<Record<RedirectStatus, string>> = {
  301: '301 Moved Permanently',
  302: '302 Found',
  307: '307 Temporary Redirect',
  308: '308 Permanent Redirect',
};

/** What a redirect needs to know about a link besides its target. Times are milliseconds since 1970. */
export interface LinkOptions {
  readonly status: RedirectStatus;
  readonly cacheSeconds: number | undefined;
  /** Also absent if it was past when the link was read. */
  readonly validSinceMs: number | undefined;
  readonly expiresAtMs: number | undefined;
  /** The target of an expired link, or one whose clicks are used up. */
  readonly expiredUrl: string | undefined;
  /** Whether each redirect has to be claimed in the database. */
  readonly isLimited: boolean;
  readonly hasPassword: boolean;
  readonly forwardsQuery: boolean;
  /** Whether the answer is the same for everyone until the link expires. */
  readonly isBaked: boolean;
}

export const plainOptions: LinkOptions = {
  status: 302,
  cacheSeconds: undefined,
  validSinceMs: undefined,
  expiresAtMs: undefined,
  expiredUrl: undefined,
  isLimited: false,
  hasPassword: false,
  forwardsQuery: false,
  isBaked: true,
};

/** A link's options as the resolve statement writes them; times are seconds since 1970. */
interface OptionsJson {
  readonly status: number;
  readonly cache: number | null;
  readonly since: number | null;
  readonly until: number | null;
  readonly expired_url: string | null;
  readonly limited: boolean;
  readonly password: boolean;
  readonly query: boolean;
}

/**
 * @param text From the store's resolve statement; `null` for a plain link.
 * @param nowMs By the database's clock.
 */
export function parseLinkOptions(text: string | null, nowMs: number): LinkOptions | undefined {
  if (text === null) return undefined;
  const json = JSON.parse(text) as OptionsJson;
  const status = redirectStatuses.find((known) => known === json.status) ?? 302;
  const cacheSeconds = json.cache ?? undefined;
  const validSinceMs = json.since === null || json.since * 1000 <= nowMs ? undefined : json.since * 1000;
  const expiresAtMs = json.until === null ? undefined : json.until * 1000;
  return {
    status,
    cacheSeconds,
    validSinceMs,
    expiresAtMs,
    expiredUrl: json.expired_url ?? undefined,
    isLimited: json.limited,
    hasPassword: json.password,
    forwardsQuery: json.query,
    isBaked:
      !json.limited &&
      !json.password &&
      !json.query &&
      validSinceMs === undefined &&
      // The time left until the link expires limits max-age.
      (cacheSeconds === undefined || expiresAtMs === undefined),
  };
}

/**
 * The redirect's caching header; `undefined` for none. Browsers keep a 301 or 308 for ever unless told
 * otherwise, which would lose clicks.
 */
function cacheControlOf(options: LinkOptions, nowMs: number): string | undefined {
  const { status, cacheSeconds, expiresAtMs, isLimited, hasPassword } = options;
  if (isLimited || hasPassword) return 'private, no-store';
  if (cacheSeconds !== undefined) {
    const leftSeconds = expiresAtMs === undefined ? cacheSeconds : Math.floor((expiresAtMs - nowMs) / 1000);
    return `private, max-age=${Math.max(0, Math.min(cacheSeconds, leftSeconds))}`;
  }
  return status === 301 || status === 308 ? 'private, no-store' : undefined;
}

const noHeaders: Headers = [];

/** The redirect's headers besides Location. */
export function headersOf(options: LinkOptions, nowMs: number): Headers {
  const caching = cacheControlOf(options, nowMs);
  return caching === undefined ? noHeaders : [['Cache-Control', caching]];
}

const LOCATION = 'Location: ';

/** Status line and headers of a link's answer as one text, for one call into the library. Location is last. */
export function bakedHead(options: LinkOptions, location: string): string {
  const headers = headersOf(options, 0).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${statusLines[options.status]}\r\n${headers.join('')}${LOCATION}${location}`;
}

/** The Location in a head that `bakedHead` made. */
export function locationIn(head: string): string {
  return head.slice(head.indexOf(LOCATION) + LOCATION.length);
}
