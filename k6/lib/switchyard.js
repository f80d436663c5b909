// Requests to Switchyard, each with what its answer has to be. Names instead of addresses, so that the
// results have a row a kind of request and not one a link.
import { check } from 'k6';
import http from 'k6/http';
import { Counter, Trend } from 'k6/metrics';

export const BASE_URL = (__ENV.BASE_URL || 'http://localhost').replace(/\/+$/, '');
const JSON_HEADERS = { 'Content-Type': 'application/json' };

/** Time to the answer of a redirect, ms. */
const redirectMs = new Trend('redirect_ms', true);
/** Redirects answered, of the links that setup made: as many clicks have to be counted. */
const redirects = new Counter('redirects');
const clicksCounted = new Counter('clicks_counted');

/** Makes the links of a run, before its clock starts. */
export function makeLinks(count) {
  const { status, error } = http.get(`${BASE_URL}/health`);
  if (status !== 200) throw new Error(`${BASE_URL}/health does not say that all is well: ${error || status}`);
  const links = [];
  while (links.length < count) {
    const number = Math.min(50, count - links.length);
    const requests = Array.from({ length: number }, (_, index) => {
      const body = JSON.stringify({ original_url: `https://example.com/k6/${links.length + index}?from=k6` });
      return ['POST', `${BASE_URL}/urls`, body, { headers: JSON_HEADERS, tags: { name: 'setup' } }];
    });
    for (const response of http.batch(requests)) {
      if (response.status !== 201) throw new Error(`POST /urls: ${response.status} ${response.body}`);
      const { id, short_code, original_url } = response.json();
      links.push({ id, code: short_code, target: original_url });
    }
  }
  return links;
}

/** Follows a link, not to its target. */
export function follow({ code, target }, isCounted = true) {
  const response = http.get(`${BASE_URL}/${code}`, {
    redirects: 0,
    responseType: 'none',
    tags: { name: 'redirect' },
  });
  redirectMs.add(response.timings.duration);
  const isRight = check(response, {
    'redirect: 302': ({ status }) => status === 302,
    'redirect: to the target': ({ headers }) => headers.Location === target,
  });
  if (isRight && isCounted) redirects.add(1);
}

export function unknownCode() {
  const response = http.get(`${BASE_URL}/NoSuchCode${Math.floor(Math.random() * 1e6)}`, {
    tags: { name: 'unknown code' },
    responseCallback: http.expectedStatuses(404),
  });
  check(response, { 'unknown code: 404 as JSON': (r) => r.status === 404 && r.json('error') !== undefined });
}

/** Makes a link and follows it: the first visit is always a miss. */
export function shortenAndFollow() {
  const target = `https://example.com/k6/${__VU}/${__ITER}`;
  const response = http.post(`${BASE_URL}/shorten`, JSON.stringify({ url: target }), {
    headers: JSON_HEADERS,
    tags: { name: 'shorten' },
  });
  const isMade = check(response, {
    'shorten: 201': ({ status }) => status === 201,
    'shorten: with a code of six': (r) => r.status === 201 && /^[A-Za-z0-9]{6}$/.test(r.json('short_code')),
  });
  if (isMade) follow({ code: response.json('short_code'), target }, false);
}

/** A page of a list. */
export function list(path) {
  const response = http.get(`${BASE_URL}${path}`, { tags: { name: `list ${path.match(/^\/\w+/)[0]}` } });
  check(response, {
    'list: 200 and an array': (r) => r.status === 200 && Array.isArray(r.json()),
  });
}

export function getLink({ id, code }) {
  const response = http.get(`${BASE_URL}/urls/${id}`, { tags: { name: 'get link' } });
  check(response, { 'get link: the one': (r) => r.status === 200 && r.json('short_code') === code });
}

/** When the run is over: the clicks that the links' counters have. */
export function countClicks(links) {
  const params = { tags: { name: 'teardown' } };
  // A read of events waits for the clicks before it, and says when they are not all there yet.
  for (let attempt = 0; attempt < 60; attempt += 1) {
    const response = http.get(`${BASE_URL}/events?page=1&per_page=1`, params);
    if (response.status === 200 && response.headers['X-Clicks-Pending'] === undefined) break;
  }
  for (const { id } of links) {
    clicksCounted.add(http.get(`${BASE_URL}/urls/${id}`, params).json('click_count'));
  }
}
