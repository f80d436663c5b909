import type { Checked } from '../api/check.js';
import { checkJsonBody } from '../api/json-body.js';
import { formatOf, listHeaders } from '../api/list-format.js';
import type { AnyRoute } from '../api/registry.js';
import { MAX_TOTAL, type OperationResult } from '../api/results.js';
import { keyHeaders, type RequestHeader } from '../api/route.js';
import type { ErrorCode } from '../errors.js';
import type { CallAnswer, Caller, CallRequest } from '../messages/calls.js';
import type { ImportRequest, ListRequest } from '../messages/transfers.js';
import type { Access, AccessControl, Grant } from './access/access.js';
import type { Barriers } from './barriers.js';
import { type BodyChecks, PARSED_HERE_BYTES } from './body-checks.js';
import type { Calls } from './call-client.js';
import type { BodyClass, BodyClasses } from './http/body-limits.js';
import type { Body, BodyReader } from './http/body-reader.js';
import { EarlyUpload } from './http/early-upload.js';
import type { Exchange, Headers } from './http/exchange.js';
import { answerFile } from './http/files.js';
import { idempotentRequest, keyFault } from './http/idempotency-key.js';
import type { RateLimit } from './http/rate-limit.js';
import type { Operations } from './operations.js';
import type { Flight } from './redirect/code-resolver.js';
import { Schemas } from './schemas.js';
import type { Transfers } from './transfers.js';

/** A route that is answered here: every route but the redirects. */
export type ApiRoute = Exclude<AnyRoute, { performs: 'redirect' }>;
type WorkerRoute = Extract<ApiRoute, { performs: 'call' | 'list' }>;

export interface ApiOptions {
  readonly access: AccessControl;
  /** Absent if requests are not limited. */
  readonly rateLimit: RateLimit | undefined;
  readonly calls: Calls<Flight>;
  readonly bodies: BodyReader;
  readonly bodyClasses: BodyClasses;
  readonly bodyChecks: BodyChecks;
  readonly transfers: Transfers;
  readonly barriers: Barriers;
  readonly operations: Operations;
  readonly callDeadlineMs: number;
  /** For work whose duration depends on the data. */
  readonly longDeadlineMs: number;
  /** The origin of short URLs for this client. */
  readonly originFor: (exchange: Exchange) => string;
}

/** Answers any route of the registry as declared: checks the request, performs it, answers. */
export class Api {
  readonly #options: ApiOptions;
  #schemas: Schemas | undefined;
  readonly #schemasLoaded: Promise<Schemas>;

