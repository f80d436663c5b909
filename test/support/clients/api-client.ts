import type { AnswerTo, BodyAt } from './answers.js';

/** Of a request's options, the method; GET where they are none. */
type MethodOf<Init> = 'method' extends keyof Init
  ? Init['method'] extends infer Method extends string
    ? Method
    : string
  : 'GET';

type Request = (pathname: string, init?: RequestInit) => Promise<Response>;

/**
 * A client of the API, whose answers have the types that the API declares for their routes: write the
 * path at the call, as a literal or a template, and the method likewise.
 */
export class ApiClient {
  readonly #request: Request;

  constructor(request: Request) {
    this.#request = request;
  }

  /** A request as an API client makes it: redirects are not followed. */
  fetch(pathname: string, init: RequestInit = {}): Promise<Response> {
    return this.#request(pathname, { redirect: 'manual', ...init });
  }

  async json<const Path extends string, const Init extends RequestInit = Record<never, never>>(
    pathname: Path,
    init?: Init,
  ): Promise<AnswerTo<MethodOf<Init>, Path>> {
    return read(await this.fetch(pathname, init));
  }

  /** As `json`, with the answer's headers. */
  async ask<const Path extends string, const Init extends RequestInit = Record<never, never>>(
    pathname: Path,
    init?: Init,
  ): Promise<AnswerTo<MethodOf<Init>, Path> & { readonly headers: Headers }> {
    const response = await this.fetch(pathname, init);
    return { ...(await read<AnswerTo<MethodOf<Init>, Path>>(response)), headers: response.headers };
  }

  /** What is at a path. Fails where the answer is no 200. */
  async get<const Path extends string>(pathname: Path): Promise<BodyAt<AnswerTo<'GET', Path>, 200>> {
    return bodyOf(await this.json<Path>(pathname), 200);
  }

  /** @param body Sent as it is where it is a text. */
  async send<const Method extends string, const Path extends string>(
    method: Method,
    pathname: Path,
    body: unknown,
  ): Promise<AnswerTo<Method, Path>> {
    const headers = { 'content-type': 'application/json' };
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return read(await this.fetch(pathname, { method, headers, body: text }));
  }

  post<const Path extends string>(pathname: Path, body: unknown): Promise<AnswerTo<'POST', Path>> {
    return this.send('POST', pathname, body);
  }
}

/** JSON gets its type here: what the OpenAPI document promises, to which openapi.test.ts holds the server. */
async function read<Answer>(response: Response): Promise<Answer> {
  const text = await response.text();
  const isJson = /\bjson\b/.test(response.headers.get('content-type') ?? '');
  const body: unknown = text === '' ? undefined : isJson ? JSON.parse(text) : text;
  return { status: response.status, body } as Answer;
}

/** The body of an answer that has to have this status. Fails with what came instead. */
export function bodyOf<
  Answer extends { readonly status: number; readonly body: unknown },
  const Status extends Answer['status'],
>(answer: Answer, status: Status): BodyAt<Answer, Status> {
  if (answer.status !== status)
    throw new Error(`expected ${status}, got ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body as BodyAt<Answer, Status>;
}

/** The answer that a response has brought, to a request that was sent by `fetch`. */
export function answerIn<const Method extends string, const Path extends string>(
  response: Response,
  _method: Method,
  _pathname: Path,
): Promise<AnswerTo<Method, Path>> {
  return read(response);
}

/** What is refused, and why: the status and the text. The text is absent where nothing was refused. */
export function refusal(answer: { readonly status: number; readonly body: unknown }): [number, string?] {
  const { status, body } = answer;
  return isRefusal(body) ? [status, body.error] : [status];
}

function isRefusal(body: unknown): body is { readonly error: string } {
  return typeof body === 'object' && body !== null && 'error' in body && typeof body.error === 'string';
}
