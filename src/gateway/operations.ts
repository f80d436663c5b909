import { createHash, timingSafeEqual } from 'node:crypto';
import type { Exchange } from './http/exchange.js';
import type { SupervisorLink } from './supervisor-link.js';

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
const HEALTHY = '{"status":"ok"}';

const DEFAULT_LOG_ENTRIES = 50;
const MOST_LOG_ENTRIES = 200;

/** The operational routes. All but /health are answered by the supervisor, for all threads. */
export class Operations {
  readonly #supervisor: SupervisorLink;
  readonly #chaosToken: string | undefined;

  constructor(supervisor: SupervisorLink, chaosToken: string | undefined) {
    this.#supervisor = supervisor;
    this.#chaosToken = chaosToken;
  }

  health(exchange: Exchange): void {
    exchange.json(200, HEALTHY);
  }

  async metrics(exchange: Exchange): Promise<void> {
    const body = await this.#supervisor.ask({ of: 'metrics' });
    if (body === undefined) exchange.fail('UNAVAILABLE');
    else exchange.text(200, METRICS_TYPE, body);
  }

  async logs(exchange: Exchange): Promise<void> {
    const parameters = new URLSearchParams(exchange.query);
    const body = await this.#supervisor.ask({
      of: 'logs',
      limit: logLimit(parameters.get('limit')),
      filter: parameters.get('filter') ?? '',
      level: (parameters.get('level') ?? '').trim().toUpperCase(),
    });
    if (body === undefined) exchange.fail('UNAVAILABLE');
    else exchange.json(200, body);
  }

  chaos(exchange: Exchange): void {
    if (!this.#isAllowed(exchange.chaosToken)) {
      exchange.fail('UNAUTHORIZED');
      return;
    }
    exchange.noContent();
    this.#supervisor.tell({ kind: 'chaos' });
  }

  /** In a time that tells nothing of the token, not even its length. */
  #isAllowed(given: string): boolean {
    if (this.#chaosToken === undefined) return false;
    const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
    return timingSafeEqual(digest(given), digest(this.#chaosToken));
  }
}

/** Within 1 to 200; what is no number is the default. */
function logLimit(text: string | null): number {
  const limit = Number(text?.trim() || Number.NaN);
  if (!Number.isInteger(limit)) return DEFAULT_LOG_ENTRIES;
  return Math.min(MOST_LOG_ENTRIES, Math.max(1, limit));
}
