import type { Config } from '../../config.js';
import type { Coherence } from '../../memory/coherence.js';
import type { ServerState } from '../../memory/server-state.js';
import type { Caller } from '../../messages/calls.js';
import type { Calls } from '../call-client.js';
import type { Flight } from '../redirect/code-resolver.js';
import { AccessControl } from './access.js';
import { KeyCache } from './key-cache.js';

/** The caller in a gateway's own requests. */
const GATEWAY: Caller = { requestId: '', origin: '' };

/** Access control according to the settings. */
export function openAccess(
  config: Config,
  coherence: Coherence,
  state: ServerState,
  calls: Calls<Flight>,
): AccessControl {
  const keys = new KeyCache({
    coherence,
    state,
    ask: (request) => calls.call(request, GATEWAY, config.CALL_DEADLINE_MS),
    unknownMs: config.CACHE_UNKNOWN_MS,
  });
  const { API_AUTH, ADMIN_KEY, OPS_KEY } = config;
  return new AccessControl({ isOn: API_AUTH === 'on', adminKey: ADMIN_KEY, opsKey: OPS_KEY, keys });
}
