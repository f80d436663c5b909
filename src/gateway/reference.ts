import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { packagedFolder } from '../runtime/package.js';
import type { Exchange, Headers } from './http/exchange.js';

/** What the reference page may load and request: only this server; its library sets styles of elements. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

const files = {
  openapi: ['openapi.json', 'application/json'],
  docsPage: ['page.html', 'text/html; charset=utf-8'],
  docsScript: ['page.js', 'text/javascript; charset=utf-8'],
  docsLibrary: ['swagger-ui-bundle.js', 'text/javascript; charset=utf-8'],
  docsStyle: ['swagger-ui.css', 'text/css; charset=utf-8'],
} as const;

export type ReferenceFile = keyof typeof files;

const folder = packagedFolder('gateway/docs');
const headers: Headers = [
  ['Content-Security-Policy', POLICY],
  ['X-Content-Type-Options', 'nosniff'],
  ['Cache-Control', 'public, max-age=300'],
];

/** The description of the API, for programs and for people, as the build made it; each file is read once. */
export class Reference {
  readonly #read = new Map<ReferenceFile, Promise<Buffer>>();

  async file(name: ReferenceFile, exchange: Exchange): Promise<void> {
    const [file, type] = files[name];
    let content = this.#read.get(name);
    if (content === undefined) {
      content = readFile(path.join(folder, file));
      this.#read.set(name, content);
      // The next request reads it again.
      content.catch(() => this.#read.delete(name));
    }
    exchange.bytes(type, await content, headers);
  }
}