  constructor(options: ApiOptions) {
    this.#options = options;
    this.#schemasLoaded = Schemas.load().then((schemas) => {
      this.#schemas = schemas;
      return schemas;
    });
  }

  /** The request headers that a route needs. */
  headersOf(route: ApiRoute): readonly RequestHeader[] {
    const needed: readonly RequestHeader[] = this.#options.access.guards(route) ? keyHeaders : [];
    return [...new Set<RequestHeader>([...route.headers, 'idempotency-key', ...needed])];
  }

  /** Call it in the request's handler, before anything is awaited. */
  async answer(route: ApiRoute, exchange: Exchange): Promise<void> {
    const access = this.#options.access.check(route, exchange);
    if (route.performs === 'import') {
      await this.#import(route, exchange, access);
      return;
    }
    const schemas = this.#schemas;
    if ('then' in access || schemas === undefined) {
      // A body must be read from the beginning.
      const early = route.bodyLimit === 'none' ? undefined : this.#readBody(route, exchange);
      const grant = this.#admit(route, exchange, await access);
      if (grant !== undefined) await this.#answer(route, exchange, grant, await this.#schemasLoaded, early);
    } else {
      const grant = this.#admit(route, exchange, access);
      if (grant !== undefined) await this.#answer(route, exchange, grant, schemas);
    }
  }

  /**
   * Counts a limited request, and makes the checks that all routes share. @returns `undefined` if it has
   * answered with a refusal.
   */
  #admit(route: ApiRoute, exchange: Exchange, access: Access): Grant | undefined {
    const { rateLimit } = this.#options;
    if (rateLimit !== undefined && route.scope !== 'public') {
      // A client that is gone has no address any more.
      if (exchange.isOver) return undefined;
      const keyId = access.ok ? access.grant.keyId : access.keyId;
      if (!rateLimit.admit(exchange, keyId)) return undefined;
    }
    if (!access.ok) {
      refuseAccess(exchange, access.error);
      return undefined;
    }
    const fault = keyFault(exchange, takesKey(route));
    if (fault === undefined) return access.grant;
    exchange.fail(fault);
    return undefined;
  }

  async #answer(
    route: Exclude<ApiRoute, { performs: 'import' }>,
    exchange: Exchange,
    grant: Grant,
    schemas: Schemas,
    early?: Promise<Body>,
  ): Promise<void> {
    const params = schemas.params(route, { id: exchange.parameter });
    const query = params.ok ? schemas.query(route, exchange.query) : params;
    if (!params.ok || !query.ok) {
      refuse(exchange, params.ok ? query : params);
      return;
    }
    let body: Checked = { ok: true, value: {} };
    let idempotent: Caller['idempotent'];
    if (route.bodyLimit !== 'none') {
      const read = await (early ?? this.#readBody(route, exchange));
      if (takesKey(route) && read.ok) {
        idempotent = await idempotentRequest(exchange, grant.keyId, read.bytes);
      }
      body = await this.#checkBody(route, exchange, schemas, read);
      if (!body.ok && idempotent !== undefined) {
        await this.#refuseOnce(exchange, body, { owner: grant.owner, idempotent });
        return;
      }
      if (!body.ok) {
        refuse(exchange, body);
        return;
      }
    }
    if (exchange.isOver) return;
    const input: Record<string, unknown> = { ...params.value, ...query.value, ...body.value };
    if (route.performs === 'list') input.format ??= formatOf(exchange.header('accept'));
    if (route.performs === 'local') await this.#options.operations.perform(route.operation, exchange, input);
    else await this.#perform(route, exchange, { owner: grant.owner, idempotent }, input);
  }

  /** A refusal after the body was read: the worker keeps it, or knows another answer with the key. */
  async #refuseOnce(
    exchange: Exchange,
    refusal: Extract<Checked, { ok: false }>,
    who: Pick<Caller, 'owner' | 'idempotent'>,
  ): Promise<void> {
    const { calls, callDeadlineMs } = this.#options;
    const { error, detail } = refusal;
    const input = detail === undefined ? { error } : { error, detail };
    const caller = { requestId: exchange.requestId, origin: '', ...who };
    const answer = await calls.call({ operation: 'refuseRequest', input }, caller, callDeadlineMs);
    if (!answer.ok && answer.error !== 'LIST_TOO_LONG')
      exchange.fail(answer.error, answer.detail, replayed(answer));
    // An earlier version with other rules accepted the same request: this route must not shape its answer.
    else exchange.fail(error, detail);
  }

  #bodyClass({ bodyLimit }: ApiRoute): BodyClass {
    const { bodyClasses } = this.#options;
    // Uploads are streamed, and never read whole.
    return bodyLimit === 'none' || bodyLimit === 'upload' ? bodyClasses.json : bodyClasses[bodyLimit];
  }

  #readBody(route: ApiRoute, exchange: Exchange): Promise<Body> {
    return this.#options.bodies.read(exchange, this.#bodyClass(route).maxBytes);
  }

  async #checkBody(route: ApiRoute, exchange: Exchange, schemas: Schemas, body: Body): Promise<Checked> {
    // Without an error, the client is gone.
    if (!body.ok) return { ok: false, error: body.error ?? 'BODY_DEADLINE' };
    const { bytes } = body;
    const sent = { contentType: exchange.header('content-type'), bytes, limits: this.#bodyClass(route).json };
    if (bytes.length > PARSED_HERE_BYTES) return this.#options.bodyChecks.check(route, sent);
    return checkJsonBody(route, sent, (members) => schemas.body(route, members));
  }

  async #perform(
    route: WorkerRoute,
    exchange: Exchange,
    who: Pick<Caller, 'owner' | 'idempotent'>,
    input: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    const { calls, barriers, callDeadlineMs, longDeadlineMs } = this.#options;
    // Without a database the call will be refused: don't wait.
    const headers = calls.hasDatabase ? await barriers.wait(route.barrier) : [];
    if (exchange.isOver) return;
    // The one place where an input gets its type: the schemas of its own route have accepted it.
    const request = { operation: route.operation, input } as CallRequest;
    const caller = {
      requestId: exchange.requestId,
      origin: 'usesOrigin' in route ? this.#options.originFor(exchange) : '',
      ...(hasTags(route) ? { knownTags: exchange.header('if-none-match') } : {}),
      ...who,
    };
    const answer = await calls.call(request, caller, route.kind === 'long' ? longDeadlineMs : callDeadlineMs);
    if (route.performs === 'list') {
      this.#list(route, exchange, { kind: 'list', ...request, ...caller } as ListRequest, answer, headers);
    } else if (answer.ok) {
      succeed(route, exchange, answer, [...replayed(answer), ...headers]);
    } else if (answer.error !== 'LIST_TOO_LONG') {
      exchange.fail(answer.error, answer.detail, replayed(answer));
    }
  }

  /** Answers with a list in the requested format; streams a long one. */
  #list(
    route: Extract<WorkerRoute, { performs: 'list' }>,
    exchange: Exchange,
    request: ListRequest,
    answer: CallAnswer,
    headers: Headers,
  ): void {
    const form = listHeaders(request.input.format ?? 'json', route.path.slice(1));
    const total = 'total' in answer ? totalHeaders(answer.total) : [];
    const all = [...form.headers, ...total, ...headers];
    if (answer.ok) {
      const next: Headers = answer.next === undefined ? [] : [['Link', linkToNext(exchange, answer.next)]];
      exchange.text(route.status, form.contentType, answer.body, [...next, ...all]);
    } else if (answer.error !== 'LIST_TOO_LONG') exchange.fail(answer.error, answer.detail);
    else if (!exchange.isOver) this.#options.transfers.list(exchange, request, all, form.contentType);
  }

  async #import(
    route: Extract<ApiRoute, { performs: 'import' }>,
    exchange: Exchange,
    access: Access | Promise<Access>,
  ): Promise<void> {
    // Just after the start, the schemas that check the query may not be loaded yet either.
    const early = 'then' in access || this.#schemas === undefined ? new EarlyUpload(exchange) : undefined;
    const grant = this.#admit(route, exchange, await access);
    if (grant === undefined) return;
    const contentType = exchange.header('content-type');
    if (!/^multipart\/form-data\s*;.*boundary=/i.test(contentType)) {
      exchange.fail('NO_FILE');
      return;
    }
    const schemas = this.#schemas ?? (await this.#schemasLoaded);
    const query = schemas.query(route, exchange.query);
    if (!query.ok) {
      refuse(exchange, query);
      return;
    }
    if (query.value.on_conflict === 'update' && !grant.mayChangeLinks) {
      refuseAccess(exchange, 'FORBIDDEN');
      return;
    }
    const request = {
      kind: 'import',
      operation: route.operation,
      input: query.value,
      contentType,
      requestId: exchange.requestId,
      origin: 'usesOrigin' in route ? this.#options.originFor(exchange) : '',
      owner: grant.owner,
    } as ImportRequest;
    const status = query.value.dry_run === true ? 200 : route.status;
    this.#options.transfers.import(exchange, request, status, early);
  }
}

