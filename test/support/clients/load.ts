import { Agent, get } from 'node:http';

export interface Load {
  /** Redirects answered so far, by short code. */
  readonly redirects: Map<string, number>;
  /** The same, by target. */
  readonly targets: Map<string, number>;
  /** Answers by status; 0 for a connection that broke. */
  readonly statuses: Map<number, number>;
  readonly total: () => number;
  stop(): Promise<void>;
}

/**
 * Visitors on `connections` keep-alive connections, each following one link after the other.
 * @param pauseMs Between two of one visitor's.
 */
export function startLoad(port: number, codes: readonly string[], connections = 8, pauseMs = 0): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const redirects = new Map<string, number>();
  const targets = new Map<string, number>();
  const statuses = new Map<number, number>();
  let isOver = false;
  const visit = (code: string): Promise<number> =>
    new Promise((resolve) => {
      const request = get({ host: '127.0.0.1', port, path: `/${code}`, agent }, (response) => {
        response.resume();
        response.on('end', () => {
          const { location } = response.headers;
          if (location !== undefined) targets.set(location, (targets.get(location) ?? 0) + 1);
          resolve(response.statusCode ?? 0);
        });
        response.on('error', () => resolve(0));
      });
      request.on('error', () => resolve(0));
    });
  const visitor = async (first: number): Promise<void> => {
    for (let index = first; !isOver; index += 1) {
      const code = codes[index % codes.length] ?? '';
      const status = await visit(code);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (status === 302) redirects.set(code, (redirects.get(code) ?? 0) + 1);
      // A dead server refuses at once; without a pause we would only spin.
      const pause = status === 0 ? 5 : pauseMs;
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
    }
  };
  const visitors = Array.from({ length: connections }, (_, index) => visitor(index));
  return {
    redirects,
    targets,
    statuses,
    total: () => [...redirects.values()].reduce((sum, count) => sum + count, 0),
    stop: async () => {
      isOver = true;
      await Promise.all(visitors);
      agent.destroy();
    },
  };
}
