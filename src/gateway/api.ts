import type { Status } from '../api/http-series.js';
import type { ListQuery, Page } from '../api/lists.js';
import { isIdText, usableId } from '../api/values.js';
import type { ErrorCode } from '../errors.js';
import type { CallAnswer, CallRequest } from '../messages/calls.js';
import type { Calls } from './call-client.js';
import type { Bodies } from './http/bodies.js';
import type { Exchange, Headers } from './http/exchange.js';
import { type JsonObject, parseJsonObject } from './http/json.js';
import type { Flight } from './redirect/code-resolver.js';
import {
  type Parsed,
  parseCreateEvent,
  parseCreateUrl,
  parseCreateUser,
  parseList,
  parseShorten,
  parseUpdateUrl,
  parseUpdateUser,
} from './requests.js';
import type { SupervisorLink } from './supervisor-link.js';
import type { Transfers } from './transfers.js';

export interface ApiOptions {
  readonly calls: Calls<Flight>;
  readonly bodies: Bodies;
  readonly transfers: Transfers;
  readonly supervisor: SupervisorLink;
  readonly deleteDeadlineMs: number;
  readonly readBarrierMs: number;
  /** Origin of short URLs; without it the request's Host header. */
  readonly baseUrl: string | undefined;
  readonly port: number;
}

/** A page up to this size is one call; a larger one is streamed like a whole list. */
const LARGEST_CALL_PAGE = 1000;

/** How long a read of links waits for clicks, whose counters it shows; nobody is promised it. */
const COUNTER_BARRIER_MS = 200;
/** Beyond so many pending clicks that wait would be in vain. */
const COUNTER_BARRIER_CLICKS = 10_000;

/** The API's routes but for redirects: each reads its request, makes a call, answers. */
export class Api {
  readonly #options: ApiOptions;

  constructor(options: ApiOptions) {
    this.#options = options;
  }

  async createUser(exchange: Exchange): Promise<void> {
    await this.#write(exchange, 201, parseCreateUser);
  }

