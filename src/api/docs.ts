import { bodyless } from './defaults.js';
import { route } from './route.js';

const page = {
  method: 'GET',
  scope: 'public',
  performs: 'local',
  kind: 'read',
  status: 200,
  errors: [],
  ...bodyless,
} as const;

/** The files of the reference page, by path; their operations read what the build has copied. */
export const docsRoutes = [
  route({
    ...page,
    path: '/openapi.json',
    summary: 'this API for programs (OpenAPI 3.1)',
    operation: 'openapi',
    answer: { one: 'OpenApi' },
  }),
  route({
    ...page,
    path: '/docs',
    summary: 'the same as a page, to read and try',
    operation: 'docsPage',
    answer: { text: 'text/html' },
  }),
  route({
    ...page,
    path: '/docs/page.js',
    summary: 'a script of the reference page',
    operation: 'docsScript',
    answer: { text: 'text/javascript' },
  }),
  route({
    ...page,
    path: '/docs/swagger-ui-bundle.js',
    summary: 'the library of the reference page',
    operation: 'docsLibrary',
    answer: { text: 'text/javascript' },
  }),
  route({
    ...page,
    path: '/docs/swagger-ui.css',
    summary: 'the style sheet of the reference page',
    operation: 'docsStyle',
    answer: { text: 'text/css' },
  }),
] as const;