function refuseAccess(exchange: Exchange, error: ErrorCode): void {
  exchange.fail(error, undefined, error === 'UNAUTHORIZED' ? [['WWW-Authenticate', 'Bearer']] : []);
}

function refuse(exchange: Exchange, refusal: Checked): void {
  if (!refusal.ok) exchange.fail(refusal.error, refusal.detail);
}

/** Whether a route accepts an Idempotency-Key; others refuse it. */
function takesKey(route: ApiRoute): boolean {
  return 'isIdempotent' in route;
}

/** Whether the client has this answer already. */
function hasTags({ headers }: { readonly headers: readonly RequestHeader[] }): boolean {
  return headers.includes('if-none-match');
}

function replayed(answer: OperationResult): Headers {
  return answer.isReplayed === true ? [['Idempotent-Replayed', 'true']] : [];
}

function succeed(
  route: WorkerRoute,
  exchange: Exchange,
  result: Extract<OperationResult, { ok: true }>,
  headers: Headers,
): void {
  if (route.status === 204) {
    exchange.noContent();
    return;
  }
  if (result.file !== undefined) {
    answerFile(exchange, route.status, result.file, headers);
    return;
  }
  const isNew = 'resource' in route && result.isExisting !== true;
  const location: Headers =
    isNew && result.id !== undefined ? [['Location', route.resource.replace(':id', result.id)]] : [];
  const status = result.refusal ?? (result.isExisting === true ? 200 : route.status);
  exchange.json(status, result.body, [...location, ...headers]);
}

/** The number of rows in the whole list, as far as they were counted. */
function totalHeaders(total: number | undefined): Headers {
  if (total === undefined) return [];
  if (total <= MAX_TOTAL) return [['X-Total-Count', String(total)]];
  return [
    ['X-Total-Count', String(MAX_TOTAL)],
    ['X-Total-Is-Minimum', 'true'],
  ];
}

/** RFC 8288, relative to this page's address, which keeps a proxy's host and scheme out of it. */
function linkToNext({ path, query }: Exchange, cursor: string): string {
  const parameters = new URLSearchParams(query);
  parameters.set('after', cursor);
  return `<${path}?${parameters}>; rel="next"`;
}
