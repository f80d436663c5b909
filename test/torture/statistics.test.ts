import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Url, User } from '../support/clients/answers.js';
import type { ApiClient } from '../support/clients/api-client.js';
import { ADMIN_KEY, asKey, makeKey } from '../support/clients/keys.js';
import { countBySql, counted, settled, statisticsOf } from '../support/clients/statistics.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { EVENTS_EVER, endNewestChunk } from '../support/database/retention.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { createUrl, createUser } from '../support/server/suite.js';
import { Random, rounds, seed, timeout } from './torture.js';

const FIELDS = 'country,referrer,browser,os,device';
const countries = ['DE', 'FR', 'NP', null, undefined];

let database: TestDatabase;
let server: TestServer;
let admin: ApiClient;
let dataDir: string | undefined;

let starts = 0;

async function start(): Promise<void> {
  starts += 1;
  server = await startServer({
    DATABASE_URL: database.url,
    API_AUTH: 'on',
    ADMIN_KEY,
    // Events are removed that the statistics go on counting: at each start, or all the time.
    ...(starts % 2 === 0 ? { CLICK_EVENTS: 'off' } : { EVENTS_RETENTION_DAYS: '1' }),
    ...(dataDir === undefined ? {} : { DATA_DIR: dataDir }),
  });
  dataDir = server.dataDir;
  admin = asKey(server, ADMIN_KEY);
}

beforeAll(async () => {
  database = await createDatabase();
  await start();
});
afterAll(async () => {
  await server?.stop();
  await database?.drop();
});

