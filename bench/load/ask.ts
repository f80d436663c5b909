import { connect } from 'node:net';

/** One answer as received. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** Of the head and the body together. */
  readonly bytes: number;
}

/** Makes one request on its own connection and returns the whole answer. */
export function ask(port: number, request: string): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    let text = '';
    const timer = setTimeout(() => socket.destroy(new Error('no answer within 10 s')), 10_000);
    socket.setEncoding('latin1');
    socket.once('error', reject);
    socket.once('connect', () => socket.write(request, 'latin1'));
    socket.on('data', (part: string) => {
      text += part;
      const headEnd = text.indexOf('\r\n\r\n');
      if (headEnd === -1) return;
      const answer = parse(text.slice(0, headEnd), text.slice(headEnd + 4));
      if (text.length < headEnd + 4 + Number(answer.headers.get('content-length') ?? 0)) return;
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    });
    socket.once('close', () => reject(new Error(`the connection was closed after: ${text.slice(0, 200)}`)));
  });
}

function parse(head: string, body: string): RawAnswer {
  const [statusLine = '', ...lines] = head.split('\r\n');
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return {
    status: Number(statusLine.split(' ')[1]),
    headers: new Map(headers),
    body,
    bytes: head.length + 4 + body.length,
  };
}
