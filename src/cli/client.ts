import { createReadStream, statSync } from 'node:fs';
import { type IncomingMessage, type RequestOptions, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { startProgress } from './progress.js';

const DEFAULT_URL = 'http://localhost:5000';
/** Between two packets; an import may take its time. */
const SILENCE_MS = 600_000;

/** An error answer, with the server's text. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The API of the server that SWITCHYARD_URL names, with the key of SWITCHYARD_KEY. */
export class ApiClient {
  readonly #base: URL;
  readonly #key: string | undefined;

  /** @throws TypeError for text that is not an http(s) URL. */
  constructor({ SWITCHYARD_URL = DEFAULT_URL, SWITCHYARD_KEY }: NodeJS.ProcessEnv) {
    if (!URL.canParse(SWITCHYARD_URL) || !/^https?:$/.test(new URL(SWITCHYARD_URL).protocol))
      throw new TypeError('SWITCHYARD_URL must be an http(s) URL');
    this.#base = new URL(SWITCHYARD_URL);
    this.#key = SWITCHYARD_KEY;
  }

  /** @returns the answer's JSON; `undefined` without a body. */
  async json(method: string, pathname: string, body?: unknown): Promise<unknown> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = text === undefined ? {} : { 'Content-Type': 'application/json' };
    const answer = await this.#send(method, pathname, headers, (request) => request.end(text));
    return parsed(await textOf(answer));
  }

  /** The answer as a stream. */
  async stream(pathname: string, to: NodeJS.WritableStream): Promise<void> {
    const answer = await this.#send('GET', pathname, {}, (request) => request.end());
    await pipeline(answer, to, { end: to !== process.stdout });
  }

  /** Streams a file as a form's field `file`. */
  async upload(pathname: string, file: string): Promise<unknown> {
    const boundary = `switchyard-${process.pid}-${Date.now()}`;
    const name = path.basename(file).replaceAll(/["\r\n]/g, '_');
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\nContent-Type: text/csv\r\n\r\n`;
    const foot = `\r\n--${boundary}--\r\n`;
    const { size } = statSync(file);
    const headers = {
      'Content-Type': `multipart/form-data; boundary=${boundary}`,
      'Content-Length': Buffer.byteLength(head) + size + Buffer.byteLength(foot),
    };
    const progress = startProgress(path.basename(file), size);
    try {
      const answer = await this.#send('POST', pathname, headers, (request) => {
        let sent = 0;
        request.write(head);
        const content = createReadStream(file, { end: Math.max(0, size - 1) });
        content.on('data', (chunk) => {
          sent += chunk.length;
          progress.update(sent);
        });
        content.on('error', (error) => request.destroy(error));
        content.on('end', () => request.end(foot));
        content.pipe(request, { end: false });
      });
      return parsed(await textOf(answer));
    } finally {
      progress.stop();
    }
  }

  #send(
    method: string,
    pathname: string,
    headers: Readonly<Record<string, string | number>>,
    write: (request: ReturnType<typeof requestHttp>) => void,
  ): Promise<IncomingMessage> {
    const url = new URL(pathname.replace(/^\//, ''), `${this.#base.href.replace(/\/$/, '')}/`);
    const key = this.#key === undefined ? {} : { Authorization: `Bearer ${this.#key}` };
    const options: RequestOptions = { method, headers: { ...headers, ...key }, timeout: SILENCE_MS };
    return new Promise((resolve, reject) => {
      const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, options);
      request.on('error', (error) => reject(new Error(`${url.origin}: ${messageOf(error)}`)));
      request.on('timeout', () => request.destroy(new Error('no answer')));
      request.on('response', (answer) => {
        const { statusCode = 0 } = answer;
        if (statusCode >= 200 && statusCode < 300) resolve(answer);
        else
          textOf(answer).then(
            (text) => reject(new RefusedError(statusCode, errorIn(text) ?? `status ${statusCode}`)),
            reject,
          );
      });
      write(request);
    });
  }
}

function messageOf(error: Error & { code?: string }): string {
  return error.message === '' ? (error.code ?? 'failed') : error.message;
}

async function textOf(answer: IncomingMessage): Promise<string> {
  answer.setEncoding('utf8');
  let text = '';
  for await (const part of answer) text += String(part);
  return text;
}

function parsed(text: string): unknown {
  return text === '' ? undefined : JSON.parse(text);
}

function errorIn(text: string): string | undefined {
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    return typeof error === 'string' ? error : undefined;
  } catch {
    return undefined;
  }
}
