import { bodyless } from './defaults.js';
import { route } from './route.js';

const visit = {
  method: 'GET',
  summary: '302 to the target; a GET makes one click event',
  scope: 'public',
  performs: 'redirect',
  operation: 'redirect',
  kind: 'read',
  status: 302,
  errors: ['SHORT_URL_NOT_FOUND', 'LINK_EXPIRED'],
  isQuiet: true,
  ...bodyless,
} as const;

export const redirectRoutes = [
  route({ ...visit, path: '/:short_code' }),
  route({ ...visit, path: '/urls/:short_code/redirect' }),
] as const;
