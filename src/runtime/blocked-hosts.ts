import { readFileSync, statSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';

const privateNetworks = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const) {
  privateNetworks.addSubnet(network, prefix, 'ipv4');
}
for (const [network, prefix] of [
  ['::', 128],
  ['::1', 128],
  ['fc00::', 7],
  ['fe80::', 10],
] as const) {
  privateNetworks.addSubnet(network, prefix, 'ipv6');
}

/**
 * The hosts to which no link may lead: names in a file, with their subdomains, and, if configured, private,
 * loopback and link-local addresses. The file is read again when it has changed.
 */
export class BlockedHosts {
  readonly #file: string | undefined;
  readonly #blocksPrivate: boolean;
  #names: ReadonlySet<string> = new Set();
  #version = '';

  /** @throws if the file can't be read: a missing list would block nothing. */
  constructor(file: string | undefined, blocksPrivate: boolean) {
    this.#file = file;
    this.#blocksPrivate = blocksPrivate;
    this.#readAgain();
  }

  /** @param hostname As `URL` writes it: in lower case and ASCII, an IPv6 address in brackets. */
  has(hostname: string): boolean {
    try {
      this.#readAgain();
    } catch {
      // The file is being replaced; the earlier list applies until the new one is there.
    }
    const name = hostname.replace(/\.$/, '');
    if (this.#blocksPrivate && isPrivate(name)) return true;
    if (this.#names.size === 0) return false;
    for (let rest = name; rest !== ''; rest = rest.slice(rest.indexOf('.') + 1)) {
      if (this.#names.has(rest)) return true;
      if (!rest.includes('.')) return false;
    }
    return false;
  }

  #readAgain(): void {
    if (this.#file === undefined) return;
    const { mtimeMs, size, ino } = statSync(this.#file);
    const version = `${mtimeMs} ${size} ${ino}`;
    if (version === this.#version) return;
    this.#names = namesIn(readFileSync(this.#file, 'utf8'));
    this.#version = version;
  }
}

/** One host name a line; # begins a comment. */
function namesIn(text: string): Set<string> {
  const names = text.split('\n').map((line) => (line.split('#')[0] ?? '').trim());
  return new Set(names.filter((name) => name !== '').map(asUrlWritesIt));
}

function asUrlWritesIt(name: string): string {
  const bare = name.replace(/^\*?\./, '').replace(/\.$/, '');
  return URL.canParse(`http://${bare}`) ? new URL(`http://${bare}`).hostname : bare.toLowerCase();
}

function isPrivate(name: string): boolean {
  if (name === 'localhost' || name.endsWith('.localhost')) return true;
  const address = name.replace(/^\[|\]$/g, '');
  const family = isIP(address);
  return family !== 0 && privateNetworks.check(address, family === 6 ? 'ipv6' : 'ipv4');
}
