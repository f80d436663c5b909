import { errorRegistry } from '../../errors.js';
import { routes } from '../registry.js';
import type { RouteDeclaration, Scope } from '../route.js';
import type { Z } from '../schema.js';
import { exampleOf, type JsonSchema, jsonSchemaOf, objectExample } from './json-schema.js';
import { resources } from './resources.js';
import { responsesOf } from './responses.js';

type Json = Record<string, unknown>;

const headerNotes: Readonly<Record<string, string>> = {
  'x-chaos-token': 'the setting `CHAOS_TOKEN`',
  'idempotency-key': 'makes a repeated request safe: the first answer is given again',
  'if-none-match': 'the `ETag` of an earlier answer: 304 where it is still the same',
  'x-link-password': 'the password of a protected link',
};
/** Covered by other parts of the document: media types, security schemes. */
const otherwiseSaid = ['content-type', 'authorization', 'x-api-key', 'accept'];

const scopeNotes: Readonly<Record<Scope, string>> = {
  public: 'no key is needed',
  'links:read': 'to read links',
  'links:create': 'to make links',
  'links:write': 'to change and delete links',
  'stats:read': 'to read statistics',
  users: 'users',
  events: 'events',
  ops: 'metrics and logs',
  admin: 'everything',
};

/** Members of a body that are checked as the body of another route is: each of a list, or the member itself. */
const bodyParts: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  createLinks: { urls: 'POST /urls' },
  updateLinks: { set: 'PATCH /urls/:id' },
};

/** The OpenAPI 3.1 document, derived from the routes' declarations and the schemas that check requests. */
export function openapiDocument(z: Z, version: string): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes as readonly RouteDeclaration[]) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}');
    const operation = operationOf(z, route);
    const item = paths[path] ?? {};
    paths[path] = item;
    item[route.method.toLowerCase()] = operation;
    if (route.method === 'GET') item.head = headOf(operation);
  }
  const named = (routes as readonly RouteDeclaration[]).map(({ answer }) => answer);
  const used = new Set<string>([
    'Error',
    'Problem',
    ...named.flatMap((one) => [one.one ?? '', one.listOf ?? '']),
  ]);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Switchyard',
      version,
      summary: 'Short links, their visits, users and events',
      description: introduction(),
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    tags: [...new Set(Object.keys(paths).map(tagOf))].map((name) => ({ name })),
    paths,
    components: {
      schemas: Object.fromEntries(
        Object.entries(resources)
          .filter(([name]) => used.has(name))
          .map(([name, schema]) => [name, jsonSchemaOf(z, schema(z), 'output')]),
      ),
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key' },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'An API key' },
      },
    },
  };
}

function introduction(): string {
  const errors = Object.entries(errorRegistry).map(
    ([code, { status, text }]) => `| \`${code}\` | ${status} | ${text} |`,
  );
  const scopes = Object.entries(scopeNotes).map(([scope, note]) => `| \`${scope}\` | ${note} |`);
  return [
    'Bodies are JSON unless an operation says otherwise. Unknown members of a body are ignored; a query',
    'parameter that resembles a known one is refused. Every answer has an `X-Request-ID`.',
    '',
    'With `API_AUTH=on` operations want a key, as `Authorization: Bearer <key>` or as `X-API-Key`, that',
    'has their scope:',
    '',
    '| scope | |',
    '|---|---|',
    ...scopes,
    '',
    '## Errors',
    'An error is `{"error": "…"}`; with `Accept: application/problem+json` it is RFC 9457, whose `type`',
    'ends in the code:',
    '',
    '| code | status | text |',
    '|---|---|---|',
    ...errors,
  ].join('\n');
}

function tagOf(path: string): string {
  const [, first = ''] = path.split('/');
  return first.startsWith('{') || path.endsWith('/redirect') ? 'redirects' : first;
}

function operationOf(z: Z, route: RouteDeclaration): Json {
  const path = route.path.replaceAll(/:(\w+)/g, '{$1}');
  const parameters = [
    ...pathParameters(z, route),
    ...queryParameters(z, route),
    ...route.headers
      .filter((name) => !otherwiseSaid.includes(name))
      .map((name) =>
        headerParameter(name, name === 'idempotency-key' ? `${operationId(route)}-1` : undefined),
      ),
    { ...headerParameter('x-request-id', 'import-17'), description: 'given back, and written to the log' },
  ];
  return {
    operationId: operationId(route),
    summary: route.summary,
    tags: [tagOf(path)],
    parameters,
    ...(route.bodyLimit === 'none' ? {} : { requestBody: requestBody(z, route) }),
    responses: responsesOf(route),
    security:
      route.scope === 'public'
        ? []
        : // Without a key only where the server does not ask for one.
          [{ bearer: [route.scope] }, { apiKey: [route.scope] }, ...(isGuarded(route) ? [] : [{}])],
  };
}

