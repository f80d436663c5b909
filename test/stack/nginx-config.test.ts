import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { forwardedHeaders, reservedWords, routes, routeWords } from '../../src/api/registry.js';
import { describeSettings } from '../../src/config.js';
import { bodyClasses } from '../../src/gateway/http/body-limits.js';
import { makeFolder } from '../support/machine/folders.js';
import { describeWith, toolPath } from '../support/machine/tools.js';
import { freePort, run } from '../support/server/program.js';
import { root } from '../support/stack/compose.js';
import { checkNginx } from '../support/stack/nginx.js';

const template = (name: string): string =>
  readFileSync(path.join(root, 'ops/nginx/templates', `${name}.template`), 'utf8');

describe('the Nginx configuration and the registry of routes agree', () => {
  it.each(forwardedHeaders)('on the header %s, of at least %i characters', (name, maxLength) => {
    const line = new RegExp(`^proxy_set_header ${name} \\$(\\w+);$`, 'im').exec(template('headers.inc'));
    expect(line).not.toBeNull();
    const variable = line?.[1] ?? '';
    // Its own values are bounded already: the visitor's address and scheme, and the request's id.
    if (!variable.startsWith('forwarded_')) return;
    const map = new RegExp(`\\$${variable} \\{\\n[^}]*?\\{[01],(\\d+)\\}`).exec(template('11-headers.conf'));
    expect(Number(map?.[1])).toBeGreaterThanOrEqual(Math.min(maxLength, 512));
  });

  it('on what is no short code', () => {
    const [, words = ''] = /location ~ "\^\/\(\?!\(\?:([\w|-]+)\)\/\?\$\)/.exec(template('routes.inc')) ?? [];
    const listed = new Set(words.split('|'));
    expect(routeWords.filter((word) => !listed.has(word) && /^[\w-]+$/.test(word))).toEqual([]);
    // Nothing but a reserved word, for a code that is one of these would lose its redirect.
    const known = new Set([...reservedWords, 'keys', 'stats', 'docs']);
    expect([...listed].filter((word) => !known.has(word))).toEqual([]);
  });

  it('on the sizes of bodies: Nginx refuses none that the server takes', () => {
    const fallback = (name: string): number =>
      Number(describeSettings().find((one) => one.name === name)?.fallback);
    expect(fallback('BODY_MAX_BYTES')).toBeLessThanOrEqual(10 * 1024 * 1024);
    expect(template('10-http.conf')).toContain('client_max_body_size 10m;');
    for (const { path: address, bodyLimit } of routes) {
      if (bodyLimit !== 'bulk') continue;
      const block = new RegExp(`^location = ${address} \\{[^]*?\n\\}`, 'm').exec(template('routes.inc'))?.[0];
      expect(block).toContain(`client_max_body_size ${bodyClasses(1).bulk.maxBytes / 1024 ** 2}m;`);
    }
    const [, imports = ''] = /^location ~ "(\S+)" \{[\s\S]*?1g;/m.exec(
      template('routes.inc').slice(template('routes.inc').indexOf('# Imports')),
    ) ?? [''];
    const uploads = routes.filter(({ bodyLimit }) => bodyLimit === 'upload');
    for (const { path: address } of uploads) expect(address).toMatch(new RegExp(imports));
    expect(fallback('IMPORT_MAX_BYTES')).toBeLessThanOrEqual(1024 ** 3);
    expect(template('routes.inc')).toContain('client_max_body_size 1g;');
  });
});

describeWith('nginx', 'openssl')('the Nginx configuration', () => {
  let folder: string;

  beforeAll(() => {
    folder = makeFolder('tls');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('is accepted by Nginx, without a warning', async () => {
    const { code, output } = await checkNginx();
    expect(output).not.toMatch(/warn|emerg/);
    expect(code).toBe(0);
  });

  it('is accepted with every option that .env.example offers', async () => {
    const { code, output } = await checkNginx({
      NGINX_BALANCE: 'hash $balance_key consistent;',
      NGINX_RATE_LIMIT: 'on',
      NGINX_RATE: '5r/s',
      NGINX_ACCESS_LOG: 'off',
      NGINX_TRUSTED_PROXY: '10.0.0.0/8',
    });
    expect(output).not.toMatch(/warn|emerg/);
    expect(code).toBe(0);
  });

  it('is accepted with the TLS example beside it', async () => {
    const key = path.join(folder, 'key.pem');
    const certificate = path.join(folder, 'certificate.pem');
    const made = await run(toolPath('openssl'), [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=links.example.com'],
      ...['-keyout', key, '-out', certificate],
    ]);
    expect(made.code).toBe(0);
    const example = readFileSync(path.join(root, 'ops/nginx/tls.conf.example'), 'utf8')
      .replace('/etc/nginx/tls/fullchain.pem', certificate)
      .replace('/etc/nginx/tls/privkey.pem', key)
      // The check binds what is listened on, which may be taken here, or not ours to take.
      .replace('listen 8443', `listen 127.0.0.1:${await freePort()}`)
      .replace('listen 8080', `listen 127.0.0.1:${await freePort()}`);
    expect(example).not.toMatch(/listen \d+[ ;]/);
    const { code, output } = await checkNginx({}, { 'conf.d/50-tls.conf': example });
    expect(output).not.toMatch(/warn|emerg/);
    expect(code).toBe(0);
  });
});
