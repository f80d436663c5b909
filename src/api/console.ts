import { route } from './route.js';

const file = {
  method: 'GET',
  scope: 'public',
  performs: 'local',
  kind: 'read',
  bodyLimit: 'none',
  headers: ['accept-encoding'],
  barrier: 'none',
  errors: ['NOT_FOUND'],
  isQuiet: true,
} as const;

/** Where the console is. */
export const CONSOLE_PATH = '/ui/';

/** Where the runbook is. Alerts link to it, by the RUNBOOK_URL of docker-compose.yml. */
export const RUNBOOK_PATH = '/ui/runbook';

/** The console's page and files, as the build has made them; none of these routes where `CONSOLE` is off. */
export const consoleRoutes = [
  route({
    ...file,
    path: '/ui',
    summary: 'redirects to the console',
    operation: 'consoleEntry',
    answer: { headers: { Location: 'the console' } },
    headers: [],
    status: 302,
  }),
  route({
    ...file,
    path: '/ui/',
    summary: 'the console, a page to make and watch links; a browser’s `GET /` is redirected there',
    operation: 'consolePage',
    answer: { text: 'text/html' },
    status: 200,
  }),
  route({
    ...file,
    path: RUNBOOK_PATH,
    summary: 'the operational runbook, to whose sections alerts link',
    operation: 'consoleRunbook',
    answer: { text: 'text/html' },
    status: 200,
  }),
  route({
    ...file,
    path: '/ui/:file',
    summary: 'a script, style sheet or icon of the console',
    operation: 'consoleFile',
    answer: { files: ['text/javascript', 'text/css', 'image/svg+xml'] },
    status: 200,
  }),
] as const;
