import { bodyless } from './defaults.js';
import { route } from './route.js';

const visit = {
  method: 'GET',
  summary: 'redirects to the target and makes a click event',
  scope: 'public',
  performs: 'redirect',
  operation: 'redirect',
  answer: {
    statuses: [301, 307, 308],
    headers: { Location: 'the target, in ASCII' },
  },
  kind: 'read',
  status: 302,
  errors: [
    'SHORT_URL_NOT_FOUND',
    'LINK_EXPIRED',
    'CLICK_LIMIT',
    'PASSWORD_REQUIRED',
    'WRONG_PASSWORD',
    'TOO_MANY_TRIES',
  ],
  isQuiet: true,
  ...bodyless,
  headers: ['accept', 'content-type', 'x-link-password'],
} as const;

export const redirectRoutes = [
  route({
    ...visit,
    path: '/:short_code',
    summary: `${visit.summary}; a \`+\` after the code shows the target instead`,
    answer: { ...visit.answer, statuses: [...visit.answer.statuses, 200], one: 'LinkPreview' },
  }),
  route({ ...visit, path: '/urls/:short_code/redirect' }),
] as const;
