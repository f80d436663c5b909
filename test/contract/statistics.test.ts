import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { isTimeZone } from '../../src/api/intervals.js';
import { clientOptions } from '../../src/postgres/pool.js';
import { sumBusyLinks } from '../../src/store/stats-sums.js';
import type { Statistics, Url } from '../support/clients/answers.js';
import { countBySql, counted, settled, statisticsOf } from '../support/clients/statistics.js';
import { eventually } from '../support/machine/wait.js';
import { click, createUrl, useServer } from '../support/server/suite.js';

const suite = useServer();
const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
const FACTS = 'country,referrer,browser,os,device';
let link: Url;

/** An event of the link at a time of the past, by hand. */
async function note(at: string, details: object = {}, type = 'click', id = link.id): Promise<void> {
  await suite.database.query(
    `INSERT INTO events (url_id, event_type, "timestamp", details) VALUES ($1, $2, $3, $4)`,
    [id, type, at, details],
  );
}

beforeAll(async () => {
  link = await createUrl(suite.server);
});

const hoursAgo = (hours: number): string => new Date(Date.now() - hours * 3_600_000).toISOString();

describe('parameters', () => {
  it.each([
    ['from=yesterday', "'from' must be an ISO 8601 time"],
    ['from=', "'from' must be an ISO 8601 time"],
    ['from=1767225600', "'from' must be an ISO 8601 time"],
    ['to=1%20Jan%202026', "'to' must be an ISO 8601 time"],
    ['to=2026-13-01', "'to' must be an ISO 8601 time"],
    ['from=2026-01-02&to=2026-01-01', "'from' must be before 'to'"],
    ['from=2026-01-02&to=2026-01-02', "'from' must be before 'to'"],
    ['interval=year', "'interval' must be minute, hour, day, week or month"],
    ['interval=Day', "'interval' must be minute, hour, day, week or month"],
    ['timezone=Europe/Atlantis', "'timezone' must be a name of the IANA time zone database"],
    ['timezone=%2B02:00', "'timezone' must be a name of the IANA time zone database"],
    ['timezone=-0500', "'timezone' must be a name of the IANA time zone database"],
    ['timezone=UTC%2B1', "'timezone' must be a name of the IANA time zone database"],
    ['timezone=', "'timezone' must be a name of the IANA time zone database"],
    ['limit=0', "'limit' must be an integer from 1 to 100"],
    ['limit=101', "'limit' must be an integer from 1 to 100"],
    ['limit=ten', "'limit' must be an integer from 1 to 100"],
    [
      'from=2020-01-01&to=2026-01-01&interval=day',
      "'interval' must be longer: there are more than 2000 intervals between 'from' and 'to'",
    ],
    [
      'from=2026-01-01&to=2026-03-26T08:00:01&interval=hour',
      "'interval' must be longer: there are more than 2000 intervals between 'from' and 'to'",
    ],
    [
      'from=2026-01-01&to=2026-01-01T00:10&interval=minute',
      "'interval' must not be minute where 'from' is more than 24 hours ago",
    ],
  ])('refuses %s', async (query, error) => {
    for (const path of ['/stats', `/urls/${link.id}/stats`] as const)
      expect(await suite.server.json(`${path}?${query}`)).toEqual({ status: 400, body: { error } });
  });

  it('refuses values to count by that the route has not', async () => {
    const ofLink = "'by' must be a list of country, referrer, browser, os or device";
    const ofAll = "'by' must be a list of country, referrer, browser, os, device or code";
    for (const by of ['code', 'city', '', 'country,'])
      expect((await suite.server.json(`/urls/${link.id}/stats?by=${by}`)).body).toEqual({ error: ofLink });
    for (const by of ['city', 'COUNTRY'])
      expect((await suite.server.json(`/stats?by=${by}`)).body).toEqual({ error: ofAll });
  });

  it('refuses an unknown link', async () => {
    for (const id of ['4000000000', '99999999999999999999'])
      expect(await suite.server.json(`/urls/${id}/stats`)).toEqual({
        status: 404,
        body: { error: 'URL not found' },
      });
  });

  it('defaults: 30 days up to now, in UTC, nothing counted by', async () => {
    for (const path of ['/stats', `/urls/${link.id}/stats`] as const) {
      const found = await statisticsOf(suite.server, path);
      expect(Object.keys(found)).toEqual([
        'from',
        'to',
        'interval',
        'timezone',
        'as_of',
        'clicks',
        'previews',
        'series',
      ]);
      expect(found).toMatchObject({ interval: 'day', timezone: 'UTC', as_of: time });
      // 30 days from the midst of a day to the midst of a day.
      expect(found.series).toHaveLength(31);
      expect(Date.parse(`${found.to}Z`) - Date.parse(`${found.from}Z`)).toBe(31 * 86_400_000);
      expect(found.series.map(({ start }) => start.slice(11))).toEqual(Array(31).fill('00:00:00'));
    }
  });

  it.each([
    [hoursAgo(2), undefined, 'minute'],
    [hoursAgo(20), undefined, 'hour'],
    ['2026-01-01', '2026-01-01T02:00', 'hour'],
    ['2026-01-01', '2026-01-09T08:00', 'hour'],
    ['2026-01-01', '2026-01-09T08:00:01', 'day'],
    ['2026-01-01', '2026-07-20', 'day'],
    ['2026-01-01', '2026-07-21', 'week'],
    ['2016-01-01', '2026-01-01', 'month'],
    ['1900-01-01', '2026-01-01', 'month'],
  ])('from %s to %s the interval is the finest that gives 200 points: %s', async (from, to, interval) => {
    const found = await statisticsOf(suite.server, '/stats', to === undefined ? { from } : { from, to });
    expect(found.interval).toBe(interval);
    if (from !== '1900-01-01') expect(found.series.length).toBeLessThanOrEqual(200);
  });

  it.each([
    ['minute', 'UTC', hoursAgo(3).slice(0, 19), 1],
    ['hour', 'Asia/Kathmandu', '2026-05-05T10:20:30', 2],
    ['day', 'America/New_York', '2026-03-08T12:00:00', 1],
    ['week', 'Europe/Berlin', '2026-01-01T12:00:00', 1],
    ['month', 'Pacific/Auckland', '2026-01-31T11:30:00', 1],
  ] as const)('moves from and to out to whole intervals: %s, %s', async (interval, timezone, from, count) => {
    const to = new Date(Date.parse(`${from}Z`) + (interval === 'hour' ? 3_600_000 : 1)).toISOString();
    const found = await statisticsOf(suite.server, '/stats', { from, to, interval, timezone });
    expect(found.series).toHaveLength(count);
    expect(found.series[0]?.start).toBe(found.from);
    const ends = {
      minute: [`${from.slice(0, 16)}:00`, undefined],
      hour: ['2026-05-05T10:15:00', '2026-05-05T12:15:00'],
      day: ['2026-03-08T05:00:00', '2026-03-09T04:00:00'],
      week: ['2025-12-28T23:00:00', '2026-01-04T23:00:00'],
      month: ['2026-01-31T11:00:00', '2026-02-28T11:00:00'],
    } as const;
    const [first, last] = ends[interval];
    expect(found.from).toBe(first);
    if (last !== undefined) expect(found.to).toBe(last);
  });

  it('to at the end of an interval is not moved', async () => {
    const found = await statisticsOf(suite.server, '/stats', {
      from: '2026-02-01',
      to: '2026-02-03',
      interval: 'day',
    });
    expect([found.from, found.to, found.series.length]).toEqual([
      '2026-02-01T00:00:00',
      '2026-02-03T00:00:00',
      2,
    ]);
  });

  it('2,000 intervals are not too many', async () => {
    const found = await statisticsOf(suite.server, '/stats', {
      from: '2026-01-01',
      to: '2026-03-25T08:00',
      interval: 'hour',
    });
    expect(found.series).toHaveLength(2000);
  });

  it('from and to have a zone of their own, whatever timezone says', async () => {
    const found = await statisticsOf(suite.server, '/stats', {
      from: '2026-02-01T00:30:00+02:00',
      to: '2026-02-01T01:00:00Z',
      interval: 'hour',
      timezone: 'Europe/Berlin',
    });
    expect([found.from, found.to]).toEqual(['2026-01-31T22:00:00', '2026-02-01T01:00:00']);
  });

  it('every name of the IANA database is a time zone, old ones too', async () => {
    const names = await suite.database.query<{ name: string }>(
      `SELECT name FROM pg_timezone_names WHERE name !~ '^(posix|right)/' AND name NOT IN ('Factory', 'localtime', 'posixrules')`,
    );
    expect(names.length).toBeGreaterThan(500);
    expect(names.map(({ name }) => name).filter((name) => !isTimeZone(name))).toEqual([]);
  });
});

