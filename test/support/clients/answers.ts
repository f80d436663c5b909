import type { Resource, ResourceName } from '../../../src/api/openapi/resources.js';
import type { AnyRoute } from '../../../src/api/registry.js';
import type { ErrorCode, errorRegistry } from '../../../src/errors.js';

/**
 * What the API answers, by method and path as a test writes them: the registry says which route that is,
 * and the schemas of the OpenAPI document what its answers look like.
 */
export type AnswerTo<Method extends string, Path extends string> = Path extends unknown
  ? string extends Method | Path
    ? UnknownAnswer
    : Method extends 'HEAD'
      ? { readonly status: number; readonly body: undefined }
      : OfRoute<RouteTo<Method, WithoutQuery<Path>>>
  : never;

/** Of a request whose route the compiler can't see. */
interface UnknownAnswer {
  readonly status: number;
  readonly body: unknown;
}

export type User = Resource<'User'>;
export type Url = Resource<'Link'>;
export type Event = Resource<'Event'>;
export type ApiKey = Resource<'Key'>;
export type Statistics = Resource<'Statistics'>;
/** A refusal. */
export type Refusal = Resource<'Error'>;

type Registry = typeof errorRegistry;
type RefusedStatus = Registry[ErrorCode]['status'];

type OfRoute<Route> = [Route] extends [never]
  ? UnknownAnswer
  : Route extends AnyRoute
    ? Successes<Route, Route['answer']> | Refusals<Route['answer']>
    : never;

/** A member a status, so that a status picks its body. */
type Successes<Route extends AnyRoute, Answer> = {
  [Status in SuccessStatus<Route, Answer>]: {
    readonly status: Status;
    readonly body: Status extends 204 ? undefined : Success<Answer>;
  };
}[SuccessStatus<Route, Answer>];

type SuccessStatus<Route extends AnyRoute, Answer> =
  | Route['status']
  | (Answer extends { statuses: readonly (infer Status extends number)[] } ? Status : never);

type Success<Answer> = Answer extends { one: infer Name extends ResourceName }
  ? Resource<Name>
  : Answer extends { listOf: infer Name extends ResourceName }
    ? Resource<Name>[]
    : Answer extends { text: string } | { files: readonly string[] }
      ? string
      : undefined;

type Refusals<Answer> = {
  [Status in RefusedStatus]: {
    readonly status: Status;
    readonly body: Status extends 400 | 409 ? Refusal | RefusalOfAll<Answer> : Refusal;
  };
}[RefusedStatus];

type RefusalOfAll<Answer> = Answer extends { refusals: infer Name extends ResourceName }
  ? Resource<Name>
  : never;

type WithoutQuery<Path extends string> = Path extends `${infer Bare}?${string}` ? Bare : Path;

/**
 * One whose path it is, before those with a parameter in its place. Of a path with a query of any text
 * behind it (`/urls${query}`) those that begin so.
 */
type RouteTo<Method extends string, Path extends string> = First<
  Path extends AnyRoute['path'] ? Extract<AnyRoute, { method: Method; path: Path }> : never,
  First<
    Fitting<Extract<AnyRoute, { method: Method }>, Segments<Path>>,
    Extract<AnyRoute, { method: Method; path: Path }>
  >
>;

type First<One, Other> = [One] extends [never] ? Other : One;

type Fitting<Route extends AnyRoute, Given> = Route extends unknown
  ? Fits<Given, Segments<Route['path']>> extends true
    ? Route
    : never
  : never;

type Segments<Path extends string> = Path extends `/${infer First}/${infer Rest}`
  ? [First, ...Segments<`/${Rest}`>]
  : Path extends `/${infer Last}`
    ? [Last]
    : [];

type Fits<Given, Template> = Template extends [infer Expected, ...infer Others]
  ? Given extends [infer Segment, ...infer Rest]
    ? Expected extends `:${string}`
      ? Fits<Rest, Others>
      : Segment extends Expected
        ? Fits<Rest, Others>
        : false
    : false
  : Given extends []
    ? true
    : false;

/** What the answer's body is where it has that status. */
export type BodyAt<Answer, Status> = Answer extends { status: infer Its; body: infer Body }
  ? Status extends Its
    ? Body
    : never
  : never;
