import type { z as zod } from 'zod';
import type { ErrorCode } from '../errors.js';
import type { ResourceName } from './openapi/resources.js';
import type { Schema, Z } from './schema.js';
import type { Status } from './statuses.js';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** What a key must permit, if keys are required. */
export type Scope =
  | 'public'
  | 'links:read'
  | 'links:create'
  | 'links:write'
  | 'stats:read'
  | 'users'
  | 'events'
  | 'ops'
  | 'admin';

/** Which size limit a request's body has; `none` if it is not read. */
export type BodyLimit = 'none' | 'json' | 'bulk' | 'upload' | 'form';

/**
 * What a read waits for: it sees `clicks` that were answered before it; `counters` likewise, but only if
 * the wait is very short.
 */
export type Barrier = 'none' | 'clicks' | 'counters';

/** A request header that routes read, and the maximum length that a proxy has to pass on. */
export const requestHeaders = {
  accept: 512,
  'accept-encoding': 128,
  authorization: 512,
  'content-type': 128,
  'idempotency-key': 256,
  'if-none-match': 512,
  'x-api-key': 256,
  'x-chaos-token': 128,
  'x-link-password': 512,
} as const;

/** Read of every request but a redirect's, whatever its route. */
export const keyHeaders = ['authorization', 'x-api-key'] as const;

export type RequestHeader = keyof typeof requestHeaders;

/** What a route answers with on success; without members it is an empty body. */
export interface Answer {
  readonly one?: ResourceName;
  readonly listOf?: ResourceName;
  /** With `?atomic=true` a refusal of the whole has this body. */
  readonly refusals?: ResourceName;
  /** A media type, if it is not JSON. */
  readonly text?: string;
  /** Media types, if it is a file. */
  readonly files?: readonly string[];
  /** Statuses besides the declared one. */
  readonly statuses?: readonly Status[];
  /** Headers of the answer, with their purpose. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Headers that only some answers have. */
  readonly optionalHeaders?: Readonly<Record<string, string>>;
}

interface RouteBase {
  readonly method: Method;
  /** A template: `/urls/:id`. */
  readonly path: string;
  /** For the tables of the documentation. */
  readonly summary: string;
  readonly scope: Scope;
  /** Requires its scope even if the API is open to everybody. */
  readonly isAlwaysGuarded?: true;
  /** Refused to a key that sees one user's links only. */
  readonly refusesOwners?: true;
  /** While the database can't be asked, answered to a key that was good when it last was. */
  readonly trustsSuspectKeys?: true;
  /** Of the answer on success. */
  readonly status: Status;
  readonly answer: Answer;
  /** Its refusals, as codes of src/errors.ts, without those that every route has. */
  readonly errors: readonly ErrorCode[];
  readonly params?: Schema<zod.ZodObject>;
  /** Known names and their values. With `isTolerant`, names that resemble known ones are ignored too. */
  readonly query?: Schema<zod.ZodObject>;
  readonly isTolerant?: true;
  /** Parameters that may come more than once: an array of all their values. Of others the first counts. */
  readonly repeatable?: readonly string[];
  readonly body?: Schema;
  readonly bodyLimit: BodyLimit;
  /** The refusal of a body that is not a JSON object with at least one member; INVALID_JSON by default. */
  readonly noObject?: ErrorCode;
  /** Members of the body whose JSON text is kept as sent if a number would lose digits. */
  readonly exactMembers?: readonly string[];
  readonly headers: readonly RequestHeader[];
  readonly barrier: Barrier;
  /** Accepts an Idempotency-Key: a repeated request gets the first answer again. */
  readonly isIdempotent?: true;
  /** Where a 201 says the new resource is; `:id` stands for its id. */
  readonly resource?: string;
  /** Whether the answer names short URLs, and needs the origin that the client used. */
  readonly usesOrigin?: true;
  /** Requested every few seconds by machines, or by every visitor: its log lines are at debug level. */
  readonly isQuiet?: true;
}

/** Answered by one call to a worker: the operation of that name in src/store. */
export interface CallRoute extends RouteBase {
  readonly performs: 'call';
  readonly operation: string;
  /** `long`: work whose duration depends on the data, with a separate deadline. */
  readonly kind: 'read' | 'write' | 'long';
}

/** A list: one call if it is short, else a stream. */
export interface ListRoute extends RouteBase {
  readonly performs: 'list';
  readonly operation: string;
  readonly kind: 'read';
}

/** An upload that is passed on to a worker as it comes in. */
export interface ImportRoute extends RouteBase {
  readonly performs: 'import';
  readonly operation: string;
  readonly kind: 'long';
}

/** Answered by the gateway, or by the supervisor on its behalf. */
export interface LocalRoute extends RouteBase {
  readonly performs: 'local';
  readonly operation: string;
  readonly kind: 'read';
}

/** A visit of a short link, registered by the router itself: the hot path. */
export interface RedirectRoute extends RouteBase {
  readonly performs: 'redirect';
  readonly operation: 'redirect';
  readonly kind: 'read';
}

export type RouteDeclaration = CallRoute | ListRoute | ImportRoute | LocalRoute | RedirectRoute;

/** Declares a route; keeps the types as narrow as they are written. */
export function route<const R extends RouteDeclaration>(declaration: R): R {
  return declaration;
}

type OutputOf<S> = S extends (z: Z) => infer Type
  ? Type extends zod.ZodType
    ? zod.output<Type>
    : unknown
  : unknown;

/** An operation's input: the checked path parameters, query and body of its route, together. */
export type InputOf<R> = (R extends { params: infer S } ? OutputOf<S> : unknown) &
  (R extends { query: infer S } ? OutputOf<S> : unknown) &
  (R extends { body: infer S } ? OutputOf<S> : unknown);