describe('what is counted', () => {
  it('clicks and previews of redirects and of POST, with what is not listed in other', async () => {
    const { server, database } = suite;
    const url = await createUrl(server);
    await click(server, url.short_code);
    for (const [country, times] of [
      ['DE', 3],
      ['FR', 2],
      ['AT', 2],
      ['CH', 1],
    ] as const) {
      for (let n = 0; n < times; n += 1)
        await server.post('/events', { event_type: 'click', url_id: url.id, details: { country } });
    }
    await server.post('/events', {
      event_type: 'preview',
      url_id: url.id,
      details: { country: 'CH', os: 'X' },
    });
    await server.post('/events', { event_type: 'noted', url_id: url.id, details: { country: 'DE' } });
    await server.post('/events', { event_type: 'click', details: { country: 'DE' } });
    const parameters = { by: 'country,os', limit: '2' };
    await server.json(`/events?url_id=${url.id}`);
    const found = await statisticsOf(server, `/urls/${url.id}/stats`, parameters);
    expect(found).toMatchObject({ clicks: 9, previews: 1 });
    expect(found.series.at(-1)).toMatchObject({ clicks: 9, previews: 1 });
    expect(found.by).toEqual({
      country: [
        { value: 'DE', clicks: 3, previews: 0 },
        { value: 'AT', clicks: 2, previews: 0 },
      ],
      os: [
        { value: null, clicks: 9, previews: 0 },
        { value: 'X', clicks: 0, previews: 1 },
      ],
    });
    expect(found.other).toEqual({ country: { clicks: 4, previews: 1 }, os: { clicks: 0, previews: 0 } });
    await settled(database);
    const all = await statisticsOf(server, '/stats', { by: `${FACTS},code`, limit: '100' });
    expect(all.by?.code?.find(({ value }) => value === url.short_code)).toEqual({
      value: url.short_code,
      clicks: 9,
      previews: 1,
    });
    const { expected, given } = await countBySql(database, all, counted.all);
    expect(given).toEqual(expected);
  });

  it('details that hold what no text can, or are no object', async () => {
    const { database } = suite;
    const at = '2025-05-05 05:05:05';
    for (const details of [
      '{"country":"D\\u0000E"}',
      '{"country":"\\u00e9"}',
      '{"country":"DE","title":"\\ud800"}',
      '[]',
      '7',
      '{"country":null}',
      '{"country":{"code":1}}',
      `{"country":"${'x'.repeat(5000)}"}`,
      '{"country":""}',
    ]) {
      await database.query(
        `INSERT INTO events (url_id, event_type, "timestamp", details) VALUES ($1, 'click', $2, $3)`,
        [link.id, at, details],
      );
    }
    await settled(database);
    for (const path of ['/stats', `/urls/${link.id}/stats`] as const) {
      const { by } = await statisticsOf(suite.server, path, {
        from: '2025-05-05',
        to: '2025-05-06',
        by: 'country',
      });
      expect(by?.country).toEqual([
        { value: null, clicks: 5, previews: 0 },
        { value: '', clicks: 1, previews: 0 },
        { value: 'x'.repeat(255), clicks: 1, previews: 0 },
        { value: '{"code":1}', clicks: 1, previews: 0 },
        { value: 'é', clicks: 1, previews: 0 },
      ]);
    }
    // No count by SQL can read them.
    await database.query('DELETE FROM events WHERE "timestamp" = $1', [at]);
  });

  it('a link with many clicks is answered from sums of its own, which equal a count too', async () => {
    const { server, database } = suite;
    const url = await createUrl(server);
    const happen = async (minutes: number): Promise<void> => {
      await database.query(
        `INSERT INTO events (url_id, event_type, "timestamp", details)
         SELECT $1, CASE WHEN n % 5 = 0 THEN 'preview' ELSE 'click' END,
                now() AT TIME ZONE 'utc' - n * interval '1 minute' * $2::integer,
                CASE WHEN n % 3 = 0 THEN '{}' ELSE json_build_object('country', n % 3, 'os', n % 2) END
         FROM generate_series(1, 200) AS n`,
        [url.id, minutes],
      );
    };
    await happen(1);
    await happen(700);
    const client = new pg.Client(clientOptions(database.address, 'test', 20_000));
    await client.connect();
    try {
      await database.query('UPDATE link_clicks SET clicks = 10001 WHERE link_id = $1', [url.id]);
      await eventually(async () => {
        await sumBusyLinks(client);
        return (
          (await database.query('SELECT FROM stats_summed_links WHERE url_id = $1', [url.id])).length > 0
        );
      });
    } finally {
      await client.end();
    }
    await happen(300);
    await settled(database);
    for (const range of [
      { from: hoursAgo(3), interval: 'minute' },
      { from: hoursAgo(1900), timezone: 'Asia/Kathmandu', interval: 'hour' },
      { from: hoursAgo(3000), timezone: 'America/St_Johns' },
    ]) {
      const found = await statisticsOf(server, `/urls/${url.id}/stats`, {
        ...range,
        by: FACTS,
        limit: '100',
      });
      const { expected, given } = await countBySql(database, found, counted.link(url.id));
      expect(given).toEqual(expected);
      expect(found.clicks).toBeGreaterThan(0);
    }
  });

  it('1,000 values a day of a fact are kept; what has others is in other', async () => {
    const { server, database } = suite;
    const note = (from: number, to: number, type: string): Promise<unknown[]> =>
      database.query(
        `INSERT INTO events (url_id, event_type, "timestamp", details)
         SELECT $1, $2, '2024-04-04 12:00:00', json_build_object('referrer', 'r' || n) FROM generate_series($3::integer, $4::integer) AS n`,
        [link.id, type, from, to],
      );
    await note(1, 900, 'click');
    await settled(database);
    await note(851, 1100, 'preview');
    await settled(database);
    const range = { from: '2024-04-04', to: '2024-04-05', by: 'referrer,country', limit: '2' };
    const [kept] = await database.query(
      `SELECT count(DISTINCT fact)::integer AS n, sum(clicks)::integer AS clicks, sum(previews)::integer AS previews
       FROM (SELECT unnest(facts) AS fact, unnest(clicks) AS clicks, unnest(previews) AS previews FROM stats_slots
             WHERE kind = 'f' AND first_key = 0 AND step = 'D' AND slot = '2024-04-04') AS entries WHERE fact LIKE 'r%'`,
    );
    expect(kept).toEqual({ n: 1000, clicks: 900, previews: 150 });
    const found = await statisticsOf(server, '/stats', range);
    expect(found).toMatchObject({ clicks: 900, previews: 250 });
    expect(found.by?.referrer?.map(({ value, clicks }) => [value, clicks])).toEqual([
      ['r1', 1],
      ['r10', 1],
    ]);
    expect(found.other?.referrer).toEqual({ clicks: 898, previews: 250 });
    expect(found.by?.country).toEqual([{ value: null, clicks: 900, previews: 250 }]);
    // What was never kept is taken off of no value.
    await database.query(`DELETE FROM events WHERE "timestamp" = '2024-04-04 12:00:00'`);
    await settled(database);
    const [left] = await database.query(
      `SELECT count(*)::integer AS n
       FROM (SELECT kind, step, slot, unnest(keys) AS key, unnest(facts) AS fact, unnest(clicks) AS clicks,
                    unnest(previews) AS previews
             FROM stats_slots WHERE slot::date = '2024-04-04') AS entries
       GROUP BY kind, step, slot, key, fact HAVING sum(clicks) <> 0 OR sum(previews) <> 0`,
    );
    expect(left).toBeUndefined();
  });

  it('as_of goes on while nothing happens, and what was answered before it is in', async () => {
    const { server, database } = suite;
    const { clicks: before } = await statisticsOf(server, '/stats', { from: '2026-01-01' });
    await server.post('/events', { event_type: 'click', url_id: link.id });
    const [now] = await database.query<{ now: string }>(
      `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') AS now`,
    );
    const deadline = Date.now() + 15_000;
    let found: Statistics;
    do found = await statisticsOf(server, '/stats', { from: '2026-01-01' });
    while (found.as_of <= (now?.now ?? '') && Date.now() < deadline);
    expect(found.as_of > (now?.now ?? '')).toBe(true);
    expect(found.clicks).toBe(before + 1);
  });

  it('503 until the sums of older events are built, which a server does by itself', async () => {
    const { server, database } = suite;
    await note('2025-06-06 06:06:06', { country: 'DE' });
    // Held by another server, as it were.
    await database.query('BEGIN');
    await database.query('SELECT pg_advisory_xact_lock($1)', [0x5357_0003]);
    await database.query('COMMIT');
    await database.query('SELECT pg_advisory_lock($1)', [0x5357_0003]);
    try {
      await database.query(`UPDATE stats_state SET is_whole = false`);
      await database.query('DELETE FROM stats_slots');
      expect(await server.json('/stats')).toEqual({
        status: 503,
        body: { error: 'Statistics are being built' },
      });
      // The events of one link are counted as they are.
      expect((await server.json(`/urls/${link.id}/stats`)).status).toBe(200);
    } finally {
      await database.query('SELECT pg_advisory_unlock($1)', [0x5357_0003]);
    }
    await settled(database);
    const found = await statisticsOf(server, '/stats', {
      from: '2025-01-01',
      by: `${FACTS},code`,
      limit: '100',
    });
    const { expected, given } = await countBySql(database, found, counted.all);
    expect(given).toEqual(expected);
    const metrics = await (await server.fetch('/metrics')).text();
    expect(metrics).toContain('switchyard_stats_queue_rows');
  });
});

