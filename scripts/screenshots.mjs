// Takes pictures of every page of the console, to be looked at: with nothing in it, with three links, with 100,000, with
// the longest there is, with errors and offline; light, dark and on a phone. Needs dist/ and Chromium.
//   node scripts/screenshots.mjs <folder> [part of a name …]
import { spawn } from 'node:child_process';
import { accessSync, chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const [folder, ...wanted] = process.argv.slice(2);
if (folder === undefined) {
  console.error('usage: node scripts/screenshots.mjs <folder> [part of a name …]');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });

const ADMIN_KEY = 'the-admin-key-of-the-pictures';
const MANY = 100_000;
const programs = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = programs.find((file) => {
  try {
    accessSync(file);
    return true;
  } catch {
    return false;
  }
});

/** A server of its own on an embedded PostgreSQL. */
async function startServer(environment) {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'switchyard-pictures-'));
  // The embedded PostgreSQL has a user of its own where this one is root.
  chmodSync(dataDir, 0o755);
  const child = spawn(process.execPath, [path.join(root, 'dist/server/main.js')], {
    cwd: dataDir,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      HOST: '127.0.0.1',
      PORT: '0',
      DATA_DIR: dataDir,
      SEED_ON_BOOT: 'false',
      CLICK_DETAILS: 'basic',
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await new Promise((resolve, reject) => {
    child.on('exit', (code) => reject(new Error(`the server ended with ${code}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const [, port] = /"message":"listening on [^"]*:(\d+)"/.exec(line) ?? [];
      if (port !== undefined) resolve(`http://127.0.0.1:${port}`);
    });
  });
  const stop = async () => {
    child.removeAllListeners('exit');
    const ended = new Promise((resolve) => child.on('exit', resolve));
    child.kill('SIGTERM');
    await ended;
    rmSync(dataDir, { recursive: true, force: true });
  };
  return { url, stop };
}

async function post(url, route, body, headers = {}) {
  const response = await fetch(url + route, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${route}: ${response.status} ${await response.text()}`);
  return response.json();
}

const views = [
  { name: 'light', viewport: { width: 1280, height: 900 }, colorScheme: 'light' },
  { name: 'dark', viewport: { width: 1280, height: 900 }, colorScheme: 'dark' },
  { name: 'phone', viewport: { width: 360, height: 740 }, colorScheme: 'light', hasTouch: true },
];

const browser = await chromium.launch({
  ...(executablePath === undefined ? {} : { executablePath }),
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
});

const isWanted = (name) => wanted.length === 0 || wanted.some((part) => name.includes(part));

/** Takes one picture in each view. */
async function picture(name, url, address, act = async () => undefined) {
  if (!isWanted(name)) return;
  for (const { name: view, ...options } of views) {
    const context = await browser.newContext({
      ...options,
      reducedMotion: 'reduce',
      locale: 'en-GB',
      timezoneId: 'Europe/Berlin',
    });
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const page = await context.newPage();
    page.on('pageerror', (error) => console.error(`${name} ${view}: ${error.message}`));
    page.on('console', (message) => {
      if (message.type() === 'error' && !/status of (40\d|503)/.test(message.text()))
        console.error(`${name} ${view}: ${message.text()}`);
    });
    await page.goto(`${url}/ui/${address}`);
    await page.waitForLoadState('networkidle', { timeout: 4000 }).catch(() => undefined);
    try {
      await act(page);
    } catch (error) {
      console.error(`${name} ${view}: ${error.message.split('\n')[0]}`);
    }
    await page.waitForTimeout(300);
    const wide = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    if (wide > 0) console.error(`${name} ${view}: the page is ${wide} pixels wider than the window`);
    await page.screenshot({ path: path.join(folder, `${name}-${view}.png`) });
    await context.close();
  }
}

const field = (page) => page.getByRole('textbox', { name: /URL/ }).first();
const server = await startServer({});
const { url } = server;
try {
  await picture('empty-links', url, '');
  await picture('empty-live', url, '#/live');
  const links = [];
  links.push(
    await post(url, '/urls', {
      original_url: 'https://shop.example/campaign/2026/spring?utm_source=newsletter&utm_medium=mail',
      short_code: 'spring',
      title: 'Spring sale',
      tags: ['newsletter', 'spring'],
    }),
  );
  links.push(
    await post(url, '/urls', {
      original_url: 'https://docs.example/start',
      expires_at: new Date(Date.now() + 3 * 86_400_000).toISOString(),
    }),
  );
  links.push(await post(url, '/urls', { original_url: 'https://old.example/gone', is_active: false }));
  const agents = [
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1',
    'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  ];
  for (let visit = 0; visit < 40; visit += 1)
    await fetch(`${url}/spring`, {
      redirect: 'manual',
      headers: {
        'user-agent': agents[visit % 3],
        ...(visit % 4 === 0 ? { referer: 'https://news.example/today' } : {}),
      },
    });
  const details = {
    browser: 'Chrome',
    os: 'Linux',
    device: 'desktop',
    country: 'DE',
    referrer: 'news.example',
  };
  for (let day = 1; day < 30; day += 1)
    for (let visit = 0; visit < (day * 7) % 5; visit += 1)
      await post(url, '/events', {
        event_type: 'click',
        url_id: links[0].id,
        details,
        timestamp: new Date(Date.now() - day * 86_400_000).toISOString(),
      });
  await fetch(`${url}/urls/${links[0].id}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ title: 'Spring sale 2026' }),
  });
  await picture('three-links', url, '');
  await picture('three-made', url, '', async (page) => {
    await field(page).fill('https://example.com/a/long/path');
    await page.keyboard.press('Enter');
    await page.getByRole('region', { name: 'Your short link' }).waitFor({ timeout: 5000 });
  });
  await picture('three-error', url, '', async (page) => {
    await field(page).fill('example.com');
    await page.getByRole('textbox', { name: 'Short code' }).fill('spring');
    await page.keyboard.press('Enter');
    await page.locator('[aria-invalid=true]').waitFor({ timeout: 5000 });
  });
  await picture('three-options', url, '', (page) => page.getByRole('button', { name: 'Options' }).click());
  await picture('three-selected', url, '', async (page) => {
    for (const box of await page.getByRole('checkbox', { name: /^Select \w{6}$/ }).all()) await box.check();
    await page.getByRole('button', { name: 'Tag', exact: true }).click();
  });
  await picture('three-menu', url, '', (page) =>
    page.getByRole('button', { name: 'More for spring' }).click(),
  );
  await picture('three-many', url, '', async (page) => {
    await page.getByRole('button', { name: 'Many at once' }).click();
    await page
      .getByRole('textbox', { name: 'One target per line' })
      .fill('https://example.com/1\nhttps://example.com/2\nnot a target');
    await page.getByRole('button', { name: 'Shorten 3' }).click();
    await page.getByText('2 made').waitFor({ timeout: 5000 });
  });
  await picture('three-import', url, '', async (page) => {
    await page.getByRole('button', { name: 'Import' }).click();
    const buffer = Buffer.from(
      'short_code,original_url\nspring,https://a.example/\nnew-one,https://b.example/\n,no target\n',
    );
    await page.getByLabel('CSV file').setInputFiles({ name: 'links.csv', mimeType: 'text/csv', buffer });
    await page.getByRole('button', { name: 'Check only' }).click();
    await page.getByText('would be imported').waitFor({ timeout: 5000 });
  });
  await picture('three-edit', url, '', async (page) => {
    await page.getByRole('button', { name: 'More for spring' }).click();
    await page.getByRole('button', { name: 'Edit' }).click();
  });
  await picture('three-keys', url, '', (page) =>
    page.evaluate('document.activeElement.blur()').then(() => page.keyboard.press('?')),
  );
  await picture('three-slow', url, '', async (page) => {
    await page.route(/\/urls\?/, () => undefined);
    await page.reload();
    await page.waitForTimeout(5500);
  });
  await picture('three-none-found', url, '#/links?q=nothing-like-it');
  await picture('link', url, `#/links/${links[0].id}`, (page) => page.waitForTimeout(1500));
  await picture('link-whole', url, `#/links/${links[0].id}`, async (page) => {
    await page.waitForTimeout(1500);
    await page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
  });
  await picture('link-day', url, `#/links/${links[0].id}?range=24h`, (page) => page.waitForTimeout(1500));
  await picture('link-new', url, `#/links/${links[1].id}`, (page) => page.waitForTimeout(1500));
  await picture('link-paused', url, `#/links/${links[2].id}`, (page) => page.waitForTimeout(1500));
  await picture('link-unknown', url, '#/links/99999999');
  await picture('stats', url, '#/stats', (page) => page.waitForTimeout(1500));
  await picture('live', url, '#/live', async (page) => {
    for (let second = 0; second < 6; second += 1) {
      await Promise.all(
        Array.from({ length: 20 * (second + 1) }, () => fetch(`${url}/spring`, { redirect: 'manual' })),
      );
      await page.waitForTimeout(900);
    }
  });
  await picture('three-offline', url, '', async (page) => {
    await page.context().setOffline(true);
    await page.waitForTimeout(500);
  });
  // Last of these: who leaves the page deletes for good.
  await picture('three-deleted', url, '', async (page) => {
    await page
      .getByRole('button', { name: /^More for/ })
      .first()
      .click();
    await page.getByRole('button', { name: 'Delete' }).click();
  });
  await post(url, '/urls', {
    original_url: `https://${'long.'.repeat(12)}example/${'path/'.repeat(200)}`,
    short_code: 'longest-'.repeat(16),
    title: 'A title as long as one can be '.repeat(8),
    tags: Array.from({ length: 20 }, (_none, index) => `tag-number-${index}-of-the-longest-kind`),
  });
  await post(url, '/urls', {
    original_url: 'https://example.com/عربي/路径',
    short_code: 'rtl',
    title: 'مرحبا بالعالم 你好',
  });
  await picture('longest-links', url, '');
  await picture(
    'longest-link',
    url,
    `#/links/${(await (await fetch(`${url}/urls?short_code=${'longest-'.repeat(16)}`)).json())[0].id}`,
    (page) => page.waitForTimeout(1500),
  );
  if (isWanted('many-links') || isWanted('many-page')) {
    const rows = Array.from(
      { length: MANY },
      (_none, index) =>
        `c-${index},https://shop.example/product/${index}?from=mail,Product ${index},"t${index % 7}"`,
    );
    const form = new FormData();
    form.append(
      'file',
      new Blob([['short_code,original_url,title,tags', ...rows, ''].join('\n')]),
      'links.csv',
    );
    console.log(await (await fetch(`${url}/urls/import`, { method: 'POST', body: form })).text());
  }
  await picture('many-links', url, '');
  await picture('many-page', url, '', async (page) => {
    await page.getByRole('button', { name: 'Next' }).click();
    await page.waitForTimeout(500);
    await page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
  });
} finally {
  await server.stop();
}

