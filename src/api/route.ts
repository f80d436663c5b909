import type { z as zod } from 'zod';
import type { ErrorCode } from '../errors.js';
import type { ResourceName } from './openapi/resources.js';
import type { Schema, Z } from './schema.js';
import type { Status } from './statuses.js';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** What a key must be allowed to do, once keys are asked for. */
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

/** Which limit of its size a request's body has; `none` where it is not read. */
export type BodyLimit = 'none' | 'json' | 'bulk' | 'upload' | 'form';

/**
 * What a read waits for: `clicks` that were answered before are seen by it; `counters` likewise, but
 * only if that takes no time to speak of.
 */
export type Barrier = 'none' | 'clicks' | 'counters';

/** A request header that routes read, and the most characters of it that a proxy has to pass on. */
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

/** What a route answers with when all went well; without anything it is an empty body. */
export interface Answer {
  readonly one?: ResourceName;
  readonly listOf?: ResourceName;
  /** With `?atomic=true` a refusal of the whole has this for its body. */
  readonly refusals?: ResourceName;
  /** A media type, where it is no JSON. */
  readonly text?: string;
  /** Media types, where it is a file. */
  readonly files?: readonly string[];
  /** Statuses besides the declared one. */
  readonly statuses?: readonly Status[];
  /** Of the answer, with what they are for. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Those that not every answer has. */
  readonly optionalHeaders?: Readonly<Record<string, string>>;
}

interface RouteBase {
  readonly method: Method;
  /** A template: `/urls/:id`. */
  readonly path: string;
  /** For the tables of the documentation. */
  readonly summary: string;
  readonly scope: Scope;
  /** Wants its scope also where the API is open to everybody. */
  readonly isAlwaysGuarded?: true;
  /** Not for a key that sees one user's links only. */
  readonly refusesOwners?: true;
  /** Answered to a key that was good when the database was last asked, while it can't be asked. */
  readonly trustsSuspectKeys?: true;
  /** Of the answer when all went well. */
  readonly status: Status;
  readonly answer: Answer;
  /** What it may answer besides, in the words of src/errors.ts; those that every route has are left out. */
  readonly errors: readonly ErrorCode[];
  readonly params?: Schema<zod.ZodObject>;
  /** Known names and their values. With `isTolerant`, names that resemble known ones are ignored too. */
  readonly query?: Schema<zod.ZodObject>;
  readonly isTolerant?: true;
  /** Parameters that may come more than once: an array of all their values. Of others the first counts. */
  readonly repeatable?: readonly string[];
  readonly body?: Schema;
  readonly bodyLimit: BodyLimit;
  /** The answer to a body that is no JSON object with at least one member; INVALID_JSON by default. */
  readonly noObject?: ErrorCode;
  /** Members of the body whose JSON text is kept as it was sent where a number would lose digits. */
  readonly exactMembers?: readonly string[];
  readonly headers: readonly RequestHeader[];
  readonly barrier: Barrier;
  /** Takes an Idempotency-Key: its first answer is given again to whoever repeats the request. */
  readonly isIdempotent?: true;
  /** Where a 201 says the new resource is; `:id` stands for its id. */
  readonly resource?: string;
  /** Whether the answer names short URLs, and needs the origin that the client used. */
  readonly usesOrigin?: true;
  /** Asked for every few seconds by machines, or by every visitor: its log lines are at debug level. */
  readonly isQuiet?: true;
}

/** Answered by one call to a worker: the operation of that name in src/store. */
export interface CallRoute extends RouteBase {
  readonly performs: 'call';
  readonly operation: string;
  /** `long`: work whose length is the data's choice, with a deadline of its own. */
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

/** Declares a route: types are kept as narrow as they are written. */
export function route<const R extends RouteDeclaration>(declaration: R): R {
  return declaration;
}

type OutputOf<S> = S extends (z: Z) => infer Type
  ? Type extends zod.ZodType
    ? zod.output<Type>
    : unknown
  : unknown;

/** What an operation is given: the checked path parameters, query and body of its route, together. */
export type InputOf<R> = (R extends { params: infer S } ? OutputOf<S> : unknown) &
  (R extends { query: infer S } ? OutputOf<S> : unknown) &
  (R extends { body: infer S } ? OutputOf<S> : unknown);
