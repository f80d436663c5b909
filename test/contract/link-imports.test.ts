import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Resource } from '../../src/api/openapi/resources.js';
import type { AnswerTo, Url } from '../support/clients/answers.js';
import { bodyOf } from '../support/clients/api-client.js';
import { click, createUser, useServer } from '../support/server/suite.js';

const suite = useServer();
const folder = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../support/exports');

type Answer = AnswerTo<'POST', '/urls/import'>;

async function upload(csv: string | Uint8Array<ArrayBuffer>, query = ''): Promise<Answer> {
  const form = new FormData();
  form.append('file', new Blob([csv], { type: 'text/csv' }), 'links.csv');
  return suite.server.json(`/urls/import${query}`, { method: 'POST', body: form });
}

function uploadExport(name: string, query = ''): Promise<Answer> {
  return upload(readFileSync(path.join(folder, `${name}.csv`)), query);
}

function all(): Promise<Url[]> {
  return suite.server.get('/urls');
}

async function find(code: string): Promise<Url | undefined> {
  return (await all()).find((link) => link.short_code === code);
}

const none = { imported: 0, updated: 0, skipped: 0, failed: 0, errors: [] };

describe('POST /urls/import', () => {
  it('imports every column, and a link is followed at once', async () => {
    const { id: userId } = await createUser(suite.server);
    expect((await suite.server.fetch('/imp-1')).status).toBe(404);
    const csv = `\ufeffshort_code,original_url,title,is_active,user_id,created_at,updated_at,redirect_status,cache_seconds,valid_since,expires_at,expired_url,max_clicks,forward_query,tags,password,id,click_count,shoe_size
imp-1,https://example.com/imp/1,"A, ""title""",True,${userId},2020-01-02T03:04:05,2021-01-02 03:04:05,302,60,2020-01-01,2099-01-01T00:00:00Z,https://example.com/gone,5,true,"b,A",,77,9,44
imp-2,https://example.com/imp/2,,false,,,,308,,,,,,,,secret,,,
,https://example.com/imp/3
`;
    expect(await upload(csv)).toEqual({ status: 201, body: { ...none, imported: 3 } });
    expect(await find('imp-1')).toMatchObject({
      original_url: 'https://example.com/imp/1',
      title: 'A, "title"',
      is_active: true,
      user_id: userId,
      created_at: '2020-01-02T03:04:05',
      updated_at: '2021-01-02T03:04:05',
      redirect_status: 302,
      cache_seconds: 60,
      valid_since: '2020-01-01T00:00:00',
      expires_at: '2099-01-01T00:00:00',
      expired_url: 'https://example.com/gone',
      max_clicks: 5,
      forward_query: true,
      tags: ['a', 'b'],
      click_count: 0,
    });
    expect(await find('imp-2')).toMatchObject({
      is_active: false,
      redirect_status: 308,
      has_password: true,
      title: '',
    });
    const made = (await all()).find((link) => link.original_url === 'https://example.com/imp/3');
    expect(await click(suite.server, made?.short_code as string)).toBe('https://example.com/imp/3');
    const events = await suite.server.get(`/events?url_id=${(await find('imp-2'))?.id}`);
    expect(events.map((event) => [event.event_type, event.details])).toEqual([
      ['created', { short_code: 'imp-2', original_url: 'https://example.com/imp/2' }],
    ]);
    // Chosen by the file: found in another letter case.
    await upload('short_code,original_url\nImp-Case,https://example.com/imp/case\n');
    expect(await click(suite.server, 'iMP-cASE')).toBe('https://example.com/imp/case');
  });

  it('names the line of each row that fails, and takes the others', async () => {
    const csv = [
      'short_code,original_url,title,has_password,password,domain,max_clicks',
      'good-1,https://example.com/good,"two',
      'lines",,,,',
      'bad code,https://example.com/x,,,,,',
      'health,https://example.com/x,,,,,',
      ',ftp://example.com/x,,,,,',
      '',
      `,${suite.server.url}/abcdef,,,,,`,
      'prot-1,https://example.com/x,,true,,,',
      'prot-2,https://example.com/x,,true,pw,,',
      ',https://example.com/x,,,,x.example,',
      ',https://example.com/x,,,,,many',
      ',,only a title,,,,',
    ].join('\n');
    expect(await upload(csv)).toEqual({
      status: 201,
      body: {
        ...none,
        imported: 2,
        failed: 8,
        errors: [
          { line: 4, error: "'short_code' must be 1 to 128 letters, digits, '-' or '_'" },
          { line: 5, error: "'short_code' is reserved" },
          { line: 6, error: "Missing or invalid 'original_url'" },
          { line: 8, error: "'original_url' must not be a short link of this service" },
          { line: 9, error: "'password' is missing of a protected link" },
          { line: 11, error: "'domain' is not supported" },
          { line: 12, error: "'max_clicks' must be an integer from 1 to 9007199254740991, or null" },
          { line: 13, error: "Missing or invalid 'original_url'" },
        ],
      },
    });
    expect(await find('prot-1')).toBeUndefined();
    expect(await find('prot-2')).toMatchObject({ has_password: true });
  });

  it('names a hundred errors at most', async () => {
    const csv = `original_url\n${'nowhere\n'.repeat(300)}https://example.com/after\n`;
    const body = bodyOf(await upload(csv), 201);
    expect([body.imported, body.failed, body.errors.length]).toEqual([1, 300, 100]);
  });

  it('skips, refuses or changes what is there already, as on_conflict says', async () => {
    await suite.server.post('/urls', {
      original_url: 'https://example.com/old',
      short_code: 'conf-1',
      title: 'old',
      tags: ['kept'],
      password: 'kept',
      expires_at: '2090-01-01',
    });
    const before = await find('conf-1');
    const csv =
      'short_code,title,expires_at,original_url\nconf-1,new,,https://example.com/new\nconf-1,newer,,https://example.com/newer\n';
    expect((await upload(csv)).body).toEqual({ ...none, skipped: 2 });
    expect((await upload(csv, '?on_conflict=fail')).body).toEqual({
      ...none,
      failed: 2,
      errors: [2, 3].map((line) => ({ line, error: 'Short code already taken' })),
    });
    expect(await find('conf-1')).toEqual(before);
    expect((await upload(csv, '?on_conflict=update')).body).toEqual({ ...none, updated: 2 });
    expect(await find('conf-1')).toMatchObject({
      id: before?.id,
      title: 'newer',
      original_url: 'https://example.com/newer',
      expires_at: null,
      tags: ['kept'],
      has_password: true,
      created_at: before?.created_at,
    });
    const events = await suite.server.get(`/events?url_id=${before?.id}&event_type=updated`);
    expect(events.map(({ details }) => details)).toEqual([
      { title: 'newer', is_active: true, original_url: 'https://example.com/newer' },
      { title: 'new', is_active: true, original_url: 'https://example.com/new', changed: ['expires_at'] },
    ]);
    // A file of changes needs no targets; what it does not know it can't make.
    expect(
      (await upload('short_code,title\nconf-1,last\nconf-none,x\n', '?on_conflict=update')).body,
    ).toEqual({
      ...none,
      updated: 1,
      failed: 1,
      errors: [{ line: 3, error: "Missing or invalid 'original_url'" }],
    });
    expect(await find('conf-1')).toMatchObject({ title: 'last', original_url: 'https://example.com/newer' });
  });

  it('says with dry_run what would become of a file, and keeps nothing', async () => {
    await upload('short_code,original_url\ndry-0,https://example.com/dry\n');
    const count = (await all()).length;
    const rows = ['dry-0', 'dry-1', 'dry-1', 'dry 2']
      .map((code) => `${code},https://example.com/dry\n`)
      .join('');
    const csv = `short_code,original_url\n${rows}`;
    expect(await upload(csv, '?dry_run=true')).toMatchObject({
      status: 200,
      body: { imported: 1, updated: 0, skipped: 2, failed: 1 },
    });
    expect((await upload(csv, '?dry_run=true&on_conflict=update')).body).toMatchObject({
      imported: 1,
      updated: 2,
    });
    expect((await upload(csv, '?dry_run=true&on_conflict=fail')).body).toMatchObject({
      imported: 1,
      failed: 3,
    });
    expect(await all()).toHaveLength(count);
  });

  it('keeps whole batches of an upload that is no CSV any more', async () => {
    const rows = Array.from({ length: 12_000 }, (_, n) => `cut-${n},https://example.com/cut\n`).join('');
    const bytes = Buffer.concat([Buffer.from(`short_code,original_url\n${rows}`), Buffer.from([0xff])]);
    const { status } = await upload(bytes);
    expect(status).toBe(400);
    const kept = (await all()).filter((link) => link.short_code.startsWith('cut-')).length;
    expect(kept).toBeGreaterThanOrEqual(2_000);
    expect(kept % 2_500).toBe(0);
  });

  it.each([
    ['?format=csv', "'format' must be bitly, kutt, yourls or shlink"],
    ['?on_conflict=replace', "'on_conflict' must be fail, skip or update"],
    ['?dry_run=1', "'dry_run' must be true or false"],
  ])('refuses %s', async (query, error) => {
    expect(await upload('original_url\n', query)).toEqual({ status: 400, body: { error } });
  });

  it('refuses what has no targets', async () => {
    const error = "CSV header must name 'original_url', or be that of an export of the format";
    expect(await upload('title\nx\n')).toEqual({ status: 400, body: { error } });
    expect(await upload('original_url\nx\n', '?format=kutt')).toEqual({ status: 400, body: { error } });
    expect(await upload('')).toEqual({ status: 201, body: none });
    expect(await suite.server.json('/urls/import', { method: 'POST' })).toEqual({
      status: 400,
      body: { error: 'No file provided' },
    });
  });
});

