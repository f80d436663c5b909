import { chromium } from 'playwright-core';
import { expect, it } from 'vitest';
import { describeWith, toolPath } from '../support/machine/tools.js';
import { useServer } from '../support/server/suite.js';

const suite = useServer();

describeWith('chromium')('GET /docs', () => {
  it('shows the operations in a browser, asks this server alone and breaks none of its own rules', async () => {
    const browser = await chromium.launch({
      executablePath: toolPath('chromium'),
      args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
    });
    try {
      const page = await browser.newPage();
      const asked: string[] = [];
      const complaints: string[] = [];
      page.on('request', (request) => asked.push(request.url()));
      page.on('console', (message) => {
        if (message.type() === 'error') complaints.push(message.text());
      });
      page.on('pageerror', (error) => complaints.push(error.message));
      await page.goto(`${suite.server.url}/docs`);
      const operation = page.locator('#operations-urls-updateLink');
      await operation.waitFor({ timeout: 60_000 });
      expect(await operation.innerText()).toContain('changes the given fields of a link');
      // Opened, it shows its parameters and answers.
      await operation.click();
      await operation.locator('.responses-wrapper').waitFor({ timeout: 60_000 });
      const hosts = asked.filter((url) => !url.startsWith('data:')).map((url) => new URL(url).origin);
      expect(asked.length).toBeGreaterThan(3);
      expect([...new Set(hosts)]).toEqual([suite.server.url]);
      expect(complaints).toEqual([]);
    } finally {
      await browser.close();
    }
  });
});

it('allows no script but those of its own files', async () => {
  const { server } = suite;
  const response = await server.fetch('/docs');
  const policy = response.headers.get('content-security-policy') ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("script-src 'self';");
  expect(await response.text()).not.toMatch(/<script>|<script(?![^>]*src=)|https?:\/\//);
});

it('serves the library whole, also to a reader who is slow', async () => {
  const { server } = suite;
  const response = await server.fetch('/docs/swagger-ui-bundle.js');
  const length = Number(response.headers.get('content-length'));
  let received = 0;
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    received += part.value.length;
    if (received < 1_000_000) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(length).toBeGreaterThan(1_000_000);
  expect(received).toBe(length);
});