describe(`statistics through random histories (seed ${seed})`, () => {
  const steps = rounds(60, 4000);
  const random = new Random('statistics');
  let users: User[] = [];
  let links: Url[] = [];
  /** Of events by hand: of the last days, of other years, of minutes that are kept. */
  const someTime = (): string =>
    random.pick([
      `now() AT TIME ZONE 'utc' - interval '${random.between(0, 3000)} minutes'`,
      `timestamp '2025-03-30' + interval '${random.between(0, 4000)} minutes'`,
      `timestamp '1999-12-31 23:59:59.999'`,
      `timestamp '2100-01-01'`,
      `timestamp 'infinity'`,
    ]);

  const details = (): object => ({
    country: random.pick(countries),
    browser: `browser ${random.between(1, 3)}`,
    referrer: random.pick(['https://example.com/', undefined]),
  });

  const histories: Readonly<Record<string, () => Promise<unknown>>> = {
    'a new link': async () => links.push(await createUrl(admin, ownerOrNone())),
    'a new user': async () => users.push(await createUser(admin)),
    redirects: () =>
      Promise.all(
        Array.from({ length: random.between(1, 20) }, () =>
          server.fetch(`/${random.pick(links).short_code}`, {
            headers: random.pick([{}, { 'sec-purpose': 'prefetch' }]) as Record<string, string>,
          }),
        ),
      ),
    'POST /events': () =>
      admin.post('/events', {
        event_type: random.pick(['click', 'preview', 'noted']),
        url_id: random.pick(links).id,
        details: details(),
        ...(random.next() < 0.5 ? {} : { user_id: random.pick(users).id }),
      }),
    'DELETE /events': async () => {
      for (const { id } of await someEvents()) await admin.json(`/events/${id}`, { method: 'DELETE' });
    },
    'DELETE /urls': async () => {
      const [link] = links.splice(random.between(0, links.length - 1), 1);
      await admin.json(`/urls/${link?.id}`, { method: 'DELETE' });
    },
    'DELETE /urls/bulk': async () => {
      const ids = links.splice(0, 2).map(({ id }) => id);
      await admin.send('DELETE', '/urls/bulk', { ids });
    },
    'DELETE /users': async () => {
      const [user] = users.splice(random.between(0, users.length - 1), 1);
      await admin.json(`/users/${user?.id}`, { method: 'DELETE' });
      // Links that were given to the user by hand are gone too.
      const left = await database.query<{ id: string }>('SELECT id FROM short_urls');
      links = links.filter(({ id }) => left.some((link) => Number(link.id) === id));
    },
    'events by hand': () =>
      database.query(
        `INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
         SELECT $1, NULL, (ARRAY['click', 'preview', 'noted'])[1 + n % 3], ${someTime()}, $2 FROM generate_series(1, 50) AS n`,
        [random.pick(links).id, details()],
      ),
    'events changed by hand': async () => {
      const ids = (await someEvents()).map(({ id }) => id);
      const change = random.pick([
        `url_id = ${random.pick(links).id}`,
        `details = '${JSON.stringify(details())}'`,
        `event_type = 'preview'`,
        'url_id = NULL',
        `"timestamp" = ${someTime()}`,
      ]);
      await database.query(`UPDATE events SET ${change} WHERE id = ANY ($1::bigint[])`, [ids]);
    },
    'events deleted by hand': async () =>
      database.query('DELETE FROM events WHERE id = ANY ($1::bigint[])', [
        (await someEvents()).map(({ id }) => id),
      ]),
    'a link deleted by hand': async () => {
      const [link] = links.splice(random.between(0, links.length - 1), 1);
      await database.query('DELETE FROM short_urls WHERE id = $1', [link?.id]);
    },
    'a link given away by hand': () =>
      database.query('UPDATE short_urls SET user_id = $2 WHERE id = $1', [
        random.pick(links).id,
        random.pick([null, random.pick(users).id]),
      ]),
    'a transaction undone': async () => {
      await database.query('BEGIN');
      await database.query(`INSERT INTO events (url_id, event_type) VALUES ($1, 'click')`, [
        random.pick(links).id,
      ]);
      await database.query('DELETE FROM events WHERE url_id = $1', [random.pick(links).id]);
      await database.query('ROLLBACK');
    },
    'a link that many click': () =>
      // It gets sums of its own as soon as the server looks for such links, which is at its start too.
      database.query('UPDATE link_clicks SET clicks = 20000 WHERE link_id = $1', [links[0]?.id]),
    'the server killed': async () => {
      await server.kill();
      await start();
    },
    'the newest chunk ended': () => endNewestChunk(database),
    'the sums made anew': () => database.query('UPDATE stats_state SET is_whole = false'),
    'TRUNCATE events': async () => {
      // Seldom, for it makes all that was before of no matter.
      if (random.next() < 0.3) await database.query('TRUNCATE events');
    },
  };

  function ownerOrNone(): { user_id?: number } {
    return random.next() < 0.3 ? {} : { user_id: random.pick(users).id };
  }

  function someEvents(): Promise<{ id: string }[]> {
    return database.query(
      `SELECT id FROM events WHERE event_type IN ('click', 'preview') ORDER BY id % ${random.between(2, 97)}, id LIMIT 3`,
    );
  }

  /** Clicks, those of killed servers too, come into the database a little later than their redirects. */
  async function expectEqual(): Promise<void> {
    const deadline = Date.now() + 20_000;
    for (;;) {
      try {
        return await compare();
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
    }
  }

  async function compare(): Promise<void> {
    await settled(database);
    const ranges = [
      {},
      { from: '2025-03-29', to: '2025-04-05', interval: 'hour', timezone: 'Europe/Berlin' },
      { from: '1999-01-01', to: '2101-01-01', interval: 'month', timezone: 'America/St_Johns' },
      { from: new Date(Date.now() - 20 * 3_600_000).toISOString(), interval: 'minute' },
      {
        from: new Date(Date.now() - 5 * 86_400_000).toISOString(),
        interval: 'hour',
        timezone: 'Asia/Kathmandu',
      },
    ];
    const [user] = users;
    const { client: owner } = await makeKey(server, { scopes: ['stats:read'], user_id: user?.id as number });
    for (const range of ranges as Record<string, string>[]) {
      const all = { ...range, limit: '100', by: `${FIELDS},code` };
      const answers = [
        [await statisticsOf(admin, '/stats', all), counted.all],
        [await statisticsOf(owner, '/stats', all), counted.owner(user?.id as number)],
        ...(await Promise.all(
          links.slice(0, 2).map(async ({ id }) => {
            const found = await statisticsOf(admin, `/urls/${id}/stats`, { ...all, by: FIELDS });
            return [found, counted.link(id)] as const;
          }),
        )),
      ] as const;
      for (const [answer, condition] of answers) {
        const { expected, given } = await countBySql(database, answer, condition, EVENTS_EVER);
        expect(given).toEqual(expected);
      }
    }
  }

  it(`equal a count by SQL after ${steps} steps`, timeout(steps, 1), async () => {
    users = await Promise.all([createUser(admin), createUser(admin)]);
    links = await Promise.all([createUrl(admin, ownerOrNone()), createUrl(admin, ownerOrNone())]);
    const names = Object.keys(histories);
    const done: string[] = [];
    for (let step = 1; step <= steps; step += 1) {
      while (users.length < 2) users.push(await createUser(admin));
      while (links.length < 3) links.push(await createUrl(admin, ownerOrNone()));
      // Each once at least; a kill takes longer than all else.
      let name = names[step] ?? random.pick(names);
      if (name === 'the server killed' && step > names.length && random.next() < 0.7) name = 'redirects';
      done.push(name);
      await histories[name]?.();
      if (step % 30 === 0 || step === steps) {
        await expectEqual().catch((error: unknown) => {
          throw new Error(`after ${done.slice(-30).join(', ')}`, { cause: error });
        });
      }
    }
  });

  it('what is gone leaves no trace', async () => {
    await database.query('DELETE FROM events; DELETE FROM short_urls');
    await settled(database);
    const [row] = await database.query(
      `SELECT coalesce(sum(n) FILTER (WHERE key > 0 AND kind <> 'l'), 0) AS owners,
              coalesce(sum(n) FILTER (WHERE key = 0 AND kind = 't'), 0) AS all,
              coalesce(sum(n) FILTER (WHERE key = 0 AND kind = 'f' AND step IN ('m', 'h', 'q')), 0) AS facts
       FROM (SELECT kind, step, key, sum(clicks) + coalesce(sum(previews), 0) AS n
             FROM (SELECT kind, step, slot, unnest(keys) AS key, unnest(offsets) AS place, unnest(facts) AS fact,
                          unnest(clicks) AS clicks, unnest(previews) AS previews FROM stats_slots) AS entries
             GROUP BY kind, step, slot, key, place, fact) AS summed`,
    );
    // Events that were removed after their link was: they count for good.
    const [orphans] = await database.query(
      `SELECT coalesce(sum(clicks + previews), 0) AS n,
              coalesce(sum((clicks + previews) * num_nonnulls(country, referrer, browser, os, device)), 0) AS facts
       FROM dropped_events`,
    );
    expect(row).toEqual({ owners: '0', all: orphans?.n, facts: orphans?.facts });
  });
});
