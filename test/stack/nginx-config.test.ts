import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { root } from '../support/compose.js';
import { checkNginx } from '../support/nginx.js';
import { run } from '../support/program.js';
import { describeWith, toolPath } from '../support/tools.js';

describeWith('nginx', 'openssl')('the Nginx configuration', () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'switchyard-tls-'));
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
      .replace('/etc/nginx/tls/privkey.pem', key);
    const { code, output } = await checkNginx({}, { 'conf.d/50-tls.conf': example });
    expect(output).not.toMatch(/warn|emerg/);
    expect(code).toBe(0);
  });
});