const guarded = await startServer({ API_AUTH: 'on', ADMIN_KEY });
try {
  const headers = { 'x-api-key': ADMIN_KEY };
  await picture('key-form', guarded.url, '');
  const typed = async (page) => {
    await page.getByLabel('API key').fill(ADMIN_KEY);
    await page.keyboard.press('Enter');
    await page.waitForLoadState('networkidle');
  };
  await picture('empty-keys', guarded.url, '#/keys', typed);
  await picture('empty-users', guarded.url, '#/users', typed);
  const user = await post(guarded.url, '/users', { username: 'ada', email: 'ada@example.com' }, headers);
  await post(guarded.url, '/users', { username: 'grace', email: 'grace@example.com' }, headers);
  await post(guarded.url, '/keys', { name: 'dashboard', scopes: ['links:read', 'stats:read'] }, headers);
  await post(
    guarded.url,
    '/keys',
    {
      name: 'ada’s own',
      scopes: ['links:read', 'links:create'],
      user_id: user.id,
      expires_at: '2030-01-01T00:00:00Z',
    },
    headers,
  );
  await picture('keys', guarded.url, '#/keys', typed);
  await picture('keys-made', guarded.url, '#/keys', async (page) => {
    await typed(page);
    await page.getByRole('button', { name: 'New key' }).click();
    await page.getByRole('textbox', { name: 'Name' }).fill('script');
    await page.getByRole('button', { name: 'Create key' }).click();
    await page.getByText('shown this once').waitFor();
  });
  await picture('keys-new', guarded.url, '#/keys', async (page) => {
    await typed(page);
    await page.getByRole('button', { name: 'New key' }).click();
  });
  await picture('users', guarded.url, '#/users', typed);
  await picture('users-import', guarded.url, '#/users', async (page) => {
    await typed(page);
    await page.getByRole('button', { name: 'Import' }).click();
    const buffer = Buffer.from('username,email\nada,other@example.com\n,nobody@example.com\n');
    await page.getByLabel('CSV file').setInputFiles({ name: 'users.csv', mimeType: 'text/csv', buffer });
    await page.getByRole('dialog').getByRole('button', { name: 'Import' }).click();
    await page.getByText('imported').waitFor({ timeout: 5000 });
  });
} finally {
  await guarded.stop();
  await browser.close();
}
