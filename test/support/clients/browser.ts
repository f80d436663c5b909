import type { Browser, Page } from 'playwright-core';
import { chromium } from 'playwright-core';
import { afterAll, beforeAll } from 'vitest';
import { toolPath } from '../machine/tools.js';

export interface BrowserSuite {
  readonly browser: Browser;
}

/** Debian's Chromium, one for all tests of a file. */
export function useBrowser(): BrowserSuite {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: toolPath('chromium'),
      args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
    });
  });
  afterAll(async () => {
    await browser?.close();
  });
  return {
    get browser() {
      return browser;
    },
  };
}

export interface Visit {
  readonly page: Page;
  /** Every address that was asked for. */
  readonly asked: readonly string[];
  /** What the browser complained of, but for answers that were no success. */
  readonly complaints: readonly string[];
  readonly end: () => Promise<void>;
}

export interface VisitOptions {
  readonly width?: number;
  readonly colorScheme?: 'light' | 'dark';
  readonly runsScripts?: boolean;
}

/** Somebody with a fresh browser, who has opened a page. */
export async function visit(
  { browser }: BrowserSuite,
  address: string,
  options: VisitOptions = {},
): Promise<Visit> {
  const { width = 1280, colorScheme = 'light', runsScripts = true } = options;
  const context = await browser.newContext({
    viewport: { width, height: 800 },
    colorScheme,
    javaScriptEnabled: runsScripts,
    reducedMotion: 'reduce',
    timezoneId: 'Europe/Berlin',
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  const page = await context.newPage();
  const asked: string[] = [];
  const complaints: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      complaints.push(message.text());
  });
  await page.goto(address);
  return { page, asked, complaints, end: () => context.close() };
}
