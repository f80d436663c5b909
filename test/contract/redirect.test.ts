import { describe, expect, it } from 'vitest';
import type { Event, Url } from '../support/clients/answers.js';
import { click, createUrl, createUser, useServer } from '../support/server/suite.js';

const suite = useServer();

function clicksOf(url: Url): Promise<Event[]> {
  return suite.server.get(`/events?url_id=${url.id}&event_type=click`);
}

describe.each(['/<code>', '/urls/<code>/redirect'])('GET %s', (template) => {
  const pathOf = (code: string): string => template.replace('<code>', code);

  it.each([
    ['https://example.com/Pfad?q=%20%41&x=<">&a[1]=A%2BB%3D#!x', undefined],
    ['http://e.com/good space/路径', 'http://e.com/good%20space/%E8%B7%AF%E5%BE%84'],
    ['https://exämple.com:8443/ä?q=%20ö#Ω', 'https://xn--exmple-cua.com:8443/%C3%A4?q=%20%C3%B6#%CE%A9'],
  ])('answers 302 with %j in ASCII, and an empty body', async (target, ascii) => {
    const url = await createUrl(suite.server, { original_url: target });
    expect(url.original_url).toBe(target);
    for (let time = 0; time < 3; time += 1) {
      const response = await suite.server.fetch(pathOf(url.short_code));
      expect(response.status).toBe(302);
      expect(response.headers.get('location')).toBe(ascii ?? target);
      expect(response.headers.get('content-length')).toBe('0');
      expect(await response.text()).toBe('');
    }
  });

  it('makes one click event each, seen by the next read', async () => {
    const { server } = suite;
    const user = await createUser(server);
    // What a click says is the target as it was given, not as the header has it.
    const url = await createUrl(server, { user_id: user.id, original_url: 'https://exämple.com/a b' });
    for (let count = 1; count <= 5; count += 1) {
      expect((await server.fetch(pathOf(url.short_code))).status).toBe(302);
      const events = await clicksOf(url);
      expect(events).toHaveLength(count);
      expect(events[0]).toMatchObject({
        url_id: url.id,
        user_id: user.id,
        details: { short_code: url.short_code, original_url: url.original_url },
      });
    }
    expect((await server.json(`/urls/${url.id}`)).body).toMatchObject({ click_count: 5 });
  });

  it('makes no event for HEAD, and answers it alike', async () => {
    const url = await createUrl(suite.server);
    for (let time = 0; time < 2; time += 1) {
      const response = await suite.server.fetch(pathOf(url.short_code), { method: 'HEAD' });
      expect(response.status).toBe(302);
      expect(response.headers.get('location')).toBe(url.original_url);
    }
    expect(await clicksOf(url)).toEqual([]);
  });

  it('answers 404 for an unknown code, without an event', async () => {
    for (const code of [
      'zzzzzz',
      'a',
      'x'.repeat(300),
      '%00',
      '%ff',
      '%zz',
      'a%2Fb',
      '..%2f',
      '%F0%9F%9A%A6',
    ]) {
      const { status, body } = await suite.server.json(pathOf(code));
      expect([code, status, body]).toEqual([code, 404, { error: 'Short URL not found' }]);
    }
  });

  it('refuses other methods', async () => {
    const url = await createUrl(suite.server);
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const response = await suite.server.fetch(pathOf(url.short_code), { method });
      expect(response.status).toBe(405);
      expect(await response.json()).toEqual({ error: 'Method not allowed', status: 405 });
      expect(response.headers.get('allow')).toBe('GET, HEAD');
    }
  });
});

describe('a short code', () => {
  it('is case-sensitive', async () => {
    const { server, database } = suite;
    await database.query(
      `INSERT INTO short_urls (original_url, short_code)
       VALUES ('https://example.com/lower', 'abcXYZ'), ('https://example.com/upper', 'ABCxyz')`,
    );
    expect(await click(server, 'abcXYZ')).toBe('https://example.com/lower');
    expect(await click(server, 'ABCxyz')).toBe('https://example.com/upper');
    expect((await server.fetch('/abcxyz')).status).toBe(404);
  });

  it('may be written with percent signs', async () => {
    const url = await createUrl(suite.server);
    const encoded = [...url.short_code].map((letter) => `%${letter.charCodeAt(0).toString(16)}`).join('');
    expect(await click(suite.server, encoded)).toBe(url.original_url);
    expect(await click(suite.server, encoded)).toBe(url.original_url);
    expect(await clicksOf(url)).toHaveLength(2);
  });

  it('that was put into the table by hand never splits a header', async () => {
    await suite.database.query(
      `INSERT INTO short_urls (original_url, short_code)
       VALUES (E'https://example.com/\\r\\nSet-Cookie: a=b', 'split1'), ('javascript:alert(1)', 'script')`,
    );
    expect((await suite.server.fetch('/split1')).status).toBe(404);
    expect((await suite.server.fetch('/script')).status).toBe(404);
  });
});

describe('a change', () => {
  it('of the target takes effect on the very next request', async () => {
    const url = await createUrl(suite.server);
    for (let round = 0; round < 20; round += 1) {
      const target = `https://example.com/round/${round}`;
      await suite.server.send('PUT', `/urls/${url.id}`, { original_url: target });
      expect(await click(suite.server, url.short_code)).toBe(target);
      expect(await click(suite.server, url.short_code)).toBe(target);
    }
    const events = await clicksOf(url);
    expect(events).toHaveLength(40);
    // Details say what was served, whatever the target is now.
    expect(events.map((event) => event.details.original_url)).toContain('https://example.com/round/3');
  });

  it('of the state takes effect on the very next request, without an event while inactive', async () => {
    const url = await createUrl(suite.server);
    await click(suite.server, url.short_code);
    for (let round = 0; round < 5; round += 1) {
      await suite.server.send('PUT', `/urls/${url.id}`, { is_active: false });
      expect(await suite.server.json(`/${url.short_code}`)).toEqual({
        status: 404,
        body: { error: 'Short URL not found' },
      });
      await suite.server.send('PUT', `/urls/${url.id}`, { is_active: true });
      await click(suite.server, url.short_code);
    }
    expect(await clicksOf(url)).toHaveLength(6);
  });

  it('of a link from unknown to existing is seen at once', async () => {
    const { server, database } = suite;
    // Codes are not ours to choose over HTTP, so the row is renamed to a code that is known to be unknown.
    const url = await createUrl(server);
    expect((await server.fetch('/Unkn0w')).status).toBe(404);
    await database.query(`UPDATE short_urls SET short_code = 'Unkn0w' WHERE id = $1`, [url.id]);
    await expect.poll(async () => (await server.fetch('/Unkn0w')).status, { timeout: 1000 }).toBe(302);
    await expect
      .poll(async () => (await server.fetch(`/${url.short_code}`)).status, { timeout: 1000 })
      .toBe(404);
  });
});
