import { describe, expect, it } from 'vitest';
import type { AnswerTo } from '../support/clients/answers.js';
import { bodyOf } from '../support/clients/api-client.js';
import { uniqueName, useServer } from '../support/server/suite.js';

const suite = useServer({ IMPORT_MAX_BYTES: String(3 * 1024 * 1024) });

async function upload(
  csv: string | Uint8Array<ArrayBuffer>,
  field = 'file',
  extra: Record<string, string> = {},
): Promise<AnswerTo<'POST', '/users/bulk'>> {
  const form = new FormData();
  for (const [name, value] of Object.entries(extra)) form.append(name, value);
  form.append(field, new Blob([csv], { type: 'text/csv' }), 'users.csv');
  return suite.server.json('/users/bulk', { method: 'POST', body: form });
}

async function find(username: string): Promise<{ email: string; created_at: string } | undefined> {
  const users = await suite.server.get('/users');
  return users.find((user) => user.username === username);
}

describe('POST /users/bulk', () => {
  it('imports users, a repeated one with its last e-mail', async () => {
    const [a, b, c] = [uniqueName(), uniqueName(), uniqueName()];
    const csv = [
      'username,email',
      `${a},a1@example.com`,
      `${b},b@example.com`,
      `${a},a2@example.com`,
      `${a},a3@example.com`,
      `${c},c@example.com`,
      '',
    ].join('\n');
    expect(await upload(csv)).toEqual({ status: 201, body: { imported: 5 } });
    expect((await find(a))?.email).toBe('a3@example.com');
    expect((await find(b))?.email).toBe('b@example.com');
    expect(await upload(`username,email\n${b},new@example.com\n`)).toEqual({
      status: 201,
      body: { imported: 1 },
    });
    expect((await find(b))?.email).toBe('new@example.com');
    expect((await find(c))?.email).toBe('c@example.com');
  });

  it('takes created_at where present, ignores ids and other columns', async () => {
    const [a, b, c] = [uniqueName(), uniqueName(), uniqueName()];
    const csv =
      `id,created_at,email,shoe_size,username\n` +
      `7,2024-02-29 12:34:56,a@example.com,44,${a}\n` +
      `7,,b@example.com,44,${b}\n` +
      `x,not a time,c@example.com,,${c}\n`;
    expect(await upload(csv)).toEqual({
      status: 201,
      body: { imported: 2, skipped: 1, errors: [{ line: 4, error: 'Invalid created_at' }] },
    });
    expect((await find(a))?.created_at).toBe('2024-02-29T12:34:56');
    expect((await find(b))?.created_at).toMatch(/^20[2-9]\d-/);
    expect(await find(c)).toBeUndefined();
  });

  it('takes a BOM, CRLF, quotes, line breaks in quotes and extra form fields', async () => {
    const a = `${uniqueName()}, "the" Übergrößenträger`;
    const b = uniqueName();
    const csv = `\ufeffnote,username,email\r\n"a\r\nnote","${a.replaceAll('"', '""')}",a@example.com\r\n,"${b}","b@example.com"`;
    expect(await upload(csv, 'file', { comment: 'x', other: 'y' })).toEqual({
      status: 201,
      body: { imported: 2 },
    });
    expect((await find(a))?.email).toBe('a@example.com');
    expect((await find(b))?.email).toBe('b@example.com');
  });

  it('skips rows without a usable username or e-mail', async () => {
    const a = uniqueName();
    const csv =
      `username,email\n` +
      `,x@example.com\n` +
      `${uniqueName()},\n` +
      `   ,x@example.com\n` +
      `${'x'.repeat(101)},x@example.com\n` +
      `only-one-field\n` +
      `\n` +
      `${a}, trimmed@example.com \n`;
    const [name, email] = ['Invalid or missing username', 'Invalid or missing email'];
    expect(await upload(csv)).toEqual({
      status: 201,
      body: {
        imported: 1,
        skipped: 5,
        errors: [
          { line: 2, error: name },
          { line: 3, error: email },
          { line: 4, error: name },
          { line: 5, error: name },
          { line: 6, error: email },
        ],
      },
    });
    expect((await find(a))?.email).toBe('trimmed@example.com');
  });

  it('names the line of each skipped row, whatever lines are empty or within quotes', async () => {
    const csv = [
      '',
      'note,username,email',
      `"two\nlines",${uniqueName()},a@example.com`,
      '',
      'x,broken,@',
      `"three\r\nlines\rin all","line\nbreak",a@example.com`,
      `x,${uniqueName()},a@example.com`,
      'x,last,"a@example.com\nx"',
    ].join('\r\n');
    expect(await upload(csv)).toEqual({
      status: 201,
      body: {
        imported: 2,
        skipped: 3,
        errors: [
          { line: 6, error: 'Invalid or missing email' },
          { line: 7, error: 'Invalid or missing username' },
          { line: 12, error: 'Invalid or missing email' },
        ],
      },
    });
  });

  it('names the first hundred skipped rows and counts the others', async () => {
    const answer = bodyOf(await upload(`username,email\n${'nobody,nowhere\n'.repeat(5000)}`), 201);
    expect([answer.imported, answer.skipped, answer.errors?.length]).toEqual([0, 5000, 100]);
    expect(answer.errors?.at(-1)?.line).toBe(101);
  });

  it.each([
    ['2024-01-02 03:04:05+00', '2024-01-02T03:04:05'],
    ['2024-01-02T03:04:05.999+02:00', '2024-01-02T01:04:05'],
    ['1704164645', '2024-01-02T03:04:05'],
    ['Tue, 02 Jan 2024 03:04:05 GMT', '2024-01-02T03:04:05'],
    ['10000-01-01', undefined],
    ['9999-12-31T23:59:59-01:00', undefined],
    ['01/02/2024', undefined],
  ])('takes created_at %s as %s', async (text, expected) => {
    const name = uniqueName();
    const { body } = await upload(`username,email,created_at\n${name},a@example.com,"${text}"\n`);
    expect(body).toMatchObject({ imported: expected === undefined ? 0 : 1 });
    expect((await find(name))?.created_at).toBe(expected);
  });

  it.each(['username,email\n', 'username,email', '', '\ufeffusername,email\r\n'])(
    'imports nothing from %j',
    async (csv) => {
      expect(await upload(csv)).toEqual({ status: 201, body: { imported: 0 } });
    },
  );

  it('refuses bytes that are not UTF-8, and keeps nothing', async () => {
    const name = uniqueName();
    const bytes = Buffer.concat([
      Buffer.from(`username,email\n${name},a@example.com\nb`),
      Buffer.from([0xff, 0x0a]),
    ]);
    const { status, body } = await upload(bytes);
    expect([status, body]).toEqual([400, { error: 'CSV must be UTF-8' }]);
    expect(await find(name)).toBeUndefined();
  });

  it('refuses a header without the columns', async () => {
    const { status, body } = await upload('name,mail\nx,y@example.com\n');
    expect([status, body]).toEqual([400, { error: "CSV header must name 'username' and 'email'" }]);
  });

  it('refuses a quote that is never closed', async () => {
    const answer = await upload(`username,email\n"${'x'.repeat(100)}\n`);
    expect(bodyOf(answer, 400).error).toMatch(/^Invalid CSV: /);
  });

  it('refuses a request without the file', async () => {
    const missing = { status: 400, body: { error: 'No file provided' } };
    expect(await upload('username,email\n', 'other')).toEqual(missing);
    const form = new FormData();
    form.append('file', 'username,email\n');
    expect(await suite.server.json('/users/bulk', { method: 'POST', body: form })).toEqual(missing);
    expect(await suite.server.json('/users/bulk', { method: 'POST' })).toEqual(missing);
    // What a browser sends of a form in which no file was chosen; a file without a name is one.
    const unchosen = (content: string): Promise<AnswerTo<'POST', '/users/bulk'>> =>
      suite.server.json('/users/bulk', {
        method: 'POST',
        headers: { 'content-type': 'multipart/form-data; boundary=b' },
        body: `--b\r\nContent-Disposition: form-data; name="file"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n${content}\r\n--b--\r\n`,
      });
    expect(await unchosen('')).toEqual(missing);
    expect(await unchosen('username,email\n')).toEqual({ status: 201, body: { imported: 0 } });
    expect(await suite.server.post('/users/bulk', { file: 'x' })).toEqual(missing);
    expect(
      await suite.server.json('/users/bulk', {
        method: 'POST',
        headers: { 'content-type': 'multipart/form-data' },
        body: 'x',
      }),
    ).toEqual(missing);
  });

  it('refuses a multipart body that breaks off', async () => {
    const name = uniqueName();
    const { status, body } = await suite.server.json('/users/bulk', {
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data; boundary=b' },
      body: `--b\r\nContent-Disposition: form-data; name="file"; filename="u.csv"\r\n\r\nusername,email\n${name},a@example.com\n`,
    });
    expect([status, body]).toEqual([400, { error: 'Invalid multipart body' }]);
    expect(await find(name)).toBeUndefined();
  });

  it('refuses a file beyond the limit', async () => {
    const { status, body } = await upload(`username,email\n${'x,x@example.com\n'.repeat(200_000)}`);
    expect([status, body]).toEqual([413, { error: 'Request body too large', status: 413 }]);
  });

  it('keeps nothing of an upload whose client leaves', async () => {
    const name = uniqueName();
    const controller = new AbortController();
    const body = new ReadableStream({
      start(stream) {
        const head = `--b\r\nContent-Disposition: form-data; name="file"; filename="u.csv"\r\n\r\n`;
        stream.enqueue(Buffer.from(`${head}username,email\n${name},a@example.com\n`));
      },
    });
    const request = suite.server.fetch('/users/bulk', {
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data; boundary=b' },
      body,
      duplex: 'half',
      signal: controller.signal,
    } as RequestInit);
    setTimeout(() => controller.abort(), 300);
    await expect(request).rejects.toThrow();
    expect(await find(name)).toBeUndefined();
    expect(await upload(`username,email\n${name},b@example.com\n`)).toEqual({
      status: 201,
      body: { imported: 1 },
    });
  });

  it('runs several at once', async () => {
    const names = Array.from({ length: 3 }, () => uniqueName('bulk'));
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, part) =>
        upload(
          `username,email\n${names
            .map((name) => `${name},${part}@example.com\n`)
            .join('')
            .repeat(100)}`,
        ),
      ),
    );
    for (const answer of answers) expect(answer).toEqual({ status: 201, body: { imported: 300 } });
    expect((await find(names[0] as string))?.email).toMatch(/^[0-7]@example\.com$/);
  });
});
