import type { LinkOptions } from './link-options.js';

/** Seconds count from here, which fits 31 bits until 2088. */
export const TABLE_EPOCH_SECONDS = Date.UTC(2020, 0, 1) / 1000;
const FRESH_FOR_EVER = 0x7fffffff;
/** A link that takes more than its head to answer is never fresh. */
const NEVER_FRESH = -0x80000000;

/**
 * How long a hit may be answered from its head, in seconds from TABLE_EPOCH_SECONDS: for ever for most links,
 * never for those that take more.
 */
export function freshUntil(options: LinkOptions | undefined): number {
  if (options === undefined) return FRESH_FOR_EVER;
  if (!options.isBaked) return NEVER_FRESH;
  if (options.expiresAtMs === undefined) return FRESH_FOR_EVER;
  const seconds = Math.floor(options.expiresAtMs / 1000) - TABLE_EPOCH_SECONDS;
  return Math.min(FRESH_FOR_EVER, Math.max(NEVER_FRESH, seconds));
}
