import { type ErrorCode, errorBody, errorRegistry, problemBody } from '../../errors.js';
import { allowedMethods, routes } from '../registry.js';
import type { RouteDeclaration, Scope, Z } from '../route.js';
import { reasonPhrases, type Status } from '../statuses.js';
import { answerOf, bodyParts } from './answers.js';
import { exampleOf, type JsonSchema, jsonSchemaOf, objectExample } from './json-schema.js';
import { type ResourceName, resources } from './resources.js';

type Json = Record<string, unknown>;

/** Refusals that the routes do not name, since all of a kind have them. */
const everywhere: readonly ErrorCode[] = ['BAD_REQUEST', 'INTERNAL', 'UNAVAILABLE'];
const ofBodies: readonly ErrorCode[] = ['BODY_DEADLINE', 'BODY_TOO_LARGE', 'CONTENT_CODING'];
const ofJson: readonly ErrorCode[] = ['JSON_TOO_DEEP', 'JSON_TOO_MANY_VALUES'];
/** Some of them are there only once keys and limits are. */
const ofKeys: readonly string[] = ['UNAUTHORIZED', 'FORBIDDEN', 'TOO_MANY_REQUESTS'];

const ofIdempotency: readonly ErrorCode[] = [
  'INVALID_IDEMPOTENCY_KEY',
  'IDEMPOTENCY_UNDER_WAY',
  'IDEMPOTENCY_KEY_REUSED',
];

const headerNotes: Readonly<Record<string, string>> = {
  'x-chaos-token': 'the setting `CHAOS_TOKEN`',
  'idempotency-key': 'makes a repeated request safe: the first answer is given again',
  'x-link-password': 'the password of a protected link',
};
/** Said by other parts of the document: media types, security schemes. */
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

/** The OpenAPI 3.1 document, of what the routes declare and the schemas that check requests. */
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
  const named = (routes as readonly RouteDeclaration[]).map((route) => answerOf(route));
  const used = new Set<string>([
    'Error',
    'Problem',
    ...named.flatMap((one) => [one?.one ?? '', one?.listOf ?? '']),
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
    ...parametersOf('query', route.query && jsonSchemaOf(z, route.query(z), 'input')),
    ...route.headers.filter((name) => !otherwiseSaid.includes(name)).map(headerParameter),
    { ...headerParameter('x-request-id'), description: 'given back, and written to the log' },
  ];
  return {
    operationId: operationId(route),
    summary: route.summary,
    tags: [tagOf(path)],
    parameters,
    ...(route.bodyLimit === 'none' ? {} : { requestBody: requestBody(z, route) }),
    responses: { ...successes(route), ...failures(route) },
    security:
      route.scope === 'public'
        ? []
        : // Without a key only where the server does not ask for one.
          [{ bearer: [route.scope] }, { apiKey: [route.scope] }, ...(isGuarded(route) ? [] : [{}])],
  };
}

/** Whether its scope is wanted on every server. */
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

