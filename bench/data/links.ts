import { writeFileSync } from 'node:fs';
import { Zipf } from './zipf.js';

/**
 * The bench's links: the code and target of number `n` follow from `n` alone, by the same formula in SQL, and
 * need not be read back. All targets have one length, and so do all answers; the bare server can send exactly
 * as many bytes.
 */
const MULTIPLIER = 10_368_889;
const CODE_MASK = 0xffffff;

/** Six hexadecimal digits, scattered: neighbours in number are no neighbours in an index. */
export function codeOf(n: number): string {
  return (Math.imul(n, MULTIPLIER) & CODE_MASK).toString(16).padStart(6, '0');
}

export function targetOf(n: number): string {
  return `https://www.example.com/articles/${codeOf(n)}?utm_source=newsletter&utm_medium=email`;
}

/** The number of users that own the bench's links. */
export const USERS = 1000;

export function userOf(n: number): number {
  return (n % USERS) + 1;
}

/** When link `n` was created, as `fillLinksSql` says it, ms since 1970. */
export function createdMsOf(n: number): number {
  return Date.UTC(2026, 0, 1) + n * 1000;
}

const codeSql = `lpad(to_hex((n * ${MULTIPLIER}) & ${CODE_MASK}), 6, '0')`;

export const fillUsersSql = `
  INSERT INTO users (username, email)
  SELECT 'user' || n, 'user' || n || '@example.com' FROM generate_series(1, ${USERS}) AS n`;

/** Links 1 to `count`, with their numbers for ids. */
export function fillLinksSql(count: number): string {
  return `
  INSERT INTO short_urls (id, user_id, short_code, original_url, title, created_at, updated_at)
  SELECT n, n % ${USERS} + 1, ${codeSql},
         'https://www.example.com/articles/' || ${codeSql} || '?utm_source=newsletter&utm_medium=email',
         'Article ' || n, timestamp '2026-01-01' + n * interval '1 second',
         timestamp '2026-01-01' + n * interval '1 second'
  FROM generate_series(1::bigint, ${count}) AS n`;
}

const ZIPF_EXPONENT = 1;

/** Writes `requests` paths of links 1 to `links`, drawn by Zipf popularity, one a line. */
export function writePopularPaths(file: string, links: number, requests: number, seed = 1): void {
  const zipf = new Zipf(links, ZIPF_EXPONENT, seed);
  const lines: string[] = [];
  // Popular links must be anywhere in the table, not at its start.
  for (let index = 0; index < requests; index += 1) lines.push(`/${codeOf(scatter(zipf.next(), links))}`);
  writeFileSync(file, `${lines.join('\n')}\n`);
}

/** Writes the paths of links `from` to `to`, each once. */
export function writeDistinctPaths(file: string, from: number, to: number): void {
  const lines: string[] = [];
  for (let n = from; n <= to; n += 1) lines.push(`/${codeOf(n)}`);
  writeFileSync(file, `${lines.join('\n')}\n`);
}

/** A rank's link: ranks are spread over the numbers by a step that shares no factor with the count. */
export function scatter(rank: number, links: number): number {
  return ((rank * 7919) % links) + 1;
}