describe('time zones', () => {
  // Both changes of the clock in each; Kathmandu has none, and is 45 minutes off the hour.
  it.each([
    ['Asia/Kathmandu', ['2025-04-01', '2025-10-01']],
    ['Australia/Lord_Howe', ['2025-04-05', '2025-10-04']],
    ['America/St_Johns', ['2025-03-08', '2025-11-01']],
    ['Africa/Cairo', ['2025-04-24', '2025-10-30']],
    ['US/Eastern', ['2025-03-08', '2025-11-01']],
  ])('%s: hours, days, weeks and months equal a count by SQL', async (timezone, changes) => {
    const { server, database } = suite;
    const zoned = await createUrl(server);
    for (const day of changes) {
      // Every 7 minutes of three days, so that each half hour has its own number.
      await database.query(
        `INSERT INTO events (url_id, event_type, "timestamp", details)
         SELECT $1, CASE WHEN n % 5 = 0 THEN 'preview' ELSE 'click' END, $2::timestamp + n * interval '7 minutes',
                json_build_object('country', n % 3)
         FROM generate_series(0, 617) AS n`,
        [zoned.id, day],
      );
    }
    await settled(database);
    for (const path of ['/stats', `/urls/${zoned.id}/stats`] as const) {
      const condition = path === '/stats' ? counted.all : counted.link(zoned.id);
      for (const day of changes) {
        const to = new Date(Date.parse(day) + 3 * 86_400_000).toISOString();
        const hours = await statisticsOf(server, path, {
          from: day,
          to,
          interval: 'hour',
          timezone,
          by: 'country',
        });
        const { expected, given } = await countBySql(database, hours, condition);
        expect(given).toEqual(expected);
        // Nothing is between two intervals or in both.
        expect(
          hours.series.every(
            ({ start }, index) => index === 0 || start > (hours.series[index - 1]?.start ?? ''),
          ),
        ).toBe(true);
      }
      for (const interval of ['day', 'week', 'month']) {
        const found = await statisticsOf(server, path, {
          from: '2025-03-01',
          to: '2025-12-01',
          interval,
          timezone,
          by: 'country',
          limit: '100',
        });
        const { expected, given } = await countBySql(database, found, condition);
        expect(given).toEqual(expected);
      }
    }
  });

  it('a change of half an hour begins an hour of its own', async () => {
    const { series } = await statisticsOf(suite.server, '/stats', {
      from: '2026-04-04T13:00',
      to: '2026-04-04T17:00',
      interval: 'hour',
      timezone: 'Australia/Lord_Howe',
    });
    // 02:00 at +11 becomes 01:30 at +10:30.
    expect(series.map(({ start }) => start.slice(11, 16))).toEqual([
      '13:00',
      '14:00',
      '15:00',
      '15:30',
      '16:30',
    ]);
  });
});
