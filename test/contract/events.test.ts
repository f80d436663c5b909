import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { bodyOf } from '../support/clients/api-client.js';
import { eventually } from '../support/machine/wait.js';
import { click, createUrl, createUser, useServer } from '../support/server/suite.js';

const suite = useServer();
const timestamp = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);

describe('POST /events', () => {
  it('creates an event with its details', async () => {
    const { server } = suite;
    const user = await createUser(server);
    const url = await createUrl(server);
    const details = { text: 'Ω "x" \'y\' \\', list: [1, null, { deep: true }], '': '', __proto__: 'own' };
    const body = bodyOf(
      await server.post('/events', {
        event_type: 'noted',
        url_id: url.id,
        user_id: user.id,
        details,
      }),
      201,
    );
    expect(body).toEqual({
      id: expect.any(Number),
      url_id: url.id,
      user_id: user.id,
      event_type: 'noted',
      timestamp,
      details,
    });
    expect((await server.json(`/events/${body.id}`)).body).toEqual(body);
  });

  it('needs nothing but the type', async () => {
    const { status, body } = await suite.server.post('/events', { event_type: 'x'.repeat(50) });
    expect(status).toBe(201);
    expect(body).toEqual({
      id: expect.any(Number),
      url_id: null,
      user_id: null,
      event_type: 'x'.repeat(50),
      timestamp,
      details: {},
    });
  });

  it('keeps numbers in details exactly', async () => {
    const text =
      '{"event_type":"n","details":{"big":12345678901234567890,"small":1.00000000000000000001,"huge":1e400}}';
    const response = await suite.server.fetch('/events', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: text,
    });
    expect(response.status).toBe(201);
    const body = await response.text();
    expect(body).toContain('"big":12345678901234567890');
    expect(body).toContain('"small":1.00000000000000000001');
    expect(body).toContain('"huge":1e400');
  });

  it.each([
    [{}],
    [{ event_type: null }],
    [{ event_type: '' }],
    [{ event_type: '  ' }],
    [{ event_type: 5 }],
    [{ event_type: 'x'.repeat(51) }],
    [{ event_type: 'a\0b' }],
  ])('refuses the type in %j', async (fields) => {
    const { status, body } = await suite.server.post('/events', { details: {}, ...fields });
    expect([status, body]).toEqual([400, { error: "Missing or invalid 'event_type'" }]);
  });

  it.each([[null], [5], ['{}'], [[]], [[{}]], [true]])('refuses the details %j', async (details) => {
    const { status, body } = await suite.server.post('/events', { event_type: 'x', details });
    expect([status, body]).toEqual([400, { error: "'details' must be a JSON object" }]);
  });

  it.each([[{ a: 'x\0y' }], [{ 'x\0y': 1 }], [{ a: ['\ud800'] }]])(
    'refuses the text in the details %j by what is wrong with it',
    async (details) => {
      const { status, body } = await suite.server.post('/events', { event_type: 'x', details });
      const error = "'details' has a NUL character or half a surrogate pair";
      expect([status, body]).toEqual([400, { error }]);
    },
  );

  it('takes details to a depth of 200 and refuses more by name', async () => {
    const nested = (depth: number): string =>
      `{"event_type":"x","details":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`;
    expect((await suite.server.post('/events', nested(199))).status).toBe(201);
    expect(await suite.server.post('/events', nested(201))).toEqual({
      status: 400,
      body: { error: 'JSON is nested too deeply' },
    });
  });

  it('refuses details nested beyond reason', async () => {
    const deep = `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`;
    const { status } = await suite.server.post('/events', `{"event_type":"x","details":${deep}}`);
    expect(status).toBe(400);
  });

  it('knows no such link or user', async () => {
    const { server } = suite;
    const user = await createUser(server);
    expect(await server.post('/events', { event_type: 'x', url_id: 2147483646 })).toEqual({
      status: 404,
      body: { error: 'URL not found' },
    });
    expect(await server.post('/events', { event_type: 'x', user_id: 2147483646 })).toEqual({
      status: 404,
      body: { error: 'User not found' },
    });
    expect(await server.post('/events', { event_type: 'x', user_id: user.id, url_id: -1 })).toEqual({
      status: 404,
      body: { error: 'URL not found' },
    });
  });

  it.each([
    { url_id: '1' },
    { url_id: 1.5 },
    { url_id: {} },
    { user_id: '1' },
    { user_id: [1] },
    { user_id: false },
  ])('refuses the id in %j', async (fields) => {
    expect((await suite.server.post('/events', { event_type: 'x', ...fields })).status).toBe(400);
  });

  it('refuses what is no JSON object', async () => {
    for (const text of ['', '{}', '[]', '1', '{"event_type":"x"', '\xff']) {
      expect(await suite.server.post('/events', text)).toEqual({
        status: 400,
        body: { error: 'Invalid JSON' },
      });
    }
    const response = await suite.server.json('/events', { method: 'POST', body: '{"event_type":"x"}' });
    expect(response).toEqual({ status: 400, body: { error: 'Invalid JSON' } });
  });

  it('refuses bytes that are not UTF-8', async () => {
    const { status } = await suite.server.json('/events', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: Buffer.from('{"event_type":"\xff"}', 'latin1'),
    });
    expect(status).toBe(400);
  });

  it('counts a click that is posted, and forgets one that is deleted', async () => {
    const { server } = suite;
    const url = await createUrl(server);
    const body = bodyOf(await server.post('/events', { event_type: 'click', url_id: url.id }), 201);
    expect((await server.json(`/urls/${url.id}`)).body).toMatchObject({ click_count: 1 });
    await server.fetch(`/events/${body.id}`, { method: 'DELETE' });
    expect((await server.json(`/urls/${url.id}`)).body).toMatchObject({ click_count: 0 });
  });
});