/** Whether every server requires its scope. */
function isGuarded(route: object): boolean {
  return 'isAlwaysGuarded' in route;
}

/** An operation may have several routes, an id only one. */
function operationId(route: RouteDeclaration): string {
  const same = (routes as readonly RouteDeclaration[]).filter(
    ({ operation }) => operation === route.operation,
  );
  const index = same.indexOf(route);
  return index === 0 ? route.operation : `${route.operation}_${index + 1}`;
}

/** The same answers without a body. */
function headOf(operation: Json): Json {
  const responses = Object.entries(operation.responses as Record<string, Json>).map(([status, response]) => {
    const { content: _none, ...rest } = response;
    return [status, rest];
  });
  return {
    ...operation,
    operationId: `${String(operation.operationId)}_head`,
    summary: `${String(operation.summary)}: the answer's head`,
    responses: Object.fromEntries(responses),
  };
}

function pathParameters(z: Z, route: RouteDeclaration): Json[] {
  const schema = route.params && jsonSchemaOf(z, route.params(z), 'input');
  return [...route.path.matchAll(/:(\w+)/g)].map(([, name = '']) =>
    parameterOf('path', name, schema?.properties?.[name] ?? { type: 'string', minLength: 1 }, true),
  );
}

function queryParameters(z: Z, route: RouteDeclaration): Json[] {
  const query = route.query?.(z);
  if (query === undefined) return [];
  const schema = jsonSchemaOf(z, query, 'input');
  return Object.entries(schema.properties ?? {}).map(([name, one]) => ({
    ...parameterOf('query', name, one, schema.required?.includes(name) ?? false),
    // Most count as absent then.
    ...(query.safeParse({ [name]: '' }).success ? { allowEmptyValue: true } : {}),
  }));
}

function parameterOf(where: string, name: string, schema: JsonSchema, isRequired: boolean): Json {
  const { description, ...rest } = schema;
  return {
    name,
    in: where,
    required: isRequired,
    ...(description === undefined ? {} : { description }),
    schema: rest,
    example: exampleOf(name, schema),
  };
}

function headerParameter(name: string, example = 'text'): Json {
  const description = headerNotes[name];
  return {
    name: name.replaceAll(/(^|-)[a-z]/g, (letters) => letters.toUpperCase()),
    in: 'header',
    required: false,
    ...(description === undefined ? {} : { description }),
    schema: name === 'idempotency-key' ? { type: 'string', pattern: '^[ -~]{1,255}$' } : { type: 'string' },
    example,
  };
}

function requestBody(z: Z, route: RouteDeclaration): Json {
  if (route.bodyLimit === 'upload') {
    const file: JsonSchema = { type: 'string', format: 'binary', contentMediaType: 'text/csv' };
    const schema = { type: 'object', required: ['file'], properties: { file } };
    return {
      required: true,
      content: { 'multipart/form-data': { schema, encoding: { file: { contentType: 'text/csv' } } } },
    };
  }
  const schema = bodySchema(z, route);
  // An empty object is refused like anything that is not an object.
  const body = { ...schema, minProperties: 1 };
  const type = route.bodyLimit === 'form' ? 'application/x-www-form-urlencoded' : 'application/json';
  return { required: true, content: { [type]: { schema: body, example: objectExample(schema) } } };
}

function bodySchema(z: Z, route: RouteDeclaration): JsonSchema {
  if (route.body === undefined) return { type: 'object' };
  const schema = jsonSchemaOf(z, route.body(z), 'input');
  for (const [member, other] of Object.entries(bodyParts[route.operation] ?? {})) {
    const same = (routes as readonly RouteDeclaration[]).find(
      ({ method, path }) => `${method} ${path}` === other,
    );
    const whole = schema.properties?.[member];
    if (same === undefined || whole === undefined) throw new Error(`${other} is not in the registry`);
    const part = { ...bodySchema(z, same), minProperties: 1 };
    schema.properties = {
      ...schema.properties,
      [member]: whole.type === 'array' ? { ...whole, items: part } : part,
    };
    schema.required = [...new Set([...(schema.required ?? []), member])];
  }
  return schema;
}
