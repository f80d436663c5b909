import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { httpSeries, type Method } from '../../api/http-series.js';
import type { RequestHeader } from '../../api/route.js';
import type { Status } from '../../api/statuses.js';
import { type ErrorCode, errorBody, errorRegistry, PROBLEM_TYPE, problemBody } from '../../errors.js';
import { peerOf } from './client-address.js';
import type { ExchangeRoute } from './exchange-route.js';
import type { GatewayState } from './gateway-state.js';
import { accepts, headFault, methodOf, names, requestIdOf } from './request-head.js';
import { statusLines } from './status-lines.js';
import { BLANK, HEAD_BYTES, PROOF_BYTES, sendAsRead } from './unread.js';

export const JSON_TYPE = 'application/json';

export type Headers = readonly (readonly [name: string, value: string])[];

const NONE: Headers = [];

/**
 * One request and its answer, for everything but a redirect that hits the cache. It may be answered at any
 * later time, but only once: after that, or once the client has gone, further answers do nothing.
 */
export class Exchange {
  readonly method: Method;
  readonly path: string;
  readonly query: string;
  readonly requestId: string;
  readonly host: string;
  readonly forwardedProto: string;
  /** The value of the path's first parameter; empty where it has none, or its handler reads it. */
  readonly parameter: string;
  readonly res: HttpResponse;
  readonly #route: ExchangeRoute;
  readonly #headers: readonly string[];
  readonly #gateway: GatewayState;
  readonly #startMs: number;
  readonly #forwardedFor: string;
  readonly #wantsProblems: boolean;
  readonly #hasBody: boolean;
  /** The body's coding; empty for none. */
  readonly contentCoding: string;
  readonly isChunked: boolean;
  /** Whether the request has an Idempotency-Key without a value. */
  readonly hasEmptyKey: boolean;
  #mustClose = false;
  #isOver = false;
  #hasStarted = false;
  #isPaused = false;
  #aborted: (() => void)[] = [];
  #added: Headers = NONE;

