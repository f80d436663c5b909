import { connect } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** Sends raw bytes and reads the answer until the other side closes, or the answer is complete. */
export function sendRaw(port: number, bytes: string | Buffer, quietMs = 3000): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    const chunks: Buffer[] = [];
    const end = (): void => {
      socket.destroy();
      resolve(parseAnswer(Buffer.concat(chunks)));
    };
    socket.setTimeout(quietMs, end);
    socket.on('connect', () => socket.write(bytes));
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      if (isComplete(Buffer.concat(chunks))) end();
    });
    socket.on('end', end);
    socket.on('error', (error) => {
      if (chunks.length > 0) end();
      else reject(error);
    });
  });
}

/** Whether the head is complete, and the body has its declared length. */
function isComplete(answer: Buffer): boolean {
  if (!answer.includes('\r\n\r\n')) return false;
  const { headers, body } = parseAnswer(answer);
  const length = headers.get('content-length');
  return length !== undefined && Buffer.byteLength(body, 'latin1') >= Number(length);
}

function parseAnswer(answer: Buffer): RawAnswer {
  const text = answer.toString('latin1').replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
  // To a request without a version (HTTP/0.9) the answer is the body alone.
  if (!text.startsWith('HTTP/')) return { status: 0, headers: new Map(), body: text };
  const [head = '', ...rest] = text.split('\r\n\r\n');
  const [statusLine = '', ...lines] = head.split('\r\n');
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
  return { status: Number(statusLine.split(' ')[1] ?? 0), headers, body: rest.join('\r\n\r\n') };
}
