import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { resources } from '../../src/api/openapi/resources.js';
import { allowedMethods, routes } from '../../src/api/registry.js';
import type { RouteDeclaration } from '../../src/api/route.js';
import { type ErrorCode, errorRegistry } from '../../src/errors.js';
import { bodyOf } from '../support/clients/api-client.js';
import { ADMIN_KEY, makeKey } from '../support/clients/keys.js';
import { type OpenApiOperation, openApiDocument } from '../support/clients/openapi-document.js';
import { createUrl, createUser, uniqueName, useServer } from '../support/server/suite.js';

const suite = useServer({ CHAOS_TOKEN: 'let me in', ADMIN_KEY });
const all = routes as readonly RouteDeclaration[];

const templated = (path: string): string => path.replaceAll(/:(\w+)/g, '{$1}');

async function operation(route: RouteDeclaration): Promise<OpenApiOperation> {
  const { paths } = await openApiDocument(suite.server);
  const found = paths[templated(route.path)]?.[route.method.toLowerCase()];
  if (found === undefined) throw new Error(`the document has no ${route.method} ${route.path}`);
  return found;
}

describe('GET /openapi.json', () => {
  it('has every route of the registry, with HEAD where it is served, and nothing else', async () => {
    const { openapi, paths } = await openApiDocument(suite.server);
    expect(openapi).toBe('3.1.0');
    const documented = Object.entries(paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const declared = [...new Set(all.map(({ path }) => path))].flatMap((path) =>
      allowedMethods(path).map((method) => `${method} ${templated(path)}`),
    );
    expect(documented.sort()).toEqual(declared.sort());
    const ids = Object.values(paths).flatMap((item) =>
      Object.values(item).map(({ operationId }) => operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });

  it.each(all.map((route) => [`${route.method} ${route.path}`, route] as const))(
    '%s: parameters, body, statuses, errors and scope',
    async (_name, route) => {
      const { parameters, requestBody, responses, security } = await operation(route);
      const names = (where: string): string[] =>
        parameters.flatMap((one) => (one.in === where ? [one.name] : []));
      expect(names('path')).toEqual([...route.path.matchAll(/:(\w+)/g)].map(([, name]) => name));
      expect(names('query').sort()).toEqual(Object.keys(route.query?.(z).shape ?? {}).sort());
      expect(parameters.every(({ example }) => example !== undefined)).toBe(true);
      expect(requestBody === undefined).toBe(route.bodyLimit === 'none');
      expect(Object.keys(responses)).toContain(String(route.status));
      for (const code of route.errors) {
        const { status, text } = errorRegistry[code];
        const content = responses[status]?.content ?? {};
        expect(content['application/json']?.examples?.[code]?.value).toMatchObject({ error: text });
        expect(content['application/problem+json']?.examples?.[code]?.value).toMatchObject({ status });
      }
      if (route.scope === 'public') expect(security).toEqual([]);
      else expect(security).toContainEqual({ bearer: [route.scope] });
    },
  );

  it('says what `/<code>+` answers, which has no Location', async () => {
    const { server } = suite;
    const url = await createUrl(server);
    const { responses } = (await openApiDocument(server)).paths['/{short_code}']?.get ?? {};
    expect(Object.keys(responses?.[200]?.content ?? {})).toEqual(['application/json', 'text/html']);
    expect(Object.keys(responses?.[302]?.headers ?? {})).toContain('Location');
    expect(Object.keys(responses?.[200]?.headers ?? {})).not.toContain('Location');
    const { status, body } = await server.json(`/${url.short_code}+`);
    expect(status).toBe(200);
    resources.LinkPreview(z).parse(body);
  });

  it('has examples that its own schemas let pass', async () => {
    const { paths, components } = await openApiDocument(suite.server);
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    for (const [path, item] of Object.entries(paths)) {
      for (const [method, { parameters, requestBody }] of Object.entries(item)) {
        const examples = [
          ...parameters.map(({ schema, example }) => ({ schema, example })),
          ...Object.values(requestBody?.content ?? {}),
        ].filter(({ example }) => example !== undefined);
        for (const { schema, example } of examples) {
          const isValid = ajv.validate({ ...schema, components }, example);
          expect(isValid, `${method} ${path}: ${JSON.stringify(example)} ${ajv.errorsText()}`).toBe(true);
        }
      }
    }
  });
});

describe('errors after RFC 9457', () => {
  const problem = { accept: 'text/html, application/problem+json; q=0.9' };

  it.each([
    ['/urls/999999999', 'URL_NOT_FOUND', 404],
    ['/urls?page=x', 'INVALID_PAGE', 400],
    ['/nothing/here', 'NOT_FOUND', 404],
    ['/nosuchcode', 'SHORT_URL_NOT_FOUND', 404],
  ] satisfies [string, ErrorCode, number][])('%s', async (path, code, status) => {
    const response = await suite.server.fetch(path, { headers: problem });
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    const { text } = errorRegistry[code];
    expect(await response.json()).toEqual({
      type: `/docs#/errors/${code}`,
      title: text,
      status,
      detail: text,
    });
  });

  it('in any letter case of the media type', async () => {
    const headers = { accept: 'Application/PROBLEM+json' };
    const response = await suite.server.fetch('/urls/999999999', { headers });
    expect(response.headers.get('content-type')).toBe('application/problem+json');
  });

  it('only for who asks for them', async () => {
    for (const accept of [
      '*/*',
      'application/json',
      'application/problem+json;q=0',
      'application/problem+jsonx',
    ]) {
      const response = await suite.server.fetch('/urls/999999999', { headers: { accept } });
      expect(response.headers.get('content-type')).toBe('application/json');
      expect(await response.json()).toEqual({ error: 'URL not found' });
    }
  });
});

/** What has to be there for a route's request, and the request; made anew for each. */
async function ask({ method, path }: RouteDeclaration): Promise<Response> {
  const { server } = suite;
  const user = await createUser(server);
  const url = await createUrl(server, { user_id: user.id });
  const event = bodyOf(await server.post('/events', { event_type: 'view', url_id: url.id }), 201);
  const key = await makeKey(server, { scopes: ['users'] });
  const ids: Readonly<Record<string, number>> = {
    '/keys/:id': key.id,
    '/users/:id': user.id,
    '/urls/:id': url.id,
    '/urls/:id/qr': url.id,
    '/events/:id': event.id,
  };
  const bodies: Readonly<Record<string, object>> = {
    '/shorten': { url: 'https://example.com/' },
    '/urls': { original_url: 'https://example.com/', tags: ['a'], expires_at: '2099-01-01T00:00:00Z' },
    '/urls/:id': { title: 'changed' },
    'POST /urls/bulk': { urls: [{ original_url: 'https://example.com/' }] },
    'PATCH /urls/bulk': { ids: [url.id], set: { title: 'changed' } },
    'DELETE /urls/bulk': { ids: [url.id] },
    '/users': { username: uniqueName(), email: 'a@example.com' },
    '/keys': { name: 'a', scopes: ['users'] },
    '/users/:id': { email: 'b@example.com' },
    '/events': { event_type: 'view', details: { a: 1 } },
  };
  const [, script = ''] = /src="\/ui\/([^"]+\.js)"/.exec(await (await server.fetch('/ui/')).text()) ?? [];
  const pathname = path
    .replace(':id', String(ids[path.replace(/(:id)\/.*/, '$1')]))
    .replace(':short_code', url.short_code)
    .replace(':file', script);
  const init: RequestInit = { method, headers: { 'x-chaos-token': 'let me in', 'x-api-key': ADMIN_KEY } };
  const files: Readonly<Record<string, string>> = {
    '/users/bulk': `username,email\n${uniqueName()},c@example.com\n`,
    '/urls/import': 'original_url\nhttps://example.com/\n',
  };
  const file = files[path];
  if (file !== undefined) {
    const form = new FormData();
    form.append('file', new Blob([file]), 'file.csv');
    return server.fetch(pathname, { method, body: form });
  }
  const sent = bodies[`${method} ${path}`] ?? bodies[path];
  if (method === 'GET' || (method === 'DELETE' && sent === undefined)) return server.fetch(pathname, init);
  const type = { 'content-type': 'application/json', 'x-api-key': ADMIN_KEY };
  return server.fetch(pathname, { method, headers: type, body: JSON.stringify(sent) });
}

// The server does not outlive this one.
const last = (route: RouteDeclaration): number => (route.operation === 'chaos' ? 1 : 0);

describe('what the server answers', () => {
  it.each(
    [...all]
      .sort((a, b) => last(a) - last(b))
      .map((route) => [`${route.method} ${route.path}`, route] as const),
  )('%s: as the document says', async (_name, route) => {
    const described = (await operation(route)).responses[route.status];
    const response = await ask(route);
    expect(response.status).toBe(route.status);
    for (const [name, { required }] of Object.entries(described?.headers ?? {}))
      if (required) expect(response.headers.has(name), name).toBe(true);
    const { answer } = route;
    const [type] = Object.keys(described?.content ?? {});
    if (type === undefined) {
      expect(await response.text()).toBe('');
      return;
    }
    expect(response.headers.get('content-type')?.split(';')[0]).toBe(type);
    if (answer.text !== undefined || answer.files !== undefined) {
      // The first piece will do: live figures have no end.
      const reader = response.body?.getReader();
      expect((await reader?.read())?.value?.length).toBeGreaterThan(0);
      await reader?.cancel();
      return;
    }
    const body: unknown = await response.json();
    const { one, listOf } = answer;
    const schema = one === undefined ? listOf && z.array(resources[listOf](z)) : resources[one](z);
    // Strict: a member that is not declared is a failure.
    if (schema !== undefined) schema.parse(body);
    if (listOf !== undefined) expect(body).not.toEqual([]);
  });
});
