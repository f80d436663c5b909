import type { LinkPreview } from '../../api/visits.js';
import type { Calls } from '../call-client.js';
import type { Exchange, Headers } from '../http/exchange.js';
import type { Flight } from './code-resolver.js';
import { answerPreviewPage, wantsPage } from './pages.js';

const HEADERS: Headers = [['Cache-Control', 'no-store']];

export interface PreviewsOptions {
  readonly calls: Pick<Calls<Flight>, 'call'>;
  readonly deadlineMs: number;
  /** The origin of short URLs for this client. */
  readonly originFor: (exchange: Exchange) => string;
  readonly onFault: (error: unknown, exchange: Exchange) => void;
}

/** Shows visitors where a link leads before they follow it. */
export class Previews {
  readonly #options: PreviewsOptions;

  constructor(options: PreviewsOptions) {
    this.#options = options;
  }

  answer(exchange: Exchange, shortCode: string): void {
    this.#answer(exchange, shortCode).catch((error: unknown) => {
      this.#options.onFault(error, exchange);
      exchange.fail('INTERNAL');
    });
  }

  async #answer(exchange: Exchange, shortCode: string): Promise<void> {
    const { calls, deadlineMs, originFor } = this.#options;
    const answer = await calls.call(
      { operation: 'previewLink', input: { shortCode } },
      { requestId: exchange.requestId, origin: originFor(exchange) },
      deadlineMs,
    );
    if (!answer.ok) {
      exchange.fail(answer.error === 'LIST_TOO_LONG' ? 'INTERNAL' : answer.error, undefined, HEADERS);
    } else if (wantsPage(exchange)) {
      answerPreviewPage(exchange, JSON.parse(answer.body) as LinkPreview, HEADERS);
    } else {
      exchange.json(200, answer.body, [...HEADERS, ['Vary', 'Accept']]);
    }
  }
}
