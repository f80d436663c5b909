import { HttpConnection } from './connection.js';

/**
 * Makes each request once, on this many connections, each as fast as it is answered.
 * @returns the answers that had another status than expected.
 */
export async function walk(
  port: number,
  requests: readonly string[],
  { connections, expected }: { connections: number; expected: number },
): Promise<number> {
  let next = 0;
  let wrong = 0;
  let open = 0;
  let finish: () => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  const done = new Promise<void>((resolve, reject) => {
    finish = resolve;
    fail = reject;
  });
  const sendNext = (connection: HttpConnection): void => {
    const request = requests[next];
    if (request === undefined) {
      connection.close();
      open -= 1;
      if (open === 0) finish();
      return;
    }
    next += 1;
    connection.send(request, 0);
  };
  const all = await Promise.all(
    Array.from({ length: Math.min(connections, requests.length) }, () =>
      HttpConnection.open(port, {
        onAnswer: (connection, status) => {
          if (status !== expected) wrong += 1;
          sendNext(connection);
        },
        onBroken: () => fail(new Error('a connection broke')),
      }),
    ),
  );
  open = all.length;
  if (open === 0) return 0;
  for (const connection of all) sendNext(connection);
  await done;
  return wrong;
}
