import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { bodyOf } from '../support/clients/api-client.js';
import { startLoad } from '../support/clients/load.js';
import { residentBytes } from '../support/machine/memory.js';
import { createUrl, uniqueName, useServer } from '../support/server/suite.js';
import { report, rounds, settled, timeout, totalOf } from './torture.js';

const suite = useServer({ GATEWAY_THREADS: '1' });

const SAMPLE_MS = 500;

/** What is in the middle of the list when it is sorted. */
function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** All that clients do besides visiting, again and again, so that nothing is left behind. */
async function work(isOver: () => boolean): Promise<number> {
  const { server } = suite;
  let done = 0;
  const expectStatus = (status: number, wanted: number): void => {
    if (status !== wanted) throw new Error(`${status} where ${wanted} was expected, after ${done} rounds`);
  };
  for (; !isOver(); done += 1) {
    const link = await createUrl(server, { original_url: `https://example.com/${uniqueName('soak')}` });
    await (await server.fetch(`/${link.short_code}`, { redirect: 'manual' })).arrayBuffer();
    expectStatus((await server.send('PATCH', `/urls/${link.id}`, { title: `round ${done}` })).status, 200);
    expectStatus((await server.json('/events?page=1&per_page=20')).status, 200);
    expectStatus((await server.post('/users', { username: 'x' })).status, 400);
    if (done % 10 === 0) {
      expectStatus((await server.json('/urls')).status, 200);
      const form = new FormData();
      const rows = Array.from({ length: 2000 }, (_, row) => `soaked-${row},${done}@example.com\n`);
      form.append('file', new Blob([`username,email\n${rows.join('')}`]), 'users.csv');
      expectStatus((await server.json('/users/bulk', { method: 'POST', body: form })).status, 201);
      const urls = Array.from({ length: 200 }, () => ({
        original_url: `https://example.com/${'x'.repeat(1000)}`,
      }));
      const { results } = bodyOf(await server.post('/urls/bulk', { urls }), 200);
      const ids = results.map(({ url }) => url?.id);
      expectStatus((await server.send('DELETE', '/urls/bulk', { ids })).status, 200);
    }
    expectStatus((await server.fetch(`/urls/${link.id}`, { method: 'DELETE' })).status, 204);
  }
  return done;
}

describe('a server at work', () => {
  const seconds = rounds(10, 1800);
  /** A short run is still warm from its start in its second half. */
  const mayGrow = rounds(0.25, 0.02);

  it(
    `for ${seconds} s grows by less than ${mayGrow * 100} % in the last half of them`,
    timeout(seconds, 2),
    async () => {
      const { server, database } = suite;
      const links = await Promise.all(Array.from({ length: 50 }, () => createUrl(server)));
      const load = startLoad(
        server.port,
        links.map(({ short_code }) => short_code),
        4,
        2,
      );
      let isOver = false;
      const working = Promise.all([work(() => isOver), work(() => isOver)]);
      // Whoever fails ends the run at once.
      working.catch(() => {
        isOver = true;
      });
      const samples: number[] = [];
      const endMs = performance.now() + seconds * 1000;
      while (!isOver && performance.now() < endMs) {
        samples.push(residentBytes(server.pid));
        await sleep(SAMPLE_MS);
      }
      isOver = true;
      const done = await working;
      await load.stop();
      expect([...load.statuses.keys()]).toEqual([302]);
      const tenth = Math.floor(samples.length / 10);
      const half = median(samples.slice(5 * tenth, 6 * tenth));
      const growth = median(samples.slice(-tenth)) / half - 1;
      const counted = await settled(database, load.total());
      const megabytes = (bytes: number): number => Math.round(bytes / 1e6);
      report({
        run: `soak of ${seconds} s, ${done.reduce((sum, count) => sum + count)} rounds: ${megabytes(half)} MB at half, ${(growth * 100).toFixed(1)} % more at the end`,
        faults: 0,
        redirects: load.total(),
        unknown: load.statuses.get(0) ?? 0,
        clicks: totalOf(counted),
        lost: 0,
        twice: totalOf(counted) - load.total(),
      });
      expect(growth).toBeLessThan(mayGrow);
      // Those on the links that the rounds have deleted are gone with them.
      expect(totalOf(counted)).toBe(load.total());
    },
  );
});
