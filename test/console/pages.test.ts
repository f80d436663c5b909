import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Url } from '../support/clients/answers.js';
import { useBrowser, type Visit, type VisitOptions, visit } from '../support/clients/browser.js';
import { ADMIN_KEY, asKey, makeKey } from '../support/clients/keys.js';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl, createUser, uniqueName, useServer } from '../support/server/suite.js';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const suite = useServer({ CLICK_DETAILS: 'basic' });

/** What axe-core finds that keeps somebody out. */
async function seriousFaults(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const found = (await page.evaluate('axe.run()')) as {
    violations: { id: string; impact: string; nodes: { html: string }[] }[];
  };
  return found.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}

const overflow = (page: Page): Promise<number> =>
  page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');

describeWith('chromium')('the console', () => {
  const browser = useBrowser();
  let guarded: TestServer;
  beforeAll(async () => {
    guarded = await startServer({ DATABASE_URL: suite.database.url, API_AUTH: 'on', ADMIN_KEY });
  });
  afterAll(async () => {
    await guarded?.stop();
  });

  async function open(
    address: string,
    act: (visit: Visit) => Promise<void>,
    server = suite.server,
    options: VisitOptions = {},
  ) {
    const opened = await visit(browser, `${server.url}/ui/${address}`, options);
    try {
      await act(opened);
      const hosts = opened.asked.filter((url) => !url.startsWith('blob:')).map((url) => new URL(url).origin);
      expect([...new Set(hosts)]).toEqual([server.url]);
      expect(opened.complaints).toEqual([]);
    } finally {
      await opened.end();
    }
  }
  const typeKey = async (page: Page, key = ADMIN_KEY): Promise<void> => {
    await page.getByLabel('API key').fill(key);
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'Keys' }).waitFor();
    await page.getByLabel('API key').waitFor({ state: 'detached' });
  };
  const linksLike = (query: string): Promise<Url[]> => suite.server.get(`/urls?${query}`);

  it('has the runbook beside it: without scripts, on a telephone, light and dark', async () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      const options = { colorScheme, width: 360, runsScripts: false };
      await open(
        'runbook#servicedown',
        ({ page }) => page.getByRole('heading', { name: 'ServiceDown' }).waitFor(),
        suite.server,
        options,
      );
      await open(
        'runbook#servicedown',
        async ({ page }) => {
          expect(await seriousFaults(page)).toEqual([]);
          expect(await overflow(page)).toBeLessThanOrEqual(0);
        },
        suite.server,
        { ...options, runsScripts: true },
      );
    }
  });

  it('makes many links of pasted lines, and names the lines that are none', async () => {
    const tag = uniqueName('many');
    await open('', async ({ page }) => {
      await page.evaluate(
        "navigator.clipboard.writeText('https://example.com/1\\nno target\\nhttps://example.com/2')",
      );
      await page.getByRole('textbox', { name: /URL/ }).first().focus();
      await page.keyboard.press('Control+v');
      const dialog = page.getByRole('dialog', { name: 'Many at once' });
      await dialog.getByLabel('Tags for all of them').fill(tag);
      await dialog.getByRole('button', { name: 'Shorten 3' }).click();
      await dialog.getByText('2 created, 1 refused').waitFor();
      await dialog.getByRole('row', { name: /^2 Missing or invalid 'original_url'/ }).waitFor();
      const download = page.waitForEvent('download');
      await dialog.getByRole('button', { name: 'Download as CSV' }).click();
      const text = readFileSync((await (await download).path()) ?? '', 'utf8');
      const made = await linksLike(`tag=${tag}`);
      expect(made).toHaveLength(2);
      for (const { short_code: code } of made) expect(text).toContain(`/${code},`);
    });
  });

  it('imports a file after a check of it, reports bad rows, and exports what is looked at', async () => {
    const code = uniqueName('imported');
    const file = Buffer.from(
      `short_code,original_url,tags\n${code},https://example.com/${code},${code}\n,nothing,\n`,
    );
    await open('', async ({ page }) => {
      await page.getByRole('button', { name: 'Import' }).click();
      const dialog = page.getByRole('dialog', { name: 'Import' });
      await dialog
        .getByLabel('CSV file')
        .setInputFiles({ name: 'links.csv', mimeType: 'text/csv', buffer: file });
      await dialog.getByRole('button', { name: 'Check only' }).click();
      await dialog.getByText('1 would be imported, 1 failed').waitFor();
      await dialog.getByRole('row', { name: /^3 / }).waitFor();
      expect(await linksLike(`short_code=${code}`)).toEqual([]);
      await dialog.getByRole('button', { name: 'Import', exact: true }).click();
      await dialog.getByText('1 imported, 1 failed').waitFor();
      await dialog.getByRole('button', { name: 'Done' }).click();
      await page.getByRole('searchbox').fill(code);
      await page.getByText('1 link', { exact: true }).waitFor();
      const download = page.waitForEvent('download');
      await page.getByRole('link', { name: 'Export' }).click();
      const lines = readFileSync((await (await download).path()) ?? '', 'utf8')
        .trim()
        .split('\n');
      expect(lines).toHaveLength(2);
      expect(lines[1]).toContain(code);
    });
  });

  it('changes all that are selected', async () => {
    const title = uniqueName('selected');
    const urls = [await createUrl(suite.server, { title }), await createUrl(suite.server, { title })];
    await open(`#/links?q=${title}`, async ({ page }) => {
      await page.getByText('2 links').waitFor();
      await page.getByRole('checkbox', { name: 'Select all' }).check();
      const bar = page.getByRole('region', { name: 'Selected links' });
      await bar.getByRole('button', { name: 'Tag' }).click();
      await bar.getByLabel('Add tags').fill('a, b');
      await bar.getByRole('button', { name: 'Add' }).click();
      await page.getByText('2 changed').waitFor();
      await page.getByRole('button', { name: 'b', exact: true }).first().waitFor();
      await page.getByRole('checkbox', { name: 'Select all' }).check();
      await bar.getByRole('button', { name: 'Pause' }).click();
      await page.getByText('paused').nth(1).waitFor();
      for (const { id } of urls)
        expect((await suite.server.json(`/urls/${id}`)).body).toMatchObject({
          tags: ['a', 'b'],
          is_active: false,
        });
    });
  });

  it('is worked by keys alone', async () => {
    const title = uniqueName('keys');
    const { id, short_code: code } = await createUrl(suite.server, { title });
    await open('', async ({ page }) => {
      const search = page.getByRole('searchbox');
      await search.waitFor();
      await page.keyboard.press('Control+k');
      await eventually(() => search.evaluate((field) => field === field.ownerDocument.activeElement));
      // Those of a page are for who is not typing.
      await page.getByRole('searchbox').fill(title);
      await page.getByText('1 link', { exact: true }).waitFor();
      await page.getByRole('searchbox').blur();
      await page.keyboard.press('j');
      await page.keyboard.press('x');
      await page.getByText('1 selected').waitFor();
      await page.keyboard.press('Escape');
      await page.keyboard.press('c');
      await eventually(
        async () => (await page.evaluate('navigator.clipboard.readText()')) === `${suite.server.url}/${code}`,
      );
      await page.keyboard.press('e');
      await page
        .getByRole('dialog', { name: `Edit ${code}` })
        .getByLabel('Title')
        .fill('edited');
      await page.keyboard.press('Enter');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
      expect((await suite.server.json(`/urls/${id}`)).body).toMatchObject({ title: 'edited' });
    });
  });

  describe('the page of one link', () => {
    it('shows clicks over time, previews apart, and by what is known of visitors, in any time zone', async () => {
      const url = await createUrl(suite.server);
      const firefox = {
        'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
      };
      const from = (headers: Record<string, string>) =>
        suite.server.fetch(`/${url.short_code}`, { headers: { ...firefox, ...headers } });
      for (let visits = 0; visits < 3; visits += 1) await from({ referer: 'https://news.example/today' });
      await from({ 'sec-purpose': 'prefetch' });
      await open(`#/links/${url.id}`, async ({ page }) => {
        const statistics = page.getByRole('region', { name: 'Statistics' });
        await statistics.getByText('3 clicks', { exact: true }).waitFor({ timeout: 20_000 });
        await statistics.getByText('1 preview', { exact: true }).waitFor();
        await statistics.locator('canvas').waitFor();
        await statistics.getByRole('row', { name: 'news.example 3' }).waitFor();
        await statistics.getByRole('row', { name: /^Firefox 3/ }).waitFor();
        expect(await statistics.getByRole('combobox', { name: 'Time zone' }).inputValue()).toBe(
          'Europe/Berlin',
        );
        await statistics.getByRole('combobox', { name: 'Time zone' }).selectOption('Asia/Tokyo');
        await statistics.getByRole('button', { name: '24 h' }).click();
        await eventually(() => Promise.resolve(/range=24h.*tz=Asia/.test(page.url())));
        await statistics.getByRole('img', { name: /by hours, Asia\/Tokyo: 3 in all/ }).waitFor();
        // The arrow keys read what a mouse would point at.
        await statistics.getByRole('img').first().press('End');
        await statistics.getByText(/: 3 clicks, 1 preview/).waitFor();
        await statistics.getByRole('button', { name: 'Table' }).click();
        await statistics.getByRole('row', { name: / 3 1$/ }).waitFor();
        expect(await seriousFaults(page)).toEqual([]);
      });
    });

    it('shows a new click within ten seconds, what changed, and the QR code as SVG and PNG', async () => {
      const url = await createUrl(suite.server, { title: '<img src=x onerror=alert(1)>' });
      await open(`#/links/${url.id}`, async ({ page }) => {
        await page.getByText('Nobody has followed it yet').waitFor();
        await page.getByText('<img src=x').first().waitFor();
        await click(suite.server, url.short_code);
        const latest = page.getByRole('region', { name: 'Latest clicks' });
        await latest.getByRole('listitem').filter({ hasText: 'click' }).waitFor({ timeout: 10_000 });
        await suite.server.send('PATCH', `/urls/${url.id}`, { title: 'another' });
        await page.getByRole('button', { name: 'Pause' }).click();
        const history = page.getByRole('region', { name: 'What changed' });
        await history.getByText('paused').waitFor();
        await page.getByText('It is paused. Visitors get an error.').waitFor();
        await page.getByText('paused').first().waitFor();
        await page.getByRole('img', { name: /^QR code of/ }).waitFor();
        for (const [name, start] of [
          ['SVG', '<'],
          ['PNG', '\x89PNG'],
        ] as const) {
          const download = page.waitForEvent('download');
          await page.getByRole('link', { name: `QR as ${name}` }).click();
          const saved = await download;
          expect(saved.suggestedFilename()).toBe(`${url.short_code}.${name.toLowerCase()}`);
          expect(readFileSync((await saved.path()) ?? '', 'latin1').startsWith(start)).toBe(true);
        }
      });
    });
  });

  it('leads a newcomer from the address alone to a link, and to its first click', async () => {
    await open('../', async ({ page }) => {
      await page.waitForURL(`${suite.server.url}/ui/`);
      await page.locator('input[name=url]:focus').waitFor();
      await page.keyboard.type('https://example.com/the-first');
      await page.keyboard.press('Enter');
      const made = page.getByRole('region', { name: 'Your short link' });
      const address = await made.getByRole('link', { name: /^127\.0\.0\.1/ }).getAttribute('href');
      await made.getByRole('link', { name: 'Statistics and options' }).click();
      const latest = page.getByRole('region', { name: 'Latest clicks' });
      await latest.getByText('Nobody has followed it yet').waitFor();
      await click(suite.server, new URL(address ?? '').pathname.slice(1));
      await latest.getByRole('listitem').filter({ hasText: 'click' }).waitFor({ timeout: 10_000 });
    });
  });

  it('shows statistics of all links, and with a key of one user of that user’s', async () => {
    const admin = asKey(guarded, ADMIN_KEY);
    const user = await createUser(admin as never, uniqueName('owner'));
    const own = await createUrl(admin, { user_id: user.id });
    const other = await createUrl(admin);
    for (const { short_code: code } of [own, other, other]) await click(guarded, code);
    const { key } = await makeKey(guarded, { scopes: ['links:read', 'stats:read'], user_id: user.id });
    const top = async (): Promise<string> =>
      JSON.stringify((await admin.json('/stats?by=code&limit=100')).body);
    await eventually(async () => (await top()).includes(own.short_code), 20_000);
    await open(
      '#/stats',
      async ({ page }) => {
        await typeKey(page);
        const statistics = page.getByRole('region', { name: 'Statistics' });
        await statistics.getByRole('row', { name: `${other.short_code} 2` }).waitFor();
        await statistics.locator('canvas').waitFor();
        await statistics.getByRole('button', { name: '24 h' }).click();
        await eventually(() => Promise.resolve(page.url().includes('#/stats?range=24h')));
        await statistics.getByRole('img', { name: /^Clicks by hours/ }).waitFor();
        expect(await seriousFaults(page)).toEqual([]);
        await page.setViewportSize({ width: 360, height: 740 });
        expect(await overflow(page)).toBeLessThanOrEqual(0);
        await statistics.getByRole('link', { name: other.short_code }).click();
        await page.getByText('1 link', { exact: true }).waitFor();
      },
      guarded,
    );
    await open(
      '#/stats',
      async ({ page }) => {
        await typeKey(page, key);
        const statistics = page.getByRole('region', { name: 'Statistics' });
        await statistics.getByText('1 click', { exact: true }).waitFor();
        await statistics.getByRole('row', { name: `${own.short_code} 1` }).waitFor();
        expect(await statistics.getByText(other.short_code).count()).toBe(0);
      },
      guarded,
    );
  });

  it('imports users of a CSV file, and names the rows that are none', async () => {
    const name = uniqueName('imported');
    const buffer = Buffer.from(`username,email\n${name},${name}@example.com\n,nobody\n`);
    await open(
      '#/users',
      async ({ page }) => {
        await typeKey(page);
        await page.getByRole('button', { name: 'Import' }).click();
        const dialog = page.getByRole('dialog', { name: 'Import users' });
        await dialog
          .getByLabel('CSV file')
          .setInputFiles({ name: 'users.csv', mimeType: 'text/csv', buffer });
        await dialog.getByRole('button', { name: 'Import' }).click();
        await dialog.getByText('1 imported, 1 skipped').waitFor();
        await dialog.getByRole('row', { name: /^3 / }).waitFor();
        expect(await seriousFaults(page)).toEqual([]);
        await dialog.getByRole('button', { name: 'Done' }).click();
        await page.getByRole('link', { name }).waitFor();
      },
      guarded,
    );
  });

  it('Live shows what happens now, and never an old number as if it were', async () => {
    const url = await createUrl(suite.server);
    await open('#/live', async ({ page }) => {
      const redirects = page.getByRole('region', { name: 'Redirects a second' });
      await page.getByText(/^as of/).waitFor();
      await page.getByRole('region', { name: 'p99' }).getByText('alert at 50 ms').waitFor();
      await page
        .getByText(/^\d+ of \d+$/)
        .first()
        .waitFor();
      await page.getByText('the last 300 are kept').waitFor();
      await page.getByText('No reading was missed.').waitFor();
      await eventually(async () => {
        await Promise.all(Array.from({ length: 5 }, () => click(suite.server, url.short_code)));
        return Number((await redirects.locator('strong').innerText()).replace(/\D/g, '')) > 0;
      });
      // What is looked at closely stands still, and says so.
      await page.getByRole('button', { name: 'Pause' }).click();
      await page.getByText(/paused at .*, [1-9]\d* newer$/).waitFor();
      const still = await redirects.locator('strong').innerText();
      await page.getByText(/paused at .*, [3-9] newer$/).waitFor();
      expect(await redirects.locator('strong').innerText()).toBe(still);
      await page.getByRole('button', { name: 'Resume' }).click();
      // A server that is silent, on a connection that stands.
      suite.server.signal('SIGSTOP');
      try {
        await page.getByText(/^Nothing new since/).waitFor();
        expect(await redirects.locator('strong').innerText()).toBe('–');
      } finally {
        suite.server.signal('SIGCONT');
      }
      await page.getByText(/^as of/).waitFor();
      await page.getByText(/^\d+ readings were missed\.$/).waitFor();
    });
  });

  it('says that nobody answers, keeps what was there, and goes on by itself', async () => {
    const { short_code: code } = await createUrl(suite.server);
    await open('', async ({ page }) => {
      await page.getByRole('link', { name: code }).waitFor();
      await page.context().setOffline(true);
      await page.getByText(/You are offline\. What you see is from/).waitFor();
      await page.getByRole('link', { name: code }).waitFor();
      await page.getByRole('textbox', { name: /URL/ }).first().fill('https://example.com/offline');
      await page.keyboard.press('Enter');
      await page.getByRole('alert').filter({ hasText: 'offline' }).first().waitFor();
      expect(await page.getByRole('textbox', { name: /URL/ }).first().inputValue()).toBe(
        'https://example.com/offline',
      );
      await page.context().setOffline(false);
      await page.getByText(/What you see is from/).waitFor({ state: 'detached' });
    });
  });

  it('asks for a key where the API does, once, and for this tab only', async () => {
    await createUser(asKey(guarded, ADMIN_KEY), uniqueName('listed'));
    const url = await createUrl(asKey(guarded, ADMIN_KEY));
    await open(
      '',
      async ({ page }) => {
        await page.getByLabel('API key').fill('sy_wrong');
        await page.keyboard.press('Enter');
        await page.getByText('Unauthorized').waitFor();
        await typeKey(page);
        await page.getByRole('link', { name: url.short_code }).waitFor();
        await page.reload();
        await page.getByRole('link', { name: url.short_code }).waitFor();
        expect(await page.evaluate('[localStorage.length, document.cookie]')).toEqual([0, '']);
        // What an image and an event source could not ask for.
        await page.getByRole('link', { name: url.short_code }).click();
        await page.getByRole('img', { name: /^QR code of/ }).waitFor();
        const download = page.waitForEvent('download');
        await page.getByRole('link', { name: 'QR as PNG' }).click();
        expect(readFileSync((await (await download).path()) ?? '', 'latin1').startsWith('\x89PNG')).toBe(
          true,
        );
        await page.getByRole('link', { name: 'Live' }).click();
        await page.getByText(/^as of/).waitFor();
        await page.getByRole('link', { name: 'Keys' }).click();
        await page.getByRole('button', { name: 'New key' }).click();
        await page.getByRole('button', { name: 'Create key' }).click();
        await page.getByText("'name' must be a string of 1 to 100 characters").waitFor();
        await page.getByRole('textbox', { name: 'Name' }).fill('of the console');
        await page.getByRole('button', { name: 'Create key' }).click();
        const secret = await page.getByRole('region', { name: 'Your new key' }).locator('code').innerText();
        expect((await asKey(guarded, secret).json('/urls?limit=1')).status).toBe(200);
        await page.getByRole('button', { name: 'Revoke of the console' }).click();
        await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
        await eventually(async () => (await asKey(guarded, secret).json('/urls?limit=1')).status === 401);
        await page.getByRole('link', { name: 'Users' }).click();
        await page.getByRole('link', { name: /^listed/ }).waitFor();
        expect(await seriousFaults(page)).toEqual([]);
        await page.setViewportSize({ width: 360, height: 740 });
        expect(await overflow(page)).toBeLessThanOrEqual(0);
        await page.getByRole('link', { name: 'Keys' }).click();
        await page.getByRole('button', { name: 'New key' }).waitFor();
        expect(await overflow(page)).toBeLessThanOrEqual(0);
      },
      guarded,
    );
  });

  it('asks for a key on no page but that of keys, where the API needs none', async () => {
    const { short_code: code } = await createUrl(suite.server);
    await open('#/keys', async ({ page }) => {
      await page.getByLabel('API key').fill('sy_wrong');
      await page.keyboard.press('Enter');
      await page.getByText('Unauthorized').waitFor();
      await page.getByRole('link', { name: 'Links' }).click();
      await page.getByRole('link', { name: code }).waitFor();
      expect(await page.getByRole('button', { name: 'Forget key' }).count()).toBe(0);
      await page.goBack();
      await page.getByLabel('API key').waitFor();
      await page.goForward();
      await page.getByRole('link', { name: code }).waitFor();
    });
  });

  it.each(['light', 'dark'] as const)(
    'keeps nobody out, in %s and on a narrow window',
    async (colorScheme) => {
      const url = await createUrl(suite.server, {
        original_url: `https://example.com/${'long/'.repeat(300)}`,
        title: 'A title as long as one can be '.repeat(8),
      });
      await open(
        '',
        async ({ page }) => {
          await page.getByRole('link', { name: url.short_code }).waitFor();
          await page.getByRole('button', { name: 'Options' }).click();
          expect(await seriousFaults(page)).toEqual([]);
          await page.getByRole('button', { name: `More for ${url.short_code}` }).click();
          await page.getByRole('button', { name: 'Edit', exact: true }).click();
          expect(await seriousFaults(page)).toEqual([]);
          await page.keyboard.press('Escape');
          for (const address of [`#/links/${url.id}`, '#/live']) {
            await page.goto(`${suite.server.url}/ui/${address}`);
            await page.getByRole('heading', { level: 1 }).waitFor();
            expect(await seriousFaults(page)).toEqual([]);
          }
          await page.setViewportSize({ width: 360, height: 740 });
          for (const address of ['', `#/links/${url.id}`, '#/live']) {
            await page.goto(`${suite.server.url}/ui/${address}`);
            await page.getByRole('heading', { level: 1 }).waitFor();
            expect(await overflow(page), address).toBeLessThanOrEqual(0);
          }
          await page.goto(`${suite.server.url}/ui/`);
          // For a thumb.
          for (const name of [/^Switchyard$/, /^docs$/, new RegExp(`${url.short_code}$`)]) {
            const target = page.getByRole('link', { name });
            expect((await target.boundingBox())?.height, name.source).toBeGreaterThanOrEqual(44);
          }
        },
        suite.server,
        { colorScheme },
      );
    },
  );
});
