import { isbot } from 'isbot';

/**
 * Corrections of isbot's verdicts. test/support/agents has the tested user agents.
 *
 * Words that are about the visitor's device or app: nobody's claim to be a bot.
 * - Meta's in-app browsers describe the telephone in brackets, with its carrier's name, which may be any.
 * - Alipay's gives the size of its window, with bars between the numbers.
 * - Google TV is a television set; `Google` alone is how that company's crawlers call themselves.
 */
const deviceFacts = /\[FB[A-Z_]+\/[^\]]*\]?|\bAlipayDefined\([^)]*\)|\bGoogle ?TV\b/g;

/** A page within an app of a telephone. News apps are read by people; crawlers of news have no such browser. */
const inApp = /\bMobile\/\w|; wv\)/;
const newsApp = /news(?!bot)/gi;

/** Browsers with names as short as those of tools. */
const smallBrowser = /^(?:Dillo|ELinks|Links|Lynx|NetSurf|w3m)[/ ]/;

/**
 * Programs that isbot mistakes for people:
 * - what apps fetch by the means of their system (CFNetwork, Dalvik, Dart) and not in a browser,
 * - media players, which ask several times for one tap,
 * - Office, which looks at a link before it opens the browser, and PowerShell.
 */
const program =
  /\bCFNetwork\/[\d.]+ Darwin\/|^(?:AppleCoreMedia|Dalvik|Dart|Microsoft Office|VLC)\/|\b(?:ms-office\b|WindowsPowerShell\/)/;

/** Whether a user agent belongs to a program that looks at links: a crawler, a preview, a tool. */
export function isBot(userAgent: string): boolean {
  if (program.test(userAgent)) return true;
  if (smallBrowser.test(userAgent)) return false;
  const claims = userAgent.replaceAll(deviceFacts, '');
  return isbot(inApp.test(claims) ? claims.replaceAll(newsApp, '') : claims);
}