describe.each(['', '?format='])('an export, its format given by %j', (parameter) => {
  const from = async (name: string, format: string): Promise<Resource<'LinkImport'>> => {
    const chosen = parameter === '' ? '?' : `${parameter}${format}&`;
    return bodyOf(await uploadExport(name, `${chosen}on_conflict=update`), 201);
  };
  const count = ({ imported, updated, skipped, failed }: Resource<'LinkImport'>): number[] => [
    imported + updated,
    skipped,
    failed,
  ];

  it('of Bitly: codes of links, custom ones before them, and its dates', async () => {
    const answer = await from('bitly', 'bitly');
    expect(count(answer)).toEqual([3, 0, 1]);
    expect(answer.errors).toEqual([{ line: 5, error: "'created_at' must be an ISO 8601 time" }]);
    expect(await find('3AbCdEf')).toMatchObject({ title: 'Plain', created_at: '2024-05-19T20:15:16' });
    expect(await find('spring-sale')).toMatchObject({
      original_url: 'https://example.com/bitly/2',
      title: 'Sale, spring',
      created_at: '2024-05-19T00:00:00',
      tags: ['sale', 'spring'],
    });
    expect(await find('4Gh5')).toMatchObject({ created_at: '2024-01-02T15:04:00', tags: ['a', 'b'] });
  });

  it('of Kutt: address and target; a protected link never becomes public', async () => {
    const answer = await from('kutt', 'kutt');
    expect(count(answer)).toEqual([2, 1, 1]);
    expect(answer.errors).toEqual([
      { line: 4, error: "'password' is missing of a protected link" },
      { line: 5, error: "Skipped: the domain links.example.org is not this service's" },
    ]);
    expect(await find('kutt1')).toMatchObject({
      original_url: 'https://example.com/kutt/1',
      title: 'A description',
      is_active: true,
      created_at: '2023-03-04T05:06:07',
      updated_at: '2023-04-05T06:07:08',
    });
    expect(await find('kutt2')).toMatchObject({ is_active: false, expires_at: '2031-01-01T00:00:00' });
    expect(await find('kutt3')).toBeUndefined();
  });

  it('of YOURLS: its table, and its import and export plugin', async () => {
    const answer = await from('yourls', 'yourls');
    expect(count(answer)).toEqual([2, 0, 1]);
    expect(answer.errors).toEqual([{ line: 4, error: "Missing or invalid 'original_url'" }]);
    expect(await find('ozh')).toMatchObject({
      title: 'A "title"',
      created_at: '2020-02-29T12:34:56',
      click_count: 0,
    });
    expect(await find('1f')).toMatchObject({ title: '' });
    expect(count(await from('yourls-plugin', 'yourls'))).toEqual([1, 0, 0]);
    expect(await find('plug')).toMatchObject({ original_url: 'https://example.com/yourls/3' });
  });

  it('of Shlink: tags between bars; other domains are skipped and said', async () => {
    const answer = await from('shlink', 'shlink');
    expect(count(answer)).toEqual([2, 1, 0]);
    expect(answer.errors).toEqual([
      { line: 3, error: "Skipped: the domain other.example is not this service's" },
    ]);
    expect(await find('shl1')).toMatchObject({
      title: 'Title, one',
      tags: ['bar baz', 'foo'],
      created_at: '2022-05-06T05:08:09',
    });
  });
});

