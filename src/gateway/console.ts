import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { CONSOLE_PATH } from '../api/console.js';
import { packagedFolder } from '../runtime/package.js';
import type { Exchange, Headers } from './http/exchange.js';
import { accepts } from './http/request-head.js';

/** Only this server's own files and answers; no inline script or style. */
const POLICY =
  "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

const pageHeaders: Headers = [
  ['Content-Security-Policy', POLICY],
  ['Referrer-Policy', 'no-referrer'],
  ['Cache-Control', 'no-cache'],
];
/** A file's name changes with its content. */
const fileHeaders: Headers = [['Cache-Control', 'public, max-age=31536000, immutable']];

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Codings in which the build compressed each file, best first, with the suffixes of the results. */
const codings = [
  ['br', '.br'],
  ['gzip', '.gz'],
] as const;

/** A file in all its codings, whole in memory. */
interface ConsoleFile {
  readonly type: string;
  readonly plain: Buffer;
  readonly packed: readonly (readonly [coding: string, content: Buffer])[];
}

/** The console as the build compressed it: read at the first request, and kept. */
export class ConsoleFiles {
  readonly #folder = packagedFolder('gateway/console');
  #files: Promise<ReadonlyMap<string, ConsoleFile>> | undefined;

  entry(exchange: Exchange): void {
    exchange.redirect(302, CONSOLE_PATH, [['Cache-Control', 'no-cache']]);
  }

  page(exchange: Exchange): Promise<void> {
    return this.#answer('index.html', exchange, pageHeaders);
  }

  runbook(exchange: Exchange): Promise<void> {
    return this.#answer('runbook.html', exchange, pageHeaders);
  }

  async file(exchange: Exchange): Promise<void> {
    // A page has only one address.
    if (exchange.parameter.endsWith('.html')) exchange.fail('NOT_FOUND');
    else await this.#answer(exchange.parameter, exchange, fileHeaders);
  }

  async #answer(name: string, exchange: Exchange, headers: Headers): Promise<void> {
    const file = (await this.#read()).get(name);
    if (file === undefined) {
      exchange.fail('NOT_FOUND');
      return;
    }
    const accepted = exchange.header('accept-encoding');
    const found = file.packed.find(([coding]) => accepts(accepted, coding));
    const coding: Headers = found === undefined ? [] : [['Content-Encoding', found[0]]];
    exchange.bytes(file.type, found?.[1] ?? file.plain, [
      ...headers,
      ['X-Content-Type-Options', 'nosniff'],
      ['Vary', 'Accept-Encoding'],
      ...coding,
    ]);
  }

  #read(): Promise<ReadonlyMap<string, ConsoleFile>> {
    this.#files ??= readFiles(this.#folder).catch((error: unknown) => {
      // The next request reads them again.
      this.#files = undefined;
      throw error;
    });
    return this.#files;
  }
}

async function readFiles(folder: string): Promise<ReadonlyMap<string, ConsoleFile>> {
  const names = new Set(await readdir(folder));
  const content = (name: string): Promise<Buffer> => readFile(path.join(folder, name));
  const files = [...names].flatMap((name) => {
    const type = types[path.extname(name)];
    return type === undefined ? [] : [{ name, type }];
  });
  return new Map(
    await Promise.all(
      files.map(async ({ name, type }) => {
        const made = codings.filter(([, ending]) => names.has(name + ending));
        const packed = await Promise.all(
          made.map(async ([coding, ending]) => [coding, await content(name + ending)] as const),
        );
        return [name, { type, plain: await content(name), packed }] as const;
      }),
    ),
  );
}
