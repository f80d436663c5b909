import { connect, type Socket } from 'node:net';

/** What clients that count their answers know after a server was killed. */
export interface CountedLoad {
  /** Redirects whose answer arrived whole, by short code. */
  readonly answered: ReadonlyMap<string, number>;
  /** Requests without a whole answer: whether the server answered them is unknown. */
  readonly underWay: ReadonlyMap<string, number>;
  /** Answers that were no 302. */
  readonly others: () => number;
  readonly total: () => number;
  /** Stops sending, waits for answers under way, and ends. */
  stop(): Promise<void>;
  /** Settles when all connections are gone, as after a kill. */
  readonly ended: Promise<void>;
}

const END_OF_HEAD = '\r\n\r\n';

/**
 * Keep-alive connections that follow links one after the other, as fast as they are answered. Each has at
 * most one request under way, and is not reopened.
 * @param pauseMs Between an answer and the next request.
 */
export function startCountedLoad(
  port: number,
  codes: readonly string[],
  connections: number,
  pauseMs = 0,
): CountedLoad {
  const answered = new Map<string, number>();
  const underWay = new Map<string, number>();
  let total = 0;
  let others = 0;
  let isOver = false;
  const count = (map: Map<string, number>, code: string): void => {
    map.set(code, (map.get(code) ?? 0) + 1);
  };
  const run = (first: number): Promise<void> =>
    new Promise((resolve) => {
      const socket: Socket = connect({ host: '127.0.0.1', port, noDelay: true });
      let index = first;
      let code: string | undefined;
      let received = '';
      const next = (): void => {
        if (isOver) {
          socket.end();
          return;
        }
        code = codes[index % codes.length] ?? '';
        index += 1;
        socket.write(`GET /${code} HTTP/1.1\r\nHost: test\r\n\r\n`);
      };
      socket.setEncoding('latin1');
      socket.on('connect', next);
      socket.on('data', (text: string) => {
        received += text;
        if (!received.includes(END_OF_HEAD)) return;
        if (received.startsWith('HTTP/1.1 302')) {
          count(answered, code ?? '');
          total += 1;
        } else {
          others += 1;
        }
        received = '';
        code = undefined;
        if (pauseMs > 0) setTimeout(next, pauseMs);
        else next();
      });
      socket.on('error', () => undefined);
      socket.on('close', () => {
        if (code !== undefined) count(underWay, code);
        resolve();
      });
    });
  const ended = Promise.all(Array.from({ length: connections }, (_, index) => run(index))).then(
    () => undefined,
  );
  return {
    answered,
    underWay,
    others: () => others,
    total: () => total,
    stop: async () => {
      isOver = true;
      await ended;
    },
    ended,
  };
}
