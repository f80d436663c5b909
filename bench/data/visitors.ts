import { readFileSync, writeFileSync } from 'node:fs';

/** What browsers send, by the shares that their makers have about; versions differ, as they do in the field. */
const browsers: readonly ((version: number) => string)[] = [
  (v) =>
    `Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${v}.0.0.0 Safari/537.36`,
  (v) =>
    `Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${v}.0.0.0 Mobile Safari/537.36`,
  (v) =>
    `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${v}.0.0.0 Safari/537.36`,
  (v) =>
    `Mozilla/5.0 (iPhone; CPU iPhone OS 18_${v % 7} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.${v % 7} Mobile/15E148 Safari/604.1`,
  (v) => `Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:${v}.0) Gecko/20100101 Firefox/${v}.0`,
  (v) =>
    `Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${v}.0.0.0 Safari/537.36 Edg/${v}.0.0.0`,
];
const VERSIONS = 40;
const OLDEST_VERSION = 100;

/** Where they come from; every third from nowhere that is said. */
const pages = [
  'https://www.google.com/',
  'https://t.co/',
  'https://l.facebook.com/',
  'https://news.example.org/2026/11/an-article-about-something-of-some-length?utm_source=feed',
  'https://mail.example.com/inbox/message/1837465',
  'https://www.reddit.com/',
];
const countries = ['US', 'DE', 'IN', 'BR', 'GB', 'FR', 'JP', 'MX', 'ID', 'TR', 'PL', 'NL'];

export const COUNTRY_HEADER = 'x-country';

/** The headers of one visitor of many, each behind a tab, as a file of paths has them. */
export function visitorHeaders(number: number): string {
  const browser = browsers[number % browsers.length];
  const agent = browser?.(OLDEST_VERSION + (Math.floor(number / browsers.length) % VERSIONS)) ?? '';
  const page = number % 3 === 0 ? undefined : pages[Math.floor(number / 3) % pages.length];
  const country = countries[number % countries.length];
  const referer = page === undefined ? '' : `\tReferer: ${page}`;
  return `\tUser-Agent: ${agent}${referer}\t${COUNTRY_HEADER}: ${country}`;
}

/** The same paths, each with the headers of a visitor of its own. */
export function withVisitors(paths: string, file: string): void {
  const numbers = new Map<string, number>();
  const lines = readFileSync(paths, 'utf8').trimEnd().split('\n');
  const all = lines.map((path) => {
    const number = numbers.get(path) ?? numbers.size;
    numbers.set(path, number);
    return path + visitorHeaders(number);
  });
  writeFileSync(file, `${all.join('\n')}\n`);
}
