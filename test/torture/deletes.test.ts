import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { startLoad } from '../support/clients/load.js';
import { eventually } from '../support/machine/wait.js';
import { createUrl, createUser, useServer } from '../support/server/suite.js';
import { Random, report, rounds, seed, timeout } from './torture.js';

const suite = useServer({ GATEWAY_THREADS: '2' });

describe(`deletes while clicks come in (seed ${seed})`, () => {
  const deletes = rounds(30, 1000);

  it(`${deletes} users and links: no orphan, no deadlock, counters right`, timeout(deletes, 1), async () => {
    const random = new Random('deletes');
    const { server, database } = suite;
    const kept = await Promise.all(Array.from({ length: 5 }, () => createUrl(server)));
    const answers: number[] = [];
    let redirects = 0;
    let refused = 0;
    for (let done = 0; done < deletes; ) {
      const users = await Promise.all(Array.from({ length: 4 }, () => createUser(server)));
      const urls = await Promise.all(
        Array.from({ length: 16 }, (_, index) =>
          createUrl(server, { user_id: users[index % 4]?.id as number }),
        ),
      );
      const load = startLoad(
        server.port,
        [...urls, ...kept].map((url) => url.short_code),
        12,
      );
      await eventually(() => load.total() > 100);
      const doomed = [
        ...users.slice(0, 3).map(({ id }) => `/users/${id}`),
        ...urls.slice(8).map(({ id }) => `/urls/${id}`),
      ];
      await Promise.all(
        doomed.map(async (path) => {
          await sleep(random.between(0, 150));
          answers.push((await server.fetch(path, { method: 'DELETE' })).status);
        }),
      );
      done += doomed.length;
      await load.stop();
      redirects += load.total();
      refused += load.statuses.get(404) ?? 0;
      expect(new Set([...load.statuses.keys(), 302, 404])).toEqual(new Set([302, 404]));
    }
    // A link that went with its user is not there to be deleted again; nothing else goes wrong.
    expect(new Set(answers)).toEqual(new Set([204, 404]));
    await eventually(async () => {
      const metrics = await (await server.fetch('/metrics')).text();
      return /^switchyard_clicks_pending 0$/m.test(metrics);
    });
    const orphans = await database.query(
      `SELECT id FROM events AS e
       WHERE (url_id IS NOT NULL AND NOT EXISTS (SELECT FROM short_urls WHERE id = e.url_id))
          OR (user_id IS NOT NULL AND NOT EXISTS (SELECT FROM users WHERE id = e.user_id))`,
    );
    expect(orphans).toEqual([]);
    const wrong = await database.query(
      `SELECT id FROM short_urls AS u
       WHERE click_count <> (SELECT count(*) FROM events WHERE url_id = u.id AND event_type = 'click')`,
    );
    expect(wrong).toEqual([]);
    const metrics = await (await server.fetch('/metrics')).text();
    const number = (name: string): number => Number(metrics.match(new RegExp(`^${name} (\\d+)$`, 'm'))?.[1]);
    // Every redirect is in the database, or was dropped with its link, or deleted with it afterwards.
    expect(number('switchyard_clicks_ingested_total') + number('switchyard_clicks_dropped_total')).toBe(
      redirects,
    );
    expect(number('switchyard_clicks_lost_total')).toBe(0);
    expect(refused).toBeGreaterThan(0);
    expect(server.logs.filter((entry) => entry.levelname === 'ERROR')).toEqual([]);
    report({
      run: 'users and links deleted under load',
      faults: answers.filter((status) => status === 204).length,
      redirects,
      unknown: 0,
      clicks: number('switchyard_clicks_ingested_total'),
      lost: number('switchyard_clicks_dropped_total'),
      twice: 0,
    });
  });
});
