import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { forwardedHeaders, isReserved, reservedWords, routes, routeWords } from '../../src/api/registry.js';
import type { RouteDeclaration } from '../../src/api/route.js';
import { Schemas } from '../../src/gateway/schemas.js';
import { makeShortCode } from '../../src/store/short-codes.js';
import { root } from '../support/stack/compose.js';

const declared: readonly RouteDeclaration[] = routes;
const schemas = await Schemas.load();
const nginx = (name: string): string =>
  readFileSync(path.join(root, 'ops/nginx/templates', `${name}.template`), 'utf8');

describe('a route', () => {
  it('is declared once', () => {
    const names = declared.map(({ method, path: template }) => `${method} ${template}`);
    expect(names).toEqual([...new Set(names)]);
  });

  it.each(declared)('$method $path refuses with what it declares, whatever it is given', (route) => {
    const { query, body } = schemas.namesOf(route);
    const value = fc.oneof(
      fc.jsonValue(),
      fc.string(),
      fc.constantFrom('https://e..com', 'https://a', 7, true),
    );
    const objectOf = (names: readonly string[]) =>
      fc.dictionary(fc.constantFrom(...names, 'other'), value, { maxKeys: 5 });
    fc.assert(
      fc.property(fc.string(), objectOf(query), objectOf(body), (id, parameters, members) => {
        const text = Object.entries(parameters)
          .map(([name, one]) => `${name}=${encodeURIComponent(JSON.stringify(one).toWellFormed())}`)
          .join('&');
        for (const checked of [
          schemas.params(route, { id }),
          schemas.query(route, text),
          schemas.body(route, members),
        ]) {
          if (!checked.ok) expect([...route.errors, 'NOT_FOUND']).toContain(checked.error);
        }
      }),
    );
  });
});

describe('a reserved word', () => {
  it('is the first segment of each route, in any letter case', () => {
    for (const { path: template } of declared) {
      const [, first = ''] = template.split('/');
      if (first.startsWith(':')) continue;
      expect([first, isReserved(first), isReserved(first.toUpperCase())]).toEqual([first, true, true]);
    }
    expect(routeWords).toEqual(expect.arrayContaining(['urls', 'users', 'events', 'shorten', 'health']));
    expect(reservedWords).toEqual(expect.arrayContaining(['robots.txt', 'well-known', 'console']));
    expect(isReserved('healthy')).toBe(false);
  });

  it('is never made as a short code', () => {
    const codes = Array.from({ length: 20_000 }, () => makeShortCode(6));
    expect(codes.filter((code) => !/^[A-Za-z0-9]{6}$/.test(code) || isReserved(code))).toEqual([]);
  });
});

describe('the proxy', () => {
  it.each(forwardedHeaders)('passes on the header %s, as much of it as is read', (name, maxLength) => {
    const line = new RegExp(`^proxy_set_header ${name} (\\$\\w+);$`, 'im').exec(nginx('headers.inc'));
    expect(line).not.toBeNull();
    const variable = line?.[1] ?? '';
    const map = nginx('11-headers.conf').split(`${variable} {`)[1] ?? '';
    const [, longest] = /\{[01],(\d+)\}/.exec(map) ?? [];
    expect(Number(longest)).toBeGreaterThanOrEqual(maxLength);
  });

  it('takes uploads of any size where they are taken', () => {
    const [, pattern = ''] = /location ~ "(\^\/\(\?:users\/bulk[^"]*)" \{/.exec(nginx('routes.inc')) ?? [];
    const uploads = declared.filter(({ bodyLimit }) => bodyLimit === 'upload').map((route) => route.path);
    expect(uploads).toContain('/users/bulk');
    for (const upload of uploads) expect(upload).toMatch(new RegExp(pattern));
  });
});