describe('GET /events', () => {
  it('lists the newest first, filters combined', async () => {
    const { server } = suite;
    const user = await createUser(server);
    const other = await createUser(server);
    const url = await createUrl(server, { user_id: user.id });
    await click(server, url.short_code);
    await server.post('/events', { event_type: 'note', url_id: url.id, user_id: other.id });
    await click(server, url.short_code);
    const typesOf = async (query: string): Promise<string[]> => {
      const body = await server.get(`/events?${query}`);
      return body.map((event) => event.event_type);
    };
    expect(await typesOf(`url_id=${url.id}`)).toEqual(['click', 'note', 'click', 'created']);
    expect(await typesOf(`url_id=${url.id}&event_type=click`)).toEqual(['click', 'click']);
    expect(await typesOf(`url_id=${url.id}&user_id=${other.id}`)).toEqual(['note']);
    expect(await typesOf(`user_id=${user.id}&event_type=created`)).toEqual(['created']);
    expect(await typesOf(`url_id=${url.id}&user_id=${other.id}&event_type=click`)).toEqual([]);
    expect(await typesOf(`url_id=${url.id}&page=2&per_page=2`)).toEqual(['click', 'created']);
    expect(await typesOf(`url_id=${url.id}&per_page=1`)).toHaveLength(4);
    expect(await typesOf('event_type=no+such&page=1&per_page=5')).toEqual([]);
    const all = await server.get('/events');
    const times = all.map((event) => event.timestamp);
    expect(times).toEqual([...times].sort().reverse());
  });

  it('lists those from a time on and before another', async () => {
    const { server, database } = suite;
    const url = await createUrl(server);
    await database.query(
      `INSERT INTO events (url_id, event_type, "timestamp")
       SELECT ${url.id}, 'noted', timestamp '2020-01-01' + n * interval '1 hour' + interval '400 ms'
       FROM generate_series(0, 47) AS n`,
    );
    const listed = async (query: string): Promise<string[]> =>
      (await server.get(`/events?event_type=noted&url_id=${url.id}&${query}`)).map(
        (event) => event.timestamp,
      );
    const day = Array.from({ length: 24 }, (_, n) => `2020-01-01T${String(23 - n).padStart(2, '0')}:00:00`);
    expect(await listed('to=2020-01-02')).toEqual(day);
    expect(await listed('from=2020-01-01T00:00:00&to=2020-01-02T00:00:00Z')).toEqual(day);
    expect(await listed('from=2020-01-02T22:00:01')).toEqual(['2020-01-02T23:00:00']);
    expect(await listed('from=2020-01-01T05:00:00%2B03:00&to=2020-01-01T03:00:00')).toEqual([day.at(-3)]);
    expect(await listed('from=2020-01-01&to=2020-01-01T00:00:00.400')).toEqual([]);
    expect(await listed('from=2020-01-01T00:00:00.400&to=2020-01-01T00:00:00.401')).toEqual([day.at(-1)]);
    expect(await listed('to=2020-01-02&page=2&per_page=10')).toEqual(day.slice(10, 20));
    expect(await listed('from=2021-01-01')).toEqual([]);
    const walked: string[] = [];
    let path: string | undefined = `/events?url_id=${url.id}&to=2020-01-02&limit=7`;
    while (path !== undefined) {
      const response = await server.fetch(path);
      walked.push(...((await response.json()) as { timestamp: string }[]).map(({ timestamp }) => timestamp));
      path = /^<(.*)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1];
    }
    expect(walked).toEqual(day);
  });

  it.each([
    ['from=yesterday', "'from' must be an ISO 8601 time"],
    ['from=', "'from' must be an ISO 8601 time"],
    ['from=1577836800', "'from' must be an ISO 8601 time"],
    ['to=2020-02-30', "'to' must be an ISO 8601 time"],
    ['from=2020-01-02&to=2020-01-01', "'from' must be before 'to'"],
    ['from=2020-01-01&to=2020-01-01', "'from' must be before 'to'"],
  ])('refuses ?%s', async (query, error) => {
    expect(await suite.server.json(`/events?${query}`)).toEqual({ status: 400, body: { error } });
  });

  it.each(['url_id=abc', 'user_id=1.5', 'url_id=1%00'])('refuses ?%s', async (query) => {
    expect((await suite.server.json(`/events?${query}`)).status).toBe(400);
  });
});

