/**
 * Seconds for a head or the next piece of a body to arrive; `BodyReader` and `Transfers` have their own limits
 * for bodies.
 */
const IDLE_SECONDS = 16;
/** The library's clock ticks every 4 s, and counts up to 240. */
const MARGIN_SECONDS = 8;
const MAX_SECONDS = 240;

/**
 * The library closes connections that send or read nothing, but only after our own deadlines.
 * @param stallMs How long a transfer may make no progress.
 */
export function setTimeouts(app: unknown, stallMs: number): void {
  // The type declarations lack both.
  const timeouts = app as {
    setIdleTimeout(seconds: number): void;
    setResponseTimeout(seconds: number): void;
  };
  timeouts.setIdleTimeout(IDLE_SECONDS);
  const stallSeconds = Math.ceil(stallMs / 1000) + MARGIN_SECONDS;
  timeouts.setResponseTimeout(Math.min(MAX_SECONDS, stallSeconds));
}