function parametersOf(where: 'query', schema: JsonSchema | undefined): Json[] {
  return Object.entries(schema?.properties ?? {}).map(([name, one]) =>
    parameterOf(where, name, one, schema?.required?.includes(name) ?? false),
  );
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

function headerParameter(name: string): Json {
  const description = headerNotes[name];
  return {
    name: name.replaceAll(/(^|-)[a-z]/g, (letters) => letters.toUpperCase()),
    in: 'header',
    required: false,
    ...(description === undefined ? {} : { description }),
    schema: name === 'idempotency-key' ? { type: 'string', pattern: '^[ -~]{1,255}$' } : { type: 'string' },
    example: name === 'x-request-id' ? 'import-17' : 'text',
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
  // An empty object is refused like what is none.
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

function successes(route: RouteDeclaration): Record<string, Json> {
  const { one, listOf, text, statuses = [], headers = {}, optionalHeaders = {} } = answerOf(route) ?? {};
  const schema = one === undefined ? listOf && { type: 'array', items: reference(listOf) } : reference(one);
  const isEmpty = route.status === 204 || route.performs === 'redirect';
  const content =
    text === undefined
      ? { 'application/json': { schema: schema ?? {} }, ...(listOf === undefined ? {} : otherForms) }
      : { [text]: { schema: { type: 'string' } } };
  return Object.fromEntries(
    [route.status, ...statuses].map((status) => [
      status,
      {
        description: reasonPhrases[status],
        headers: {
          ...requestIdHeader,
          ...Object.fromEntries(Object.entries(headers).map(([name, note]) => [name, header(note)])),
          ...Object.fromEntries(
            Object.entries(optionalHeaders).map(([name, note]) => [
              name,
              { ...header(note), required: false },
            ]),
          ),
          ...(status === 201 && route.resource !== undefined ? { Location: header('of what was made') } : {}),
          ...(route.isIdempotent === true ? { 'Idempotent-Replayed': replayedHeader } : {}),
        },
        ...(isEmpty ? {} : { content }),
      },
    ]),
  );
}

/** Of lists, by `format` or `Accept`. */
const otherForms = {
  'text/csv': { schema: { type: 'string' } },
  'application/x-ndjson': { schema: { type: 'string' } },
};

/** Every refusal under its status, with its text as an example. */
function failures(route: RouteDeclaration): Record<string, Json> {
  const hasBody = route.bodyLimit !== 'none';
  const codes = [
    ...route.errors,
    ...everywhere,
    ...(hasBody ? ofBodies : []),
    ...idempotencyErrors(route),
    ...(route.bodyLimit === 'none' || route.bodyLimit === 'upload' ? [] : ofJson),
    ...(route.scope === 'public' ? [] : ofKeys.filter(isErrorCode)),
    ...(/:\w*id$/.test(route.path) ? (['NOT_FOUND'] as const) : []),
  ];
  const byStatus = new Map<Status, ErrorCode[]>();
  for (const code of new Set(codes)) {
    const { status } = errorRegistry[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].sort(([a], [b]) => a - b).map(([status, those]) => [status, failure(route, status, those)]),
  );
}

function idempotencyErrors(route: RouteDeclaration): readonly ErrorCode[] {
  if (route.isIdempotent === true) return ofIdempotency;
  return route.performs === 'redirect' ? [] : ['IDEMPOTENCY_UNSUPPORTED'];
}

function failure(route: RouteDeclaration, status: Status, codes: readonly ErrorCode[]): Json {
  const examples = (body: (code: ErrorCode) => string) =>
    Object.fromEntries(codes.map((code) => [code, { value: JSON.parse(body(code)) as unknown }]));
  return {
    description: codes.map((code) => errorRegistry[code].text).join('; '),
    headers: {
      ...requestIdHeader,
      ...(status === 503 || status === 429 ? { 'Retry-After': header('seconds', 'integer') } : {}),
      ...(status === 405 ? { Allow: header(allowedMethods(route.path).join(', ')) } : {}),
    },
    content: {
      'application/json': { schema: refusalOf(route, status), examples: examples(errorBody) },
      'application/problem+json': { schema: reference('Problem'), examples: examples(problemBody) },
    },
  };
}

function refusalOf(route: RouteDeclaration, status: Status): Json {
  const { refusals } = answerOf(route) ?? {};
  const isOfTheWhole = refusals !== undefined && (status === 400 || status === 409);
  return isOfTheWhole ? { anyOf: [reference('Error'), reference(refusals)] } : reference('Error');
}

const requestIdHeader = { 'X-Request-ID': header('the same as in the log') };

const replayedHeader: Json = {
  description: 'there if this is the first answer to the same request, given again',
  required: false,
  schema: { type: 'string', enum: ['true'] },
};

function header(description: string, type = 'string'): Json {
  return { description, required: true, schema: { type } };
}

function reference(name: ResourceName): Json {
  return { $ref: `#/components/schemas/${name}` };
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorRegistry, text);
}