describe('GET and DELETE /events/<id>', () => {
  it('gives and deletes an event', async () => {
    const { server } = suite;
    const event = bodyOf(await server.post('/events', { event_type: 'once' }), 201);
    expect(await server.json(`/events/${event.id}`)).toEqual({ status: 200, body: event });
    const response = await server.fetch(`/events/${event.id}`, { method: 'DELETE' });
    expect([response.status, await response.text()]).toEqual([204, '']);
    const missing = { status: 404, body: { error: 'Event not found' } };
    expect(await server.json(`/events/${event.id}`)).toEqual(missing);
    expect(await server.json(`/events/${event.id}`, { method: 'DELETE' })).toEqual(missing);
    expect(await server.json('/events/99999999999999999999')).toEqual(missing);
    expect((await server.json('/events/x')).body).toEqual({ error: 'Not found', status: 404 });
  });
});

describe('clicks that an operator changes by SQL', () => {
  const countOf = async (id: number): Promise<number> =>
    bodyOf(await suite.server.json(`/urls/${id}`), 200).click_count;

  it('change the counters of their links with them', async () => {
    const { server, database } = suite;
    const [one, other] = [await createUrl(server), await createUrl(server)];
    await click(server, one.short_code);
    await eventually(async () => (await countOf(one.id)) === 1);
    await database.query(
      `INSERT INTO events (url_id, event_type)
       VALUES ($1, 'click'), ($1, 'click'), ($2, 'click'), ($1, 'preview'), ($1, 'noted'), (NULL, 'click')`,
      [one.id, other.id],
    );
    expect([await countOf(one.id), await countOf(other.id)]).toEqual([3, 1]);
    await database.query(`UPDATE events SET url_id = $2 WHERE url_id = $1 AND event_type = 'click'`, [
      one.id,
      other.id,
    ]);
    expect([await countOf(one.id), await countOf(other.id)]).toEqual([0, 4]);
    await database.query(
      `UPDATE events SET event_type = 'click' WHERE url_id = $1 AND event_type = 'noted'`,
      [one.id],
    );
    expect(await countOf(one.id)).toBe(1);
    await database.query(
      `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE url_id = $1 AND event_type = 'click' LIMIT 3)`,
      [other.id],
    );
    expect([await countOf(one.id), await countOf(other.id)]).toEqual([1, 1]);
    // And what the server does is counted once.
    await click(server, other.short_code);
    await eventually(async () => (await countOf(other.id)) === 2);
  });

  it('wait for the server that counts on the same link, and count what it has added', async () => {
    const { server, database } = suite;
    const link = await createUrl(server);
    const counting = new pg.Client({ ...database.address, application_name: 'switchyard other' });
    // Within a transaction the list of sessions stays as it was first seen.
    const watching = new pg.Client({ ...database.address, application_name: 'watching' });
    await Promise.all([counting.connect(), watching.connect()]);
    await counting.query('BEGIN');
    await counting.query(`INSERT INTO events (url_id, event_type) VALUES ($1, 'click')`, [link.id]);
    await counting.query('UPDATE short_urls SET click_count = click_count + 1 WHERE id = $1', [link.id]);
    const byHand = database.query(`INSERT INTO events (url_id, event_type) VALUES ($1, 'click')`, [link.id]);
    await eventually(async () => {
      const { rows } = await watching.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'test' AND wait_event_type = 'Lock'`,
      );
      return rows.length > 0;
    });
    await counting.query('COMMIT');
    await byHand;
    expect(await countOf(link.id)).toBe(2);
    await Promise.all([counting.end(), watching.end()]);
  });

  it('may come with the counters of their links', async () => {
    const { database } = suite;
    const [row] = await database.query<{ id: string }>(
      `INSERT INTO short_urls (original_url, short_code, click_count)
       VALUES ('https://example.com/', 'comes-counted', 3) RETURNING id`,
    );
    await database.query(
      `INSERT INTO events (url_id, event_type) SELECT $1, 'click' FROM generate_series(1, 3)`,
      [row?.id],
    );
    expect(await countOf(Number(row?.id))).toBe(3);
  });

  it('stay out of the counters, and of the statistics, where the operator says so', async () => {
    const { server, database } = suite;
    const link = await createUrl(server);
    await database.query('BEGIN');
    await database.query(`SET LOCAL switchyard.differences = 'none'`);
    await database.query(`INSERT INTO events (url_id, event_type) VALUES ($1, 'click')`, [link.id]);
    await database.query('COMMIT');
    expect(await countOf(link.id)).toBe(0);
  });

  it('leave what retention has counted, if all events go', async () => {
    const { server, database } = suite;
    const [kept, gone] = [await createUrl(server), await createUrl(server)];
    await click(server, gone.short_code);
    await eventually(async () => (await countOf(gone.id)) === 1);
    await database.query(
      `INSERT INTO dropped_events (url_id, slot, clicks, previews) VALUES ($1, '2025-01-01', 5, 0)`,
      [kept.id],
    );
    await database.query('UPDATE short_urls SET click_count = 7 WHERE id = $1', [kept.id]);
    await database.query('TRUNCATE events');
    expect([await countOf(kept.id), await countOf(gone.id)]).toEqual([5, 0]);
  });
});
