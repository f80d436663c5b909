import type { Config } from '../../config.js';
import type { ClickJournal } from '../../journal/writer.js';
import { Coherence } from '../../memory/coherence.js';
import type { ServerState } from '../../memory/server-state.js';
import { WrongTries } from '../../memory/wrong-tries.js';
import type { Calls } from '../call-client.js';
import { bodyClasses } from '../http/body-limits.js';
import type { BodyReader } from '../http/body-reader.js';
import type { Exchange } from '../http/exchange.js';
import type { GatewayState } from '../http/gateway-state.js';
import { CodeResolver, type Flight } from './code-resolver.js';
import { GuardedVisits } from './guarded-visits.js';
import { LinkCache } from './link-cache.js';
import { Previews } from './previews.js';
import { Redirect } from './redirect.js';
import type { Turn } from './turn.js';
import { Answers } from './visit-answers.js';
import { VisitReader } from './visit-reader.js';

export interface RedirectParts {
  readonly config: Config;
  readonly gateway: GatewayState;
  readonly state: ServerState;
  readonly coherence: SharedArrayBuffer;
  readonly wrongTries: SharedArrayBuffer;
  readonly calls: Calls<Flight>;
  readonly journal: ClickJournal;
  readonly turn: Turn;
  readonly bodies: BodyReader;
  /** The origin of short URLs for this client. */
  readonly originFor: (exchange: Exchange) => string;
  readonly onFault: (error: unknown, exchange: Exchange) => void;
}

/** Wrong ones, for one link and client. */
const PASSWORD_TRIES_PER_MINUTE = 10;

/** Assembles a gateway's redirect, with its own cache. */
export function assembleRedirect(parts: RedirectParts): Redirect {
  const { config, gateway, state, calls, journal, turn, bodies, originFor, onFault } = parts;
  const { counters } = gateway;
  const cache = new LinkCache({
    maxLinks: config.CACHE_MAX_LINKS,
    maxUnknown: config.CACHE_MAX_UNKNOWN,
    unknownMs: config.CACHE_UNKNOWN_MS,
    coherence: new Coherence(parts.coherence),
    counters,
  });
  const deadlineMs = config.CALL_DEADLINE_MS;
  const tries = new WrongTries(PASSWORD_TRIES_PER_MINUTE, parts.wrongTries);
  const answers = new Answers({
    journal,
    turn,
    state,
    guarded: new GuardedVisits({ cache, calls, state, tries, deadlineMs, onFault }),
    previews: new Previews({ calls, deadlineMs, originFor, onFault }),
  });
  const onDatabase = (id: string): void => journal.setDatabase(id);
  return new Redirect({
    cache,
    journal,
    turn,
    answers,
    resolver: new CodeResolver({ cache, answers, calls, counters, state, onDatabase }),
    gateway,
    bodies,
    formBytes: bodyClasses(config.BODY_MAX_BYTES).form.maxBytes,
    visits: visitReader(config),
  });
}

function visitReader(config: Config): VisitReader | undefined {
  if (config.CLICK_DETAILS === 'off' && config.COUNT_BOTS) return undefined;
  return new VisitReader({
    withDetails: config.CLICK_DETAILS !== 'off',
    countsBots: config.COUNT_BOTS,
    countryHeader: config.CLICK_COUNTRY_HEADER,
    withAddress: config.CLICK_DETAILS === 'full',
    addressHeader: config.CLICK_ADDRESS_HEADER,
  });
}
