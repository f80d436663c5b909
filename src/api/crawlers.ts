import { bodyless } from './defaults.js';
import { route } from './route.js';

const file = {
  method: 'GET',
  scope: 'public',
  performs: 'local',
  kind: 'read',
  errors: [],
  isQuiet: true,
  ...bodyless,
} as const;

/** What browsers and crawlers ask for by themselves: answered without a look-up, and no visit. */
export const crawlerRoutes = [
  route({
    ...file,
    path: '/robots.txt',
    summary: 'keeps crawlers out of everything but links; `ROBOTS_INDEX=false` keeps them out of links too',
    operation: 'robots',
    answer: { text: 'text/plain' },
    status: 200,
  }),
  route({
    ...file,
    path: '/favicon.ico',
    summary: 'no icon',
    operation: 'favicon',
    answer: {},
    status: 204,
  }),
] as const;

/** Icons that Apple's devices request under a dozen names: we have none of them. */
export const touchIcon = /^apple-touch-icon[\w-]*\.png$/;

/** @param words First segments of the routes. @param isIndexed Whether crawlers may follow links. */
export function robotsText(words: readonly string[], isIndexed: boolean): string {
  const closed = isIndexed
    ? ['/$', ...words.flatMap((word) => [`/${word}$`, `/${word}?`, `/${word}/`])]
    : ['/'];
  return ['User-agent: *', ...closed.map((path) => `Disallow: ${path}`), ''].join('\n');
}
