import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anyRequest, encode, isDocumented, send } from '../support/clients/fuzz-requests.js';
import { createUrl, createUser, useServer } from '../support/server/suite.js';
import { report, rounds, seed, timeout } from './torture.js';

const suite = useServer({ GATEWAY_THREADS: '2', BODY_DEADLINE_MS: '2000' });

/** Requests that are made at one time, and then sent by several clients. */
const BATCH = 500;
const CLIENTS = 8;

describe('requests of all kinds', () => {
  const batches = rounds(4, 2000);

  it(
    `${batches * BATCH} of them: each has an answer that is documented, and the server none to regret`,
    timeout(batches, 8),
    async () => {
      const { server } = suite;
      for (let count = 0; count < 3; count += 1) {
        const user = await createUser(server);
        await createUrl(server, { user_id: user.id });
      }
      const seen = new Map<number, number>();
      for (let batch = 0; batch < batches; batch += 1) {
        const requests = fc.sample(anyRequest, { numRuns: BATCH, seed: seed + batch }).map(encode);
        const client = async (): Promise<void> => {
          for (let raw = requests.pop(); raw !== undefined; raw = requests.pop()) {
            const answer = await send(server.port, raw);
            seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1);
            if (answer.status < 200 || !isDocumented(answer))
              throw new Error(`${raw.toString('latin1')}\n\nhas the answer\n\n${answer.text.slice(0, 2000)}`);
          }
        };
        await Promise.all(Array.from({ length: CLIENTS }, client));
      }
      expect((await server.fetch('/health')).status).toBe(200);
      // A busy machine may keep PostgreSQL from answering in time, which is no fault of a request's.
      const faults = server.logs.filter(
        ({ levelname, message }) =>
          /^(ERROR|CRITICAL)$/.test(levelname) && !message.startsWith("PostgreSQL can't be reached"),
      );
      expect(faults).toEqual([]);
      // The generator reaches into the routes and not only against their walls.
      for (const status of [200, 201, 400, 404, 405])
        expect(seen.get(status) ?? 0, `${status}`).toBeGreaterThan(10);
      const shares = [...seen].sort(([a], [b]) => a - b).map(([status, count]) => `${status} × ${count}`);
      report({
        run: `${batches * BATCH} fuzzed requests, all documented: ${shares.join(', ')}`,
        faults: 0,
        redirects: seen.get(302) ?? 0,
        unknown: 0,
        clicks: 0,
        lost: 0,
        twice: 0,
      });
    },
  );
});
