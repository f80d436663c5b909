import type { HttpResponse } from 'uWebSockets.js';
import { BlockList, isIP, isIPv4 } from 'node:net';

/** Verdicts on peers to remember; a proxy has a few addresses, and others must not fill the memory. */
const REMEMBERED_PEERS = 1000;

/**
 * Who a request comes from. Headers set by proxies are trusted if the connection, and every hop that they
 * name, comes from a trusted proxy.
 */
export class ClientAddresses {
  readonly #trusted = new BlockList();
  readonly #known = new Map<string, boolean>();

  /** @param networks Addresses and CIDR networks. */
  constructor(networks: readonly string[]) {
    for (const network of networks) {
      const [address = '', bits] = network.split('/');
      const family = isIPv4(address) ? 'ipv4' : 'ipv6';
      if (bits === undefined) this.#trusted.addAddress(address, family);
      else this.#trusted.addSubnet(address, Number(bits), family);
    }
  }

  /** @param peer In the library's notation. */
  isTrusted(peer: string): boolean {
    const known = this.#known.get(peer);
    if (known !== undefined) return known;
    const address = plainAddress(peer);
    const isTrusted =
      address !== undefined && this.#trusted.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
    if (this.#known.size >= REMEMBERED_PEERS) this.#known.clear();
    this.#known.set(peer, isTrusted);
    return isTrusted;
  }

  /**
   * The client's address: the last one in `forwardedFor` that is no trusted proxy.
   * @param forwardedFor The X-Forwarded-For header, to which each proxy adds its peer.
   */
  of(peer: string, forwardedFor: string): string {
    let client = plainAddress(peer) ?? peer;
    if (!this.isTrusted(peer)) return client;
    for (const entry of forwardedFor.split(',').reverse()) {
      const hop = plainAddress(withoutPort(entry.trim()));
      if (hop === undefined) break;
      client = hop;
      if (!this.isTrusted(hop)) break;
    }
    return client;
  }
}

/** The other end of a connection, as the library writes its address. */
export function peerOf(res: HttpResponse): string {
  return Buffer.from(res.getRemoteAddressAsText()).toString('latin1');
}

/** The unit of limits: an IPv4 address, or the /64 of an IPv6 one, which one subscriber has. */
export function limitKey(address: string): string {
  const groups = expandIpv6(address);
  return groups === undefined ? address : `${hex(groups.slice(0, 4))}::/64`;
}

/** The canonical form of an address, with IPv4 mapped into IPv6 as IPv4; `undefined` if it is no address. */
export function plainAddress(text: string): string | undefined {
  if (isIP(text) === 0) return undefined;
  if (isIPv4(text)) return text;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text)?.[1];
  if (mapped !== undefined) return mapped;
  const groups = expandIpv6(text);
  if (groups === undefined) return undefined;
  const [high = 0, low = 0] = groups.slice(6);
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff)
    return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  return hex(groups);
}

/** The eight groups of an IPv6 address in hexadecimal. */
export function expandIpv6(address: string): number[] | undefined {
  if (!/^[0-9a-f:]{2,39}$/i.test(address)) return undefined;
  const halves = address.split('::');
  if (halves.length > 2) return undefined;
  const parse = (half: string | undefined): number[] =>
    half === undefined || half === '' ? [] : half.split(':').map((group) => Number.parseInt(group, 16));
  const head = parse(halves[0]);
  const tail = parse(halves[1]);
  const missing = 8 - head.length - tail.length;
  const isComplete = halves.length === 2 ? missing >= 0 : missing === 0;
  const groups = [...head, ...Array.from({ length: Math.max(0, missing) }, () => 0), ...tail];
  return isComplete && groups.every((group) => group >= 0 && group <= 0xffff) ? groups : undefined;
}

function hex(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(':');
}

/** Some proxies write `203.0.113.7:4711` and `[2001:db8::1]:4711`. */
function withoutPort(entry: string): string {
  return (
    /^\[([0-9a-f:.]+)\](?::\d+)?$/i.exec(entry)?.[1] ?? entry.replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1')
  );
}
