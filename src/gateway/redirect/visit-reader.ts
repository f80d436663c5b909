import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { LRUCache } from 'lru-cache';
import { VisitKind } from '../../journal/format.js';
import type { Visit } from '../../journal/recorder.js';
import { isBot } from '../../runtime/bots.js';
import { expandIpv6, peerOf } from '../http/client-address.js';
import { headerBytes } from '../http/header-bytes.js';
import { flat } from './flat-text.js';

export interface VisitOptions {
  /** Whether more than the kind of visit is noted. */
  readonly withDetails: boolean;
  readonly countsBots: boolean;
  readonly countryHeader: string | undefined;
  /** Whether the visitor's address is noted, anonymised. */
  readonly withAddress: boolean;
  readonly addressHeader: string | undefined;
}

const userAgentName = headerBytes('user-agent');
const refererName = headerBytes('referer');

const MAX_USER_AGENT_LENGTH = 512;
const MAX_HOST_LENGTH = 255;

/** Many visits send the same headers: results are kept for this many of each, for headers up to this length. */
const KEPT_HEADERS = 4096;
const MAX_KEPT_LENGTH = 512;

/** What is noted for a User-Agent header. */
interface Agent {
  readonly userAgent: string;
  readonly kind: VisitKind;
}

/** A visit that is no click, with no further details. */
export const bareVisit: Visit = {
  referrer: '',
  userAgent: '',
  country: '',
  address: '',
  kind: VisitKind.PREVIEW,
};

/**
 * Notes what a request says about a visit. Parsing waits where it can, but two values must not be kept whole:
 * only the referrer's host and the address's network are noted.
 *
 * Equal headers give the same strings each time, and the journal finds their numbers without comparing text.
 */
export class VisitReader {
  readonly #options: VisitOptions;
  /** By the header as sent. Longer ones are not kept. */
  readonly #agents = new LRUCache<string, Agent>({ max: KEPT_HEADERS });
  readonly #hosts = new LRUCache<string, string>({ max: KEPT_HEADERS });
  readonly #countries = new Map<string, string>();
  readonly #countryName: ArrayBuffer | undefined;

  constructor(options: VisitOptions) {
    this.#options = options;
    const { countryHeader } = options;
    this.#countryName = countryHeader === undefined ? undefined : headerBytes(countryHeader);
  }

  /** @returns `undefined` for a click without details. */
  read(res: HttpResponse, req: HttpRequest): Visit | undefined {
    const { userAgent, kind } = this.#agentOf(req.getHeader(userAgentName));
    if (!this.#options.withDetails) return kind === VisitKind.CLICK ? undefined : bareVisit;
    const { withAddress, addressHeader } = this.#options;
    return {
      referrer: this.#hostOf(req.getHeader(refererName)),
      userAgent,
      country: this.#countryName === undefined ? '' : this.#countryOf(req.getHeader(this.#countryName)),
      address: withAddress ? this.#address(res, req, addressHeader) : '',
      kind,
    };
  }

  #agentOf(header: string): Agent {
    const known = this.#agents.get(header);
    if (known !== undefined) return known;
    const text = header.slice(0, MAX_USER_AGENT_LENGTH);
    const isPreview = !this.#options.countsBots && isBot(text);
    const agent: Agent = {
      userAgent: storable(text),
      kind: isPreview ? VisitKind.PREVIEW : VisitKind.CLICK,
    };
    if (header.length <= MAX_KEPT_LENGTH) this.#agents.set(header, agent);
    return agent;
  }

  #hostOf(header: string): string {
    if (header === '') return '';
    const known = this.#hosts.get(header);
    if (known !== undefined) return known;
    const host = flat(hostOf(header));
    if (header.length <= MAX_KEPT_LENGTH) this.#hosts.set(header, host);
    return host;
  }

  /** Only country codes are kept, and there are few. */
  #countryOf(header: string): string {
    const known = this.#countries.get(header);
    if (known !== undefined) return known;
    const country = countryOf(header);
    if (country !== '') this.#countries.set(header, country);
    return country;
  }

  #address(res: HttpResponse, req: HttpRequest, header: string | undefined): string {
    if (header === undefined) return anonymised(peerOf(res));
    // The proxy in front of us has added the last entry itself.
    return anonymised(req.getHeader(header).split(',').at(-1)?.trim() ?? '');
  }
}

/** The host of a URL, without port and user; empty for anything else. */
export function hostOf(url: string): string {
  const start = url.indexOf('://');
  if (start === -1) return '';
  const rest = url.slice(start + 3, start + 3 + MAX_HOST_LENGTH * 2);
  const end = rest.search(/[/?#]/);
  const authority = end === -1 ? rest : rest.slice(0, end);
  const host = authority.slice(authority.lastIndexOf('@') + 1).toLowerCase();
  const name = /^\[[0-9a-f:.]+\]/.exec(host)?.[0] ?? host.replace(/:\d*$/, '');
  return /^[\w.[\]:-]{1,255}$/.test(name) ? name : '';
}

/** A country code of two letters, in capitals; empty for anything else. */
export function countryOf(text: string): string {
  return /^[a-z]{2}$/i.test(text) ? text.toUpperCase() : '';
}

/** An address without the part that identifies a subscriber: the /24 of IPv4, the /48 of IPv6. */
export function anonymised(address: string): string {
  const mapped = /^(?:[0:]+:ffff:)(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
  const octets = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.\d{1,3}$/.exec(mapped);
  if (octets !== null) return `${octets[1]}.${octets[2]}.${octets[3]}.0`;
  const groups = expandIpv6(address);
  if (groups === undefined) return '';
  // The library writes an IPv4 visitor on a dual-stack socket as a mapped address in full.
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    const [high = 0, low = 0] = groups.slice(6);
    return `${high >> 8}.${high & 255}.${low >> 8}.0`;
  }
  return `${groups
    .slice(0, 3)
    .map((group) => group.toString(16))
    .join(':')}::`;
}

/** Header values are bytes; bytes that a text in the database can't hold are left out. */
function storable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
  return text.replaceAll(/[\u0000-\u001f\u007f]/g, '');
}
