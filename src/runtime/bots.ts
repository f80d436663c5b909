import { isbot } from 'isbot';

/**
 * What phones' in-app browsers say of themselves in brackets, their carrier's name among it. Words in there
 * are nobody's claim to be a bot.
 */
const inAppFacts = /\[FB[A-Z]{2}\/[^\]]*\]?/g;

/** Whether a user agent is a machine's that looks at links: a crawler, a preview, a tool. */
export function isBot(userAgent: string): boolean {
  return isbot(userAgent.replaceAll(inAppFacts, ''));
}
