// Makes uWebSockets.js fit: rewrites this platform's binaries in node_modules, in place and once.
//
// Two things, on Linux only, and nothing of its code:
// - The errors that the library answers by itself, before any handler of ours runs, are HTML texts. They
//   become the API's JSON, of the same length, padded with spaces.
// - The binaries ask for glibc 2.38 because of three functions that compilers now call by their C23 names.
//   They differ from the old ones in the prefix `0b` of numbers, which nobody here parses. Asked for by
//   their old names, the binaries load with glibc 2.36 too (Debian 12).
//
// Whatever is not found as expected ends this with an error: another version of the library has to be looked at.
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

const JSON_TYPE = 'Content-Type: application/json\r\n';
const CLOSE = 'Connection: close\r\n';
const SIGNATURE = '<hr><i>uWebSockets/20 Server</i>';

/** What the library says, and what it is to say. For two there is no room for `Connection: close`; it closes. */
const texts = [
  [
    `HTTP/1.1 505 HTTP Version Not Supported\r\n${CLOSE}\r\n<h1>HTTP Version Not Supported</h1><p>This server does not support HTTP/1.0.</p>${SIGNATURE}`,
    `HTTP/1.1 505 HTTP Version Not Supported\r\n${CLOSE}${JSON_TYPE}\r\n{"error":"HTTP version or form of request not supported","status":505}`,
  ],
  [
    `HTTP/1.1 431 Request Header Fields Too Large\r\n${CLOSE}\r\n<h1>Request Header Fields Too Large</h1>${SIGNATURE}`,
    `HTTP/1.1 431 Request Header Fields Too Large\r\n${JSON_TYPE}\r\n{"error":"Request header too large","status":431}`,
  ],
  [
    `HTTP/1.1 400 Bad Request\r\n${CLOSE}\r\n<h1>Bad Request</h1>${SIGNATURE}`,
    `HTTP/1.1 400 Bad Request\r\n${JSON_TYPE}\r\n{"error":"Bad request","status":400}`,
  ],
];

export function adaptTexts(binary) {
  for (const [said, wanted] of texts) {
    const at = binary.indexOf(said, 0, 'latin1');
    if (at === -1 || binary.indexOf(said, at + 1, 'latin1') !== -1)
      throw new Error(`not once in it: ${said.split('\r\n')[0]}`);
    if (wanted.length > said.length) throw new Error(`too long: ${wanted}`);
    binary.write(wanted.padEnd(said.length), at, 'latin1');
  }
}

const Section = { DYNAMIC_SYMBOLS: 11, SYMBOL_VERSIONS: 0x6fffffff, NEEDED_VERSIONS: 0x6ffffffe };
const SYMBOL_BYTES = 24;
const TOO_NEW = 'GLIBC_2.38';
const NEW_PREFIX = '__isoc23_';
/** The first version of glibc on a processor, by ELF's number of it: what has always been there has this one. */
const firstVersions = { 62: 'GLIBC_2.2.5', 183: 'GLIBC_2.17' };

/** Asks for C23's functions by their old names and version. See elf(5) for the structures. */
export function adaptSymbols(binary) {
  if (binary.readUInt32BE(0) !== 0x7f454c46 || binary[4] !== 2 || binary[5] !== 1)
    throw new Error('no 64-bit little-endian ELF file');
  const sections = sectionsOf(binary);
  const one = (type) => {
    const found = sections.filter((section) => section.type === type);
    if (found.length !== 1) throw new Error(`${found.length} sections of type ${type.toString(16)}`);
    return found[0];
  };
  const symbols = one(Section.DYNAMIC_SYMBOLS);
  const names = sections[symbols.link];
  const textAt = (offset) => {
    const start = names.offset + offset;
    return binary.toString('latin1', start, binary.indexOf(0, start));
  };
  const needed = neededVersions(binary, one(Section.NEEDED_VERSIONS), textAt);
  const tooNew = needed.find(({ name }) => name === TOO_NEW);
  if (tooNew === undefined) return;
  const first = needed.find(({ name }) => name === firstVersions[binary.readUInt16LE(18)]);
  if (first === undefined) throw new Error('it needs no first version of glibc');
  const versions = one(Section.SYMBOL_VERSIONS);
  for (let index = 0; index < symbols.size / SYMBOL_BYTES; index += 1) {
    const version = versions.offset + index * 2;
    if ((binary.readUInt16LE(version) & 0x7fff) !== tooNew.index) continue;
    const symbol = symbols.offset + index * SYMBOL_BYTES;
    const name = binary.readUInt32LE(symbol);
    if (!textAt(name).startsWith(NEW_PREFIX)) throw new Error(`it needs ${textAt(name)} of ${TOO_NEW}`);
    // The old name is the new one's end.
    binary.writeUInt32LE(name + NEW_PREFIX.length, symbol);
    binary.writeUInt16LE(first.index, version);
  }
  // Hash and name: the entry now asks for the first version a second time.
  binary.writeUInt32LE(binary.readUInt32LE(first.at), tooNew.at);
  binary.writeUInt32LE(binary.readUInt32LE(first.at + 8), tooNew.at + 8);
}

function sectionsOf(binary) {
  const start = Number(binary.readBigUInt64LE(0x28));
  const entryBytes = binary.readUInt16LE(0x3a);
  return Array.from({ length: binary.readUInt16LE(0x3c) }, (_, index) => {
    const at = start + index * entryBytes;
    return {
      type: binary.readUInt32LE(at + 4),
      offset: Number(binary.readBigUInt64LE(at + 24)),
      size: Number(binary.readBigUInt64LE(at + 32)),
      link: binary.readUInt32LE(at + 40),
      info: binary.readUInt32LE(at + 44),
    };
  });
}

/** The versions asked of libc: `at` is the entry's place, `index` what symbols refer to. */
function neededVersions(binary, section, textAt) {
  const versions = [];
  let library = section.offset;
  for (let libraries = 0; libraries < section.info; libraries += 1) {
    let at = library + binary.readUInt32LE(library + 8);
    for (let count = binary.readUInt16LE(library + 2); count > 0; count -= 1) {
      if (textAt(binary.readUInt32LE(library + 4)) === 'libc.so.6')
        versions.push({ at, name: textAt(binary.readUInt32LE(at + 8)), index: binary.readUInt16LE(at + 6) });
      at += binary.readUInt32LE(at + 12);
    }
    library += binary.readUInt32LE(library + 12);
  }
  return versions;
}

/** Raised whenever what is done to the binaries changes. */
const EDITION = '1';

const folder = path.join(root, 'node_modules', 'uWebSockets.js');
const stamp = path.join(folder, '.adapted');

/** Whether there is nothing to do: packages may have been installed anew. */
export function isAdapted() {
  if (process.platform !== 'linux' || !existsSync(folder)) return true;
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === EDITION;
}

export function adaptLibrary() {
  if (isAdapted()) return;
  const prefix = `uws_linux_${process.arch}_`;
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(prefix) || !name.endsWith('.node')) continue;
    const file = path.join(folder, name);
    const binary = readFileSync(file);
    // Interrupted between the files, it goes on with those that are left.
    if (binary.includes(texts[0][1], 0, 'latin1')) continue;
    try {
      adaptTexts(binary);
      adaptSymbols(binary);
    } catch (error) {
      throw new Error(`${name} is not the binary that was expected: ${error.message}`);
    }
    // Renamed, so that a process which has the old file mapped keeps it.
    writeFileSync(`${file}.new`, binary, { mode: 0o644 });
    renameSync(`${file}.new`, file);
  }
  writeFileSync(stamp, EDITION);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) adaptLibrary();
