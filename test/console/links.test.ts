import { beforeAll, describe, expect, it } from 'vitest';
import type { Url } from '../support/clients/answers.js';
import { useBrowser, type Visit, type VisitOptions, visit } from '../support/clients/browser.js';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { createUrl, uniqueName, useServer } from '../support/server/suite.js';

const suite = useServer();

describeWith('chromium')('the console', () => {
  const browser = useBrowser();
  const MANY = 100_000;

  /** Opens the console; whatever the test does, nothing foreign is asked and nothing complained of. */
  async function open(
    address = '',
    act: (visit: Visit) => Promise<void>,
    options: VisitOptions = {},
  ): Promise<void> {
    const opened = await visit(browser, `${suite.server.url}/ui/${address}`, options);
    try {
      await act(opened);
      const hosts = opened.asked.filter((url) => !url.startsWith('blob:')).map((url) => new URL(url).origin);
      expect([...new Set(hosts)]).toEqual([suite.server.url]);
      expect(opened.complaints).toEqual([]);
    } finally {
      await opened.end();
    }
  }
  const linksLike = (query: string): Promise<Url[]> => suite.server.get(`/urls?${query}`);
  const clipboard = ({ page }: Visit): Promise<string> => page.evaluate('navigator.clipboard.readText()');

  it('teaches where there are no links yet', async () => {
    await open('', async ({ page }) => {
      await page.getByText('No links yet').waitFor();
      await page.getByText(`curl ${suite.server.url}/shorten`).waitFor();
    });
  });

  it('makes a link of a pasted URL and Enter, and copies it', async () => {
    await open('', async (opened) => {
      const { page } = opened;
      await page.locator('input[name=url]:focus').waitFor();
      await page.keyboard.type('https://example.com/from-the-console');
      await page.keyboard.press('Enter');
      const made = page.getByRole('region', { name: 'Your short link' });
      await made.getByText('copied to the clipboard').waitFor();
      const [link] = await linksLike('q=from-the-console');
      expect(await clipboard(opened)).toBe(`${suite.server.url}/${link?.short_code}`);
      await page.evaluate("navigator.clipboard.writeText('')");
      await made.getByRole('button', { name: /^Copy/ }).click();
      await made.getByText('Copied', { exact: true }).waitFor();
      expect(await clipboard(opened)).toBe(`${suite.server.url}/${link?.short_code}`);
      // And it is the first of the list.
      await page.getByRole('row').nth(1).getByText(String(link?.short_code)).waitFor();
    });
  });

  it('takes a code of one’s own beside it, and keeps what was typed when the server says no', async () => {
    const taken = await createUrl(suite.server);
    await open('', async ({ page }) => {
      const url = page.getByRole('textbox', { name: /link|URL/ });
      const code = page.getByRole('textbox', { name: 'Short code' });
      await url.fill('ftp://example.com/');
      await page.getByRole('button', { name: 'Shorten' }).click();
      await expectInvalid(url, 'URL must start with http:// or https://');
      await url.fill('https://example.com/');
      await code.fill(taken.short_code);
      await page.keyboard.press('Enter');
      await expectInvalid(code, 'Short code already taken');
      expect(await url.inputValue()).toBe('https://example.com/');
      const own = uniqueName('own');
      await code.fill(own);
      await page.keyboard.press('Enter');
      await page.getByRole('region', { name: 'Your short link' }).getByText(`/${own}`).waitFor();
      expect(await linksLike(`short_code=${own}`)).toHaveLength(1);
    });
  });

  it('has all options in one form, with what is wrong at its field', async () => {
    await open('', async ({ page }) => {
      const code = uniqueName('options');
      await page.getByRole('textbox', { name: /URL/ }).first().fill('https://example.com/with-options');
      await page.getByRole('textbox', { name: 'Short code' }).fill(code);
      await page.getByRole('button', { name: 'Options' }).click();
      await page.getByLabel('Title').fill('مرحبا <b>');
      await page.getByLabel('Tags').fill('Spring, mail');
      await page.getByLabel('Click limit').fill('none');
      await page.getByLabel('Expires').fill('2030-07-01T12:00');
      await page.getByRole('button', { name: 'Shorten' }).click();
      await expectInvalid(page.getByLabel('Click limit'), "'max_clicks' must be an integer");
      await page.getByLabel('Click limit').fill('7');
      await page.getByRole('button', { name: 'Shorten' }).click();
      await page.getByRole('region', { name: 'Your short link' }).waitFor();
      const [link] = await linksLike(`short_code=${code}`);
      // Typed in Berlin, in summer.
      const expected = {
        title: 'مرحبا <b>',
        tags: ['mail', 'spring'],
        max_clicks: 7,
        expires_at: '2030-07-01T10:00:00',
      };
      expect(link).toMatchObject(expected);
    });
  });

  it('deletes with ten seconds to undo it', async () => {
    const [kept, gone] = [await createUrl(suite.server), await createUrl(suite.server)];
    await open('', async ({ page }) => {
      for (const { short_code: code } of [kept, gone]) {
        await page.getByRole('button', { name: `More for ${code}` }).click();
        await page.getByRole('button', { name: 'Delete', exact: true }).click();
        await page.getByRole('link', { name: code }).waitFor({ state: 'detached' });
      }
      await page
        .getByText(`${kept.short_code} is deleted`)
        .locator('..')
        .getByRole('button', { name: 'Undo' })
        .click();
      await page.getByRole('link', { name: kept.short_code }).waitFor();
      await eventually(async () => (await linksLike(`short_code=${gone.short_code}`)).length === 0, 20_000);
      expect(await linksLike(`short_code=${kept.short_code}`)).toHaveLength(1);
    });
  });

  it('searches for anything that is typed, and says where it does not look', async () => {
    const { short_code: code } = await createUrl(suite.server, { title: 'z9' });
    await open('', async ({ page }) => {
      await page.getByRole('link', { name: code }).waitFor();
      const search = page.getByRole('searchbox');
      await search.fill(`${suite.server.url}/%zz`);
      await page.getByText('No links match').waitFor();
      expect(await page.getByText(/searched from/).count()).toBe(0);
      await search.fill('z9');
      await page.getByText('Titles and targets are searched from 3 characters').waitFor();
      await search.fill(`${suite.server.url}/${code}`);
      await page.getByRole('link', { name: code }).waitFor();
    });
  });

  it('shows the last 30 days of a link as a line of bars', async () => {
    const { id, short_code: code } = await createUrl(suite.server);
    const quiet = await createUrl(suite.server);
    for (let clicks = 0; clicks < 3; clicks += 1)
      expect((await suite.server.post('/events', { event_type: 'click', url_id: id })).status).toBe(201);
    await open('', async ({ page, asked }) => {
      const row = page.getByRole('row').filter({ hasText: code });
      await row.getByRole('img', { name: '3 clicks in the last 30 days' }).waitFor();
      await page.getByRole('link', { name: quiet.short_code }).waitFor();
      // A link that nobody has followed is not asked about.
      expect(asked.filter((url) => url.includes(`/urls/${quiet.id}/stats`))).toEqual([]);
    });
  });

  it('says what it waits for while the server is slow, and asks again when it gave no answer', async () => {
    const { short_code: code } = await createUrl(suite.server);
    await open('', async ({ page }) => {
      await page.getByRole('link', { name: code }).waitFor();
      const [script, list] = [held(), held()];
      await page.route(/\/ui\/index-.*\.js/, (route) => script.over.then(() => route.continue()));
      await page.route(/\/urls\?/, (route) => list.over.then(() => route.abort('timedout')));
      // The page does not find out by itself that the server is there again.
      await page.route(/\/health/, (route) => route.abort());
      await page.reload({ waitUntil: 'commit' });
      await page.getByText('Loading', { exact: true }).waitFor();
      script.release();
      await page.locator('.skeleton').waitFor();
      await page.getByText('This takes longer than usual').waitFor();
      await page.getByRole('textbox', { name: /URL/ }).first().fill('https://example.com/meanwhile');
      list.release();
      const refused = page.getByRole('alert').filter({ hasText: 'Try again' });
      await refused.getByText('The server does not answer').waitFor();
      await page.unroute(/\/urls\?/);
      await refused.getByRole('button', { name: 'Try again' }).click();
      await page.getByRole('link', { name: code }).waitFor();
      await refused.waitFor({ state: 'detached' });
      expect(await page.getByRole('textbox', { name: /URL/ }).first().inputValue()).toBe(
        'https://example.com/meanwhile',
      );
    });
  });

  it('says that it needs JavaScript, where there is none', async () => {
    await open(
      '',
      async ({ page }) => {
        await page.locator('noscript p').waitFor();
        expect(await page.locator('noscript p').innerText()).toContain('The console needs JavaScript');
        expect(await page.getByRole('link', { name: 'API' }).getAttribute('href')).toBe('/docs');
        expect(await page.getByText('Loading', { exact: true }).isVisible()).toBe(false);
      },
      { runsScripts: false },
    );
  });

  describe('with 100,000 links', () => {
    beforeAll(async () => {
      await suite.database.query(
        `INSERT INTO short_urls (original_url, short_code, title, tags, is_active, created_at, updated_at)
         SELECT 'https://shop.example/product/' || n, 'many-' || n, 'Product ' || n, ARRAY['t' || n % 10],
                n % 50 <> 0, now() - n * interval '1 minute', now() FROM generate_series(1, ${MANY}) AS n`,
      );
    });

    it('pages by cursor, newest first, and goes back', async () => {
      await open('', async ({ page }) => {
        await page.getByText('10,000+ links').waitFor();
        const first = await page.getByRole('row').nth(1).innerText();
        await page.getByRole('button', { name: 'Next' }).click();
        await eventually(async () => (await page.getByRole('row').nth(1).innerText()) !== first);
        expect(page.url()).toContain('after=');
        await page.goBack();
        await eventually(async () => (await page.getByRole('row').nth(1).innerText()) === first);
      });
    });

    it('finds by search, tag and state, all in the address, which can be opened again', async () => {
      let address = '';
      await open('', async ({ page }) => {
        await page.getByRole('searchbox').fill('product/4321');
        await page.getByText('11 links').waitFor();
        await page.getByRole('combobox', { name: 'Tag' }).fill('t1');
        await page.getByText('2 links').waitFor();
        await page.getByRole('combobox', { name: 'State' }).selectOption('Active');
        await page.getByRole('combobox', { name: 'Sort' }).selectOption('Oldest');
        await eventually(() =>
          Promise.resolve(/q=product.*tag=t1.*state=active.*sort=created_at/.test(page.url())),
        );
        address = page.url().split('/ui/')[1] ?? '';
      });
      await open(address, async ({ page }) => {
        await page.getByText('2 links').waitFor();
        expect(await page.getByRole('searchbox').inputValue()).toBe('product/4321');
        const rows = await page.getByRole('row').allInnerTexts();
        expect(rows.slice(1).map((row) => /many-\d+/.exec(row)?.[0])).toEqual(['many-43211', 'many-4321']);
      });
    });

    it('finds a link by its short URL, as somebody pastes it', async () => {
      await open('', async ({ page }) => {
        await page.keyboard.press('Escape');
        await page.getByRole('searchbox').fill(`${suite.server.url}/many-77`);
        await page.getByText('1 link', { exact: true }).waitFor();
        await page.getByRole('link', { name: 'many-77' }).waitFor();
      });
    });
  });
});

/** What something waits for until it is released. */
function held(): { readonly over: Promise<void>; readonly release: () => void } {
  let release = (): void => undefined;
  const over = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { over, release };
}

/** A field that is marked as wrong, and described by why. */
async function expectInvalid(field: import('playwright-core').Locator, message: string): Promise<void> {
  await eventually(async () => (await field.getAttribute('aria-invalid')) === 'true');
  const ids = ((await field.getAttribute('aria-describedby')) ?? '').split(' ');
  const texts = await Promise.all(ids.map((id) => field.page().locator(`[id="${id}"]`).innerText()));
  expect(texts.join(' ')).toContain(message);
}
