import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { askWithoutReading } from '../support/clients/unread.js';
import { peakWhile, residentBytes } from '../support/machine/memory.js';
import { eventually } from '../support/machine/wait.js';
import { createUrl, useServer } from '../support/server/suite.js';
import { report, rounds, settled, timeout, totalOf } from './torture.js';

const suite = useServer({ GATEWAY_THREADS: '1' });

/** As long a target as a link may have: what is asked for is some 200 times longer than the question. */
const TARGET = `https://example.com/${'x'.repeat(8000)}`;
/** Some 495 kB of requests. */
const REQUESTS = 13_000;

const MIB = 1024 * 1024;
/** What the library may keep of one connection, and room for all else that the process does. */
const PER_CONNECTION = 2 * MIB;
const BASE = 64 * MIB;
/** The kernel holds some megabytes of answers for two sockets. */
const MAX_ANSWERS = REQUESTS / 3;

describe.runIf(process.platform === 'linux')('requests in a row whose answers nobody reads', () => {
  const connections = rounds(6, 60);

  it(
    `on ${connections} connections at once cost some memory each, and hold up nobody`,
    timeout(connections, 2),
    async () => {
      const { server, database } = suite;
      const { short_code: code } = await createUrl(server, { original_url: TARGET });
      await (await server.fetch(`/${code}`, { redirect: 'manual' })).arrayBuffer();
      const before = residentBytes(server.pid);
      const waits: number[] = [];
      let isOver = false;
      const beat = async (): Promise<void> => {
        while (!isOver) {
          const startMs = performance.now();
          const health = await server.fetch('/health', { signal: AbortSignal.timeout(10_000) });
          expect(health.status).toBe(200);
          waits.push(performance.now() - startMs);
          await sleep(5);
        }
      };
      const peak = await peakWhile(server.pid, async () => {
        const beating = beat();
        const sockets = Array.from({ length: connections }, () =>
          askWithoutReading(server.port, code, REQUESTS),
        );
        await eventually(async () => {
          const text = await (await server.fetch('/metrics')).text();
          return Number(/^switchyard_connections_unread_total (\d+)$/m.exec(text)?.[1]) === connections;
        });
        for (const socket of sockets) socket.destroy();
        isOver = true;
        await beating;
      });
      const growth = peak - before;
      const clicks = totalOf(await settled(database, 1));
      console.log(
        `measured: ${connections} connections, at most ${(growth / MIB).toFixed(1)} MiB more;`,
        `${waits.length} calls of /health, the slowest ${Math.max(...waits).toFixed(0)} ms; ${clicks} clicks`,
      );
      report({
        run: `${connections} connections whose answers nobody reads`,
        faults: connections,
        redirects: 1,
        unknown: connections * REQUESTS,
        clicks,
        lost: 0,
        twice: 0,
      });
      expect(growth).toBeLessThan(BASE + connections * PER_CONNECTION);
      expect(clicks).toBeLessThan(connections * MAX_ANSWERS);
    },
  );
});
