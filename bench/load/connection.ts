import { connect, type Socket } from 'node:net';

export interface ConnectionEvents {
  readonly onAnswer: (connection: HttpConnection, status: number) => void;
  readonly onBroken: (connection: HttpConnection) => void;
}

/**
 * A whole request as it goes over the wire.
 * @param line Its path, and perhaps headers behind it, a tab before each.
 */
export function requestText(
  load: { readonly port: number; readonly method?: string; readonly body?: string },
  line: string,
): string {
  const [path, ...headers] = line.split('\t');
  const given = headers.map((header) => `${header}\r\n`).join('');
  const head = `${load.method ?? 'GET'} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${load.port}\r\n${given}`;
  if (load.body === undefined) return `${head}\r\n`;
  const length = Buffer.byteLength(load.body);
  return `${head}Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${load.body}`;
}

const HEAD_END = '\r\n\r\n';

/** One keep-alive connection with one request at a time, read with as little work as will do. */
export class HttpConnection {
  /** When the request under way was due. */
  dueMs = 0;
  isBroken = false;
  readonly #socket: Socket;
  readonly #events: ConnectionEvents;
  /** What has come in of an answer that is not complete. */
  #partial = '';

  private constructor(port: number, events: ConnectionEvents) {
    this.#events = events;
    this.#socket = connect({
      host: '127.0.0.1',
      port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(64 * 1024),
        callback: (length: number, buffer: Uint8Array) => {
          this.#read((buffer as Buffer).toString('latin1', 0, length));
          return true;
        },
      },
    });
    const onBroken = (): void => {
      if (this.isBroken) return;
      this.isBroken = true;
      this.#events.onBroken(this);
    };
    this.#socket.on('error', onBroken);
    this.#socket.on('close', onBroken);
  }

  static open(port: number, events: ConnectionEvents): Promise<HttpConnection> {
    const connection = new HttpConnection(port, events);
    return new Promise((resolve, reject) => {
      connection.#socket.once('connect', () => resolve(connection));
      connection.#socket.once('error', reject);
    });
  }

  send(request: string, dueMs: number): void {
    this.dueMs = dueMs;
    this.#socket.write(request, 'latin1');
  }

  close(): void {
    this.isBroken = true;
    this.#socket.destroy();
  }

  #read(text: string): void {
    const answer = this.#partial === '' ? text : this.#partial + text;
    const headEnd = answer.indexOf(HEAD_END);
    const length = headEnd === -1 ? undefined : /content-length: (\d+)/i.exec(answer)?.[1];
    if (headEnd === -1 || answer.length < headEnd + HEAD_END.length + Number(length ?? 0)) {
      this.#partial = answer;
      return;
    }
    this.#partial = '';
    this.#events.onAnswer(this, Number(answer.slice(9, 12)));
  }
}