  /** Copies what may be needed later: `req` is invalid once the handler returns. */
  constructor(res: HttpResponse, req: HttpRequest, route: ExchangeRoute, gateway: GatewayState) {
    this.res = res;
    this.#route = route;
    this.#gateway = gateway;
    this.#startMs = performance.now();
    this.method = methodOf(req.getMethod());
    this.path = req.getUrl();
    this.query = req.getQuery() ?? '';
    this.requestId = requestIdOf(this.#fromProxy(req.getHeader(names.requestId)));
    const accept = req.getHeader(names.accept);
    this.#headers = route.headers.map((name) => (name === 'accept' ? accept : req.getHeader(name)));
    this.host = route.usesOrigin === true ? req.getHeader('host') : '';
    this.forwardedProto =
      route.usesOrigin === true ? this.#fromProxy(req.getHeader('x-forwarded-proto')) : '';
    this.#forwardedFor = req.getHeader(names.forwardedFor);
    this.#wantsProblems = accepts(accept, PROBLEM_TYPE);
    const hasParameter = route.readsParameter !== true && route.template.includes(':');
    this.parameter = hasParameter ? (req.getParameter(0) ?? '') : '';
    if (route.isApi && gateway.cors !== undefined)
      this.#added = gateway.cors.headersFor(req.getHeader('origin'));
    gateway.open += 1;
    // Without this, a client that goes away would end the process.
    res.onAborted(() => this.#onAborted());
    const length = req.getHeader(names.length);
    const coding = req.getHeader(names.coding);
    this.isChunked = coding !== '';
    this.#hasBody = (length !== '' && length !== '0') || coding !== '';
    this.contentCoding = this.#hasBody ? req.getHeader('content-encoding').trim().toLowerCase() : '';
    const fault = length !== '' || coding !== '' ? headFault(req, coding) : undefined;
    this.hasEmptyKey = fault === 'empty-key';
    if (fault === 'ambiguous') {
      this.#mustClose = true;
      this.fail('BAD_REQUEST');
    }
  }

  /** The client's address; read it before the answer. */
  get clientAddress(): string {
    return this.#gateway.addresses.of(peerOf(this.res), this.#forwardedFor);
  }

  /** Answered, or the client is gone. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** @throws for a header that the route does not declare, and the exchange therefore lacks. */
  header(name: RequestHeader): string {
    const index = this.#route.headers.indexOf(name);
    if (index < 0) throw new Error(`${this.#route.template} does not declare that it reads ${name}`);
    return this.#headers[index] ?? '';
  }

  /** Calls back if the client goes away before the answer is complete. */
  onAborted(callback: () => void): void {
    this.#aborted.push(callback);
  }

  /** Adds these headers to the answer, whatever it will be. */
  addHeaders(headers: Headers): void {
    this.#added = this.#added.length === 0 ? headers : [...this.#added, ...headers];
  }

  json(status: Status, body: string, headers: Headers = []): void {
    this.#end(status, headers, JSON_TYPE, body);
  }

  text(status: Status, contentType: string, body: string | Uint8Array, headers: Headers = []): void {
    this.#end(status, headers, contentType, body);
  }

  /** Sends a file. Parts that the client does not read at once are neither copied nor held for it. */
  bytes(contentType: string, content: Buffer, headers: Headers): void {
    if (this.#isOver || this.#hasStarted) return;
    if (this.method === 'HEAD' || this.#gateway.isDraining) {
      this.#end(200, headers, contentType, content);
      return;
    }
    this.resume();
    const send = this.#asRead(200, content);
    this.res.cork(() => {
      this.#writeHead(200, headers, contentType);
      send(0);
    });
  }

  noContent(): void {
    this.#end(204, [], undefined, undefined);
  }

  /** Answers that the client's copy is current. */
  notModified(headers: Headers): void {
    this.#end(304, headers, undefined, undefined);
  }

  /** A redirect with an empty body; without a location for clients that must not follow it. */
  redirect(status: 301 | 302 | 303 | 307 | 308, location: string | undefined, headers: Headers = []): void {
    const where: Headers = location === undefined ? [] : [['Location', location]];
    this.#end(status, [...headers, ...where], undefined, undefined);
  }

  /**
   * A redirect whose status line and headers are one text already.
   * @returns false where it takes more than that; nothing is answered then.
   */
  redirectBaked(status: 301 | 302 | 307 | 308, head: string): boolean {
    const bytes = HEAD_BYTES + head.length;
    if (this.#isOver || this.#added.length > 0 || this.#gateway.unprovedBytes + bytes > PROOF_BYTES)
      return false;
    this.#gateway.unprovedBytes += bytes;
    this.resume();
    this.res.cork(() => {
      this.res.writeStatus(`${head}\r\nX-Request-ID: ${this.requestId}`).endWithoutBody(0, this.#closes);
    });
    this.#finish(status);
    return true;
  }

  fail(code: ErrorCode, detail?: string, headers: Headers = []): void {
    const { status } = errorRegistry[code];
    const retry: Headers = status === 503 ? [['Retry-After', '1']] : [];
    const type = this.#wantsProblems ? PROBLEM_TYPE : JSON_TYPE;
    const body = this.#wantsProblems ? problemBody(code, detail) : errorBody(code, detail);
    this.#end(status, [...headers, ...retry], type, body);
  }

  /** Stops reading the request's body, which makes its sender wait; an answer ends the pause. */
  pause(): void {
    if (this.#isOver || this.#isPaused) return;
    this.#isPaused = true;
    this.res.pause();
  }

  /** While an answer to a request without a body is pending, further bytes wait in the kernel. */
  hold(): void {
    if (!this.#hasBody) this.pause();
  }

  /** The library gives up on bodies that are slow, paused ones included; this resets its clock. */
  nudge(): void {
    if (this.#isOver || !this.#hasBody) return;
    if (!this.#isPaused) this.res.pause();
    this.res.resume();
    if (this.#isPaused) this.res.pause();
  }

  resume(): void {
    if (this.#isOver || !this.#isPaused) return;
    this.#isPaused = false;
    this.res.resume();
  }

  /** Begins an answer whose body follows in pieces, by `write` and `endStream`. */
  startStream(headers: Headers = [], contentType = JSON_TYPE): void {
    if (this.#isOver) return;
    this.#hasStarted = true;
    this.resume();
    this.res.cork(() => {
      this.#writeHead(200, headers, contentType);
    });
    if (this.method === 'HEAD') this.endStream();
  }

  /** @returns false if the client does not keep up: wait for `onWritable` before the next piece. */
  write(bytes: ArrayBuffer): boolean {
    if (this.#isOver) return true;
    let kept = true;
    this.res.cork(() => {
      kept = this.res.write(bytes);
    });
    return kept;
  }

  endStream(): void {
    if (this.#isOver) return;
    this.res.cork(() => {
      // Asked to close, the library would write a header behind the body.
      this.method === 'HEAD' ? this.#endBare() : this.res.end();
    });
    this.#finish(200);
  }

  /** Cuts the connection: the only way to say that a streamed answer went wrong. */
  breakOff(): void {
    if (!this.#isOver) this.res.close();
  }

  get hasStarted(): boolean {
    return this.#hasStarted;
  }

  #end(
    status: Status,
    headers: Headers,
    contentType: string | undefined,
    body: string | Uint8Array | undefined,
  ): void {
    if (this.#isOver || this.#hasStarted) return;
    this.resume();
    const isBare = status === 204 || status === 304;
    const length = body === undefined ? 0 : Buffer.byteLength(body);
    this.#gateway.unprovedBytes += HEAD_BYTES + length + (headers.at(-1)?.[1].length ?? 0);
    if (this.#gateway.unprovedBytes > PROOF_BYTES && this.method !== 'HEAD' && !isBare) {
      this.#gateway.unprovedBytes = 0;
      this.#endProved(status, headers, contentType, body);
      return;
    }
    this.res.cork(() => {
      this.#writeHead(status, headers, contentType);
      if (body === undefined && !isBare) {
        this.res.endWithoutBody(0, this.#closes);
      } else if (body === undefined) {
        this.#endBare();
      } else if (this.method === 'HEAD') {
        this.res.writeHeader('Content-Length', String(length));
        this.#endBare();
      } else {
        this.res.end(body, this.#closes);
      }
    });
    this.#finish(status);
  }

  /** Ends without a body and without a length, which the library can't combine with closing. */
  #endBare(): void {
    if (this.#closes) this.res.writeHeader('Connection', 'close');
    this.res.endWithoutBody();
  }

  get #closes(): boolean {
    return this.#gateway.isDraining || this.#mustClose;
  }

  /**
   * Answers in parts, the first of one byte. If the library can't pass on even that, the client has not read
   * its earlier answers, and the connection is cut. The rest follows as the client reads.
   */
  #endProved(
    status: Status,
    headers: Headers,
    contentType: string | undefined,
    body: string | Uint8Array | undefined,
  ): void {
    // A redirect has no body; a blank does as well.
    const given = body === undefined || body === '' ? BLANK : body;
    const bytes = typeof given === 'string' ? Buffer.from(given) : given;
    const send = this.#asRead(status, bytes);
    this.res.cork(() => {
      this.#writeHead(status, headers, contentType);
      if (this.#closes) this.res.writeHeader('Connection', 'close');
      const [isRead] = this.res.tryEnd(bytes.subarray(0, 1), bytes.length);
      if (isRead) {
        send(1);
      } else {
        this.#gateway.counters.add('connectionsUnread');
        this.res.close();
      }
    });
  }

  /** Sends a body from an offset on, as fast as the client reads it. */
  #asRead(status: Status, bytes: Uint8Array): (from: number) => boolean {
    this.#hasStarted = true;
    const control = { isOver: () => this.#isOver, onDone: () => this.#finish(status) };
    return sendAsRead(this.res, bytes, control);
  }

  /** The value from a proxy; empty if the sender is no trusted proxy. */
  #fromProxy(value: string): string {
    return value === '' || this.#gateway.addresses.isTrusted(peerOf(this.res)) ? value : '';
  }

  #writeHead(status: Status, headers: Headers, contentType: string | undefined): void {
    this.res.writeStatus(statusLines[status]);
    if (contentType !== undefined) this.res.writeHeader('Content-Type', contentType);
    this.res.writeHeader('X-Request-ID', this.requestId);
    for (const [name, value] of this.#added) this.res.writeHeader(name, value);
    for (const [name, value] of headers) this.res.writeHeader(name, value);
  }

  #finish(status: Status): void {
    this.#isOver = true;
    this.#aborted = [];
    this.#gateway.open -= 1;
    const milliseconds = performance.now() - this.#startMs;
    const { template, isQuiet = false } = this.#route;
    this.#gateway.counters.observe(httpSeries.indexOf(this.method, template, status), milliseconds / 1000);
    this.#gateway.requestLog.note(this, template, isQuiet, status, milliseconds);
  }

  #onAborted(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#gateway.open -= 1;
    for (const callback of this.#aborted) callback();
    this.#aborted = [];
  }
}