  async updateUser(exchange: Exchange): Promise<void> {
    await this.#withId(exchange, 'USER_NOT_FOUND', (id) =>
      this.#write(exchange, 200, (json) => parseUpdateUser(id, json)),
    );
  }

  async getUser(exchange: Exchange): Promise<void> {
    await this.#withId(exchange, 'USER_NOT_FOUND', (id) => this.#call(exchange, 200, { op: 'getUser', id }));
  }

  async deleteUser(exchange: Exchange): Promise<void> {
    await this.#withId(exchange, 'USER_NOT_FOUND', (id) => this.#delete(exchange, { op: 'deleteUser', id }));
  }

  async createUrl(exchange: Exchange): Promise<void> {
    await this.#write(exchange, 201, parseCreateUrl);
  }

  async updateUrl(exchange: Exchange): Promise<void> {
    await this.#withId(exchange, 'URL_NOT_FOUND', (id) =>
      this.#write(exchange, 200, (json) => parseUpdateUrl(id, json)),
    );
  }

  async getUrl(exchange: Exchange): Promise<void> {
    await this.#withId(exchange, 'URL_NOT_FOUND', async (id) => {
      await this.#counters();
      await this.#call(exchange, 200, { op: 'getUrl', id });
    });
  }

  async deleteUrl(exchange: Exchange): Promise<void> {
    await this.#withId(exchange, 'URL_NOT_FOUND', (id) => this.#delete(exchange, { op: 'deleteUrl', id }));
  }

  async createEvent(exchange: Exchange): Promise<void> {
    await this.#write(exchange, 201, parseCreateEvent);
  }

  async getEvent(exchange: Exchange): Promise<void> {
    await this.#withId(exchange, 'EVENT_NOT_FOUND', async (id) => {
      const headers = await this.#clicks();
      await this.#call(exchange, 200, { op: 'getEvent', id }, headers);
    });
  }

  async deleteEvent(exchange: Exchange): Promise<void> {
    await this.#withId(exchange, 'EVENT_NOT_FOUND', (id) =>
      this.#delete(exchange, { op: 'deleteEvent', id }),
    );
  }

  async shorten(exchange: Exchange): Promise<void> {
    const body = await this.#options.bodies.read(exchange);
    if (!body.ok) {
      if (body.error !== undefined) exchange.fail(body.error);
      return;
    }
    const parsed = parseShorten(parseJsonObject(exchange, body));
    if (!parsed.ok) {
      exchange.fail(parsed.error);
      return;
    }
    const answer = await this.#options.calls.call(parsed.value, exchange.requestId);
    if (!answer.ok) {
      failWith(exchange, answer);
      return;
    }
    const shortCode = answer.shortCode ?? '';
    const originalUrl = parsed.value.op === 'createUrl' ? parsed.value.originalUrl : '';
    const created = {
      short_code: shortCode,
      short_url: `${this.#origin(exchange)}/${shortCode}`,
      original_url: originalUrl,
    };
    exchange.json(201, JSON.stringify(created));
  }

  async list(exchange: Exchange, of: ListQuery['of']): Promise<void> {
    const parsed = parseList(of, exchange.query);
    if (!parsed.ok) {
      exchange.fail(parsed.error);
      return;
    }
    const headers = of === 'events' ? await this.#clicks() : [];
    if (of === 'urls') await this.#counters();
    await this.#list(exchange, parsed.value, headers);
  }

  importUsers(exchange: Exchange): void {
    const { contentType, requestId } = exchange;
    if (!/^multipart\/form-data\s*;.*boundary=/i.test(contentType)) {
      exchange.fail('NO_FILE');
      return;
    }
    this.#options.transfers.import(exchange, { kind: 'import', contentType, requestId });
  }

  async #list(
    exchange: Exchange,
    wanted: { query: ListQuery; page?: Page },
    headers: Headers,
  ): Promise<void> {
    if (exchange.isOver) return;
    const { query, page } = wanted;
    if (page === undefined || page.limit <= LARGEST_CALL_PAGE) {
      const answer = await this.#options.calls.call({ op: 'list', query, page }, exchange.requestId);
      if (answer.ok) {
        exchange.json(200, answer.body, headers);
        return;
      }
      if (answer.error !== 'TOO_LONG') {
        exchange.fail(answer.error);
        return;
      }
    }
    if (exchange.isOver) return;
    this.#options.transfers.list(
      exchange,
      { kind: 'list', query, page, requestId: exchange.requestId },
      headers,
    );
  }

  /** Reads a JSON body and makes the call that it asks for. */
  async #write(exchange: Exchange, status: Status, parse: (json: JsonObject) => Parsed): Promise<void> {
    const body = await this.#options.bodies.read(exchange);
    if (!body.ok) {
      if (body.error !== undefined) exchange.fail(body.error);
      return;
    }
    const json = parseJsonObject(exchange, body);
    const parsed: Parsed = json === undefined ? { ok: false, error: 'INVALID_JSON' } : parse(json);
    if (parsed.ok) await this.#call(exchange, status, parsed.value);
    else exchange.fail(parsed.error);
  }

  async #call(
    exchange: Exchange,
    status: Status,
    request: CallRequest,
    headers: Headers = [],
  ): Promise<void> {
    if (exchange.isOver) return;
    const answer = await this.#options.calls.call(request, exchange.requestId);
    if (answer.ok) exchange.json(status, answer.body, headers);
    else failWith(exchange, answer);
  }

  async #delete(exchange: Exchange, request: CallRequest): Promise<void> {
    const answer = await this.#options.calls.call(
      request,
      exchange.requestId,
      this.#options.deleteDeadlineMs,
    );
    if (answer.ok) exchange.noContent();
    else failWith(exchange, answer);
  }

  /** A path's id that is no integer names no route; one beyond 64 bits names no row. */
  async #withId(exchange: Exchange, notFound: ErrorCode, use: (id: string) => Promise<void>): Promise<void> {
    const text = exchange.parameter;
    const id = usableId(text);
    if (!isIdText(text)) exchange.fail('NOT_FOUND');
    else if (id === undefined) exchange.fail(notFound);
    else await use(id);
  }

  /** Waits for the clicks that were answered before; says how many the reader will not see. */
  async #clicks(): Promise<Headers> {
    // The call will be refused; there is nothing to wait for.
    if (!this.#options.calls.hasDatabase) return [];
    const pending = await this.#options.supervisor.clicksIngested(this.#options.readBarrierMs);
    return pending === 0 ? [] : [['X-Clicks-Pending', String(pending)]];
  }

  async #counters(): Promise<void> {
    const { supervisor, readBarrierMs, calls } = this.#options;
    if (!calls.hasDatabase) return;
    const pending = supervisor.pendingClicks;
    if (pending === 0 || pending > COUNTER_BARRIER_CLICKS) return;
    await supervisor.clicksIngested(Math.min(COUNTER_BARRIER_MS, readBarrierMs));
  }

  #origin(exchange: Exchange): string {
    if (this.#options.baseUrl !== undefined) return this.#options.baseUrl;
    const scheme = exchange.forwardedProto === 'https' ? 'https' : 'http';
    const host = /^[\w.:[\]-]{1,255}$/.test(exchange.host)
      ? exchange.host
      : `localhost:${this.#options.port}`;
    return `${scheme}://${host}`;
  }
}

function failWith(exchange: Exchange, answer: Extract<CallAnswer, { ok: false }>): void {
  exchange.fail(answer.error === 'TOO_LONG' ? 'INTERNAL' : answer.error);
}
