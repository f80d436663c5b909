import { connect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import type { LiveFigures } from '../../../src/api/live.js';

/** A listener of /stats/live over a raw connection. */
export class LiveListener {
  readonly socket: Socket;
  /** When each event came, by `performance.now`. */
  readonly times: number[] = [];
  readonly events: LiveFigures[] = [];
  #text = '';
  #seen = 0;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      this.#text += chunk;
      this.#read();
    });
    socket.on('error', () => undefined);
  }

  /** Sends the request without waiting; ends with its test. */
  static open(port: number, headers: Readonly<Record<string, string>> = {}): LiveListener {
    const lines = Object.entries({ Host: 'a', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    const socket = connect(port, '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    socket.write(`GET /stats/live HTTP/1.1\r\n${lines.join('')}\r\n`);
    return new LiveListener(socket);
  }

  /** The answer so far, chunk lengths and all. */
  get text(): string {
    return this.#text;
  }

  get status(): number | undefined {
    const [, status] = /^HTTP\/1\.1 (\d+) /.exec(this.#text) ?? [];
    return status === undefined ? undefined : Number(status);
  }

  sum(name: 'redirects' | 'misses' | 'not_found' | 'created'): number {
    return this.events.reduce((sum, event) => sum + event[name], 0);
  }

  #read(): void {
    for (const [, json] of this.#text.slice(this.#seen).matchAll(/data: (\{.*\})\n\n/g)) {
      this.events.push(JSON.parse(json as string) as LiveFigures);
      this.times.push(performance.now());
    }
    const last = this.#text.lastIndexOf('\n\n');
    if (last > this.#seen) this.#seen = last;
  }
}
