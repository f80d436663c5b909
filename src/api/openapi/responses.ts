import { type ErrorCode, errorBody, errorRegistry, problemBody } from '../../errors.js';
import { allowedMethods } from '../registry.js';
import type { RouteDeclaration } from '../route.js';
import { reasonPhrases, type Status } from '../statuses.js';
import type { ResourceName } from './resources.js';

type Json = Record<string, unknown>;

/** Refusals that routes do not name, because all routes of a kind have them. */
const everywhere: readonly ErrorCode[] = ['BAD_REQUEST', 'INTERNAL', 'UNAVAILABLE'];
const ofBodies: readonly ErrorCode[] = ['BODY_DEADLINE', 'BODY_TOO_LARGE', 'CONTENT_CODING'];
const ofJson: readonly ErrorCode[] = ['JSON_TOO_DEEP', 'JSON_TOO_MANY_VALUES'];
/** Some of them exist only with keys and limits. */
const ofKeys: readonly string[] = ['UNAUTHORIZED', 'FORBIDDEN', 'TOO_MANY_REQUESTS'];

const ofIdempotency: readonly ErrorCode[] = [
  'INVALID_IDEMPOTENCY_KEY',
  'IDEMPOTENCY_UNDER_WAY',
  'IDEMPOTENCY_KEY_REUSED',
];

/** By status: a route's answer on success, and all its refusals. */
export function responsesOf(route: RouteDeclaration): Record<string, Json> {
  return { ...successes(route), ...failures(route) };
}

function successes(route: RouteDeclaration): Record<string, Json> {
  const { one, listOf, text, files, statuses = [], headers = {}, optionalHeaders = {} } = route.answer;
  const schema = one === undefined ? listOf && { type: 'array', items: reference(listOf) } : reference(one);
  const isRedirect = (status: Status): boolean => route.performs === 'redirect' && status !== 200;
  const isPreview = (status: Status): boolean => route.performs === 'redirect' && status === 200;
  const isEmpty = (status: Status): boolean =>
    status === 204 || status === 302 || status === 304 || isRedirect(status);
  const types = text === undefined ? files : [text];
  const content =
    types === undefined
      ? { 'application/json': { schema: schema ?? {} }, ...(listOf === undefined ? {} : otherForms) }
      : Object.fromEntries(types.map((type) => [type, { schema: { type: 'string' } }]));
  return Object.fromEntries(
    [route.status, ...statuses].map((status) => [
      status,
      {
        description: reasonPhrases[status],
        headers: {
          ...(route.performs === 'redirect' ? requestIdOfMisses : requestIdHeader),
          ...rateHeaders(route),
          ...(isPreview(status)
            ? {}
            : Object.fromEntries(Object.entries(headers).map(([name, note]) => [name, header(note)]))),
          ...Object.fromEntries(
            Object.entries(optionalHeaders).map(([name, note]) => [
              name,
              { ...header(note), required: false },
            ]),
          ),
          ...(status === 201 && route.resource !== undefined ? { Location: header('of what was made') } : {}),
          ...(route.isIdempotent === true ? { 'Idempotent-Replayed': replayedHeader } : {}),
        },
        ...(isEmpty(status) ? {} : { content: isPreview(status) ? { ...content, ...page } : content }),
      },
    ]),
  );
}

/** Where a link leads, for a browser. */
const page = { 'text/html': { schema: { type: 'string' } } };

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
    ...(/:\w*id(\/|$)/.test(route.path) ? (['NOT_FOUND'] as const) : []),
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
      ...rateHeaders(route),
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
  const { refusals } = route.answer;
  const isOfTheWhole = refusals !== undefined && (status === 400 || status === 409);
  return isOfTheWhole ? { anyOf: [reference('Error'), reference(refusals)] } : reference('Error');
}

const requestIdHeader = { 'X-Request-ID': header('the same as in the log') };

/** Of limited routes; on every answer if API_RATE_PER_MINUTE is set. */
function rateHeaders({ scope }: RouteDeclaration): Json {
  if (scope === 'public') return {};
  const field = (description: string, pattern: string, example: string): Json => ({
    description,
    required: false,
    schema: { type: 'string', pattern },
    example,
  });
  return {
    RateLimit: field(
      'with `API_RATE_PER_MINUTE`: requests that are left, and seconds until there are all of them again',
      '^"default";r=\\d+;t=\\d+$',
      '"default";r=599;t=42',
    ),
    'RateLimit-Policy': field(
      'with `API_RATE_PER_MINUTE`: requests that a minute has',
      '^"default";q=\\d+;w=60$',
      '"default";q=600;w=60',
    ),
  };
}

/** A redirect from the cache has only the headers that it needs. */
const requestIdOfMisses = {
  'X-Request-ID': {
    ...header('the same as in the log; not where the link is in the cache'),
    required: false,
  },
};

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