it('What /urls?format=csv gives, /urls/import takes back without loss', async () => {
  const { id: userId } = await createUser(suite.server);
  const time = fc
    .date({ min: new Date('1000-01-01'), max: new Date('2999-01-01'), noInvalidDate: true })
    .map((date) => date.toISOString().slice(0, 19));
  const text = fc
    .oneof(
      fc.string({ maxLength: 40 }),
      fc.string({ unit: 'grapheme', maxLength: 20 }),
      fc.string({
        unit: fc.constantFrom("'", '=', '+', '-', '@', '\t', '\r', '\n', '"', ',', ' ', 'a'),
        maxLength: 12,
      }),
    )
    .map((title) => title.replaceAll('\0', '').toWellFormed());
  const tag = text.map((one) => one.replaceAll(',', '').trim().slice(0, 20)).filter((one) => one !== '');
  const target = fc.webUrl({ withQueryParameters: true, withFragments: true });
  const link = fc.record(
    {
      original_url: target,
      title: text,
      is_active: fc.boolean(),
      user_id: fc.constant(userId),
      redirect_status: fc.constantFrom(301, 302, 307, 308),
      cache_seconds: fc.integer({ min: 0, max: 31_536_000 }),
      valid_since: time.filter((one) => one < '1900'),
      expires_at: time.filter((one) => one > '1900'),
      expired_url: target,
      max_clicks: fc.maxSafeInteger().map((n) => Math.max(1, Math.abs(n))),
      forward_query: fc.boolean(),
      tags: fc.array(tag, { maxLength: 5 }),
    },
    { requiredKeys: ['original_url'] },
  );
  const comparable = (links: readonly Url[]): unknown[] =>
    links
      .map(({ id: _, click_count: __, ...rest }) => rest)
      .sort((a, b) => (a.short_code < b.short_code ? -1 : 1));
  await fc.assert(
    fc.asyncProperty(fc.array(link, { minLength: 1, maxLength: 40 }), async (urls) => {
      await suite.database.query('TRUNCATE short_urls CASCADE');
      const { created: made } = bodyOf(await suite.server.post('/urls/bulk', { urls }), 200);
      const before = await all();
      const csv = await (await suite.server.fetch('/urls?format=csv')).text();
      // Onto itself it changes nothing, and into an empty table it makes all of it again.
      expect((await upload(csv, '?on_conflict=update')).body).toEqual({ ...none, updated: made });
      expect(comparable(await all())).toEqual(comparable(before));
      await suite.database.query('TRUNCATE short_urls CASCADE');
      expect((await upload(csv)).body).toEqual({ ...none, imported: made });
      expect(comparable(await all())).toEqual(comparable(before));
    }),
    { numRuns: 12 },
  );
});
