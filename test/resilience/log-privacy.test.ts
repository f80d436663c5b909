import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { eventually } from '../support/machine/wait.js';
import { click, createUrl, useServer } from '../support/server/suite.js';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const suite = useServer({ CLICK_DETAILS: 'full' });

it('what PostgreSQL quotes of rows is in no log line', { timeout: 60_000 }, async () => {
  const { database, server } = suite;
  await database.query(`ALTER TABLE users ADD CONSTRAINT no_secret_user CHECK (username NOT LIKE 'hidden%')`);
  await database.query(
    `ALTER TABLE short_urls ADD CONSTRAINT no_secret_url CHECK (original_url NOT LIKE '%hidden%')`,
  );
  await server.post('/users', { username: 'hidden-name', email: 'hidden@example.com' });
  await server.post('/urls', {
    original_url: 'https://hidden.example.com/?key=hidden',
    title: 'hidden title',
  });
  const body = new FormData();
  body.set('file', new Blob(['username,email\nhidden-row,hidden@example.com\n']), 'users.csv');
  expect((await server.fetch('/users/bulk', { method: 'POST', body })).status).toBeGreaterThanOrEqual(400);
  for (const constraint of ['no_secret_user', 'no_secret_url']) {
    const entry = await eventually(() =>
      server.logs.find(({ message }) => message.includes(`SQLSTATE 23514, constraint ${constraint}`)),
    );
    expect(entry.error).toMatchObject({ code: '23514', constraint });
  }
  await eventually(() => server.logs.some(({ name }) => name.startsWith('transfer')));
  const shown = await (await server.fetch('/logs?limit=200')).text();
  for (const text of [JSON.stringify(server.logs), shown]) {
    expect(text).not.toContain('hidden');
    expect(text).not.toContain(root);
    expect(text).not.toMatch(/"(detail|where|table|routine)":/);
  }
});

it('what is kept of clicks is for the server’s user alone', async () => {
  const { server } = suite;
  const url = await createUrl(server);
  await click(server, url.short_code);
  const folder = path.join(server.dataDir, 'journal');
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const modes = entries
    .filter((entry) => entry.isFile() || entry.isDirectory())
    .map((entry) => {
      const { mode } = statSync(path.join(entry.parentPath, entry.name));
      return [entry.isDirectory(), mode & 0o777];
    });
  expect(modes.some(([isDirectory]) => isDirectory)).toBe(true);
  expect(modes.some(([isDirectory]) => !isDirectory)).toBe(true);
  for (const [isDirectory, mode] of modes) expect(mode).toBe(isDirectory ? 0o700 : 0o600);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
});
