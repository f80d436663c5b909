import { Agent, request } from 'node:http';

export interface Traffic {
  /** Answers so far, by `METHOD status`; status 0 for a connection that broke. */
  readonly answers: ReadonlyMap<string, number>;
  /** Bodies of a few answers with status 400 and above. */
  readonly complaints: readonly string[];
  readonly total: () => number;
  stop(): Promise<void>;
}

/** Visitors who follow links, and clients who read and create, all over keep-alive connections. */
export function startTraffic(port: number, codes: readonly string[], clients = 8): Traffic {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const answers = new Map<string, number>();
  const complaints: string[] = [];
  let isOver = false;

  const send = (method: string, path: string, body = ''): Promise<number> =>
    new Promise((resolve) => {
      const headers = body === '' ? {} : { 'content-type': 'application/json' };
      const sent = request({ host: '127.0.0.1', port, path, method, agent, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          if (status >= 400 && complaints.length < 20) complaints.push(`${method} ${path} ${status} ${text}`);
          resolve(status);
        });
        response.on('error', () => resolve(0));
      });
      sent.on('error', () => resolve(0));
      sent.end(body);
    });

  const client = async (first: number): Promise<void> => {
    for (let index = first; !isOver; index += 1) {
      const code = codes[index % codes.length] ?? '';
      // One in ten creates, one in ten reads: enough of both to hit every moment of a restart.
      const kind = index % 10;
      const [method, path, body] =
        kind === 0
          ? ['POST', '/urls', '{"original_url":"https://example.com/made-meanwhile"}']
          : kind === 1
            ? ['GET', '/urls?page=1&per_page=1', '']
            : ['GET', `/${code}`, ''];
      const status = await send(method as string, path as string, body);
      const key = `${method} ${status}`;
      answers.set(key, (answers.get(key) ?? 0) + 1);
      if (status === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const running = Array.from({ length: clients }, (_, index) => client(index * 7));
  return {
    answers,
    complaints,
    total: () => [...answers.values()].reduce((sum, count) => sum + count, 0),
    stop: async () => {
      isOver = true;
      await Promise.all(running);
      agent.destroy();
    },
  };
}
