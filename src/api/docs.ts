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

/** The files of the reference page, by their path: their operations read what the build has copied. */
export const docsRoutes = [
  route({
    ...page,
    path: '/openapi.json',
    summary: 'this API for programs (OpenAPI 3.1)',
    operation: 'openapi',
  }),
  route({
    ...page,
    path: '/docs',
    summary: 'the same as a page, to read and try',
    operation: 'docsPage',
  }),
  route({
    ...page,
    path: '/docs/page.js',
    summary: 'a script of the reference page',
    operation: 'docsScript',
  }),
  route({
    ...page,
    path: '/docs/swagger-ui-bundle.js',
    summary: 'the library of the reference page',
    operation: 'docsLibrary',
  }),
  route({
    ...page,
    path: '/docs/swagger-ui.css',
    summary: 'the style sheet of the reference page',
    operation: 'docsStyle',
  }),
] as const;
