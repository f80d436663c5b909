import { qrTypes } from '../qr.js';
import type { Status } from '../statuses.js';
import type { ResourceName } from './resources.js';

/** What a route answers with when all went well; without anything it is an empty body. */
export interface Answer {
  readonly one?: ResourceName;
  readonly listOf?: ResourceName;
  /** With `?atomic=true` a refusal of the whole has this for its body. */
  readonly refusals?: ResourceName;
  /** A media type, where it is no JSON. */
  readonly text?: string;
  /** Media types, where it is a file. */
  readonly files?: readonly string[];
  /** Statuses besides the declared one. */
  readonly statuses?: readonly Status[];
  /** Of the answer, with what they are for. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Those that not every answer has. */
  readonly optionalHeaders?: Readonly<Record<string, string>>;
}

/** By operation; where one operation answers two routes differently, by method and path. */
export const answers = {
  redirect: {
    statuses: [301, 307, 308],
    headers: { Location: 'the target, in ASCII' },
  },
  createLink: { one: 'Link', statuses: [200] },
  'POST /shorten': { one: 'ShortLink', statuses: [200] },
  listLinks: {
    listOf: 'Link',
    optionalHeaders: {
      'X-Total-Count': 'with `with_total`: links of the whole list, up to 10000',
      'X-Total-Is-Minimum': 'true where there are more than `X-Total-Count`',
    },
  },
  getLink: { one: 'Link' },
  updateLink: { one: 'Link' },
  drawQr: {
    files: Object.values(qrTypes),
    statuses: [304],
    headers: { ETag: 'of this look and host name', 'Cache-Control': 'it is to be asked about each time' },
  },
  deleteLink: {},
  createLinks: { one: 'BulkCreate', refusals: 'BulkCreate' },
  updateLinks: { one: 'BulkUpdate', refusals: 'BulkUpdate' },
  deleteLinks: { one: 'BulkDelete', refusals: 'BulkDelete' },
  'POST /urls/import': { one: 'LinkImport', statuses: [200] },
  getLinkStats: { one: 'Statistics' },
  getStats: { one: 'Statistics' },
  createUser: { one: 'User' },
  listUsers: { listOf: 'User' },
  getUser: { one: 'User' },
  updateUser: { one: 'User' },
  deleteUser: {},
  importUsers: { one: 'UserImport' },
  createEvent: { one: 'Event' },
  listEvents: { listOf: 'Event' },
  getEvent: { one: 'Event' },
  deleteEvent: {},
  createKey: { one: 'NewKey' },
  listKeys: { listOf: 'Key' },
  deleteKey: {},
  live: { text: 'text/event-stream' },
  health: { one: 'Health' },
  'GET /health/ready': { one: 'Readiness' },
  metrics: { text: 'text/plain' },
  logs: { one: 'Logs' },
  chaos: {},
  robots: { text: 'text/plain' },
  favicon: {},
  openapi: { one: 'OpenApi' },
  docsPage: { text: 'text/html' },
  docsScript: { text: 'text/javascript' },
  docsLibrary: { text: 'text/javascript' },
  docsStyle: { text: 'text/css' },
  consoleEntry: { headers: { Location: 'the console' } },
  consolePage: { text: 'text/html' },
  consoleFile: { files: ['text/javascript', 'text/css', 'image/svg+xml'] },
} as const satisfies Readonly<Record<string, Answer>>;

/** Members of a body that are checked as the body of another route is: each of a list, or the member itself. */
export const bodyParts: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  createLinks: { urls: 'POST /urls' },
  updateLinks: { set: 'PATCH /urls/:id' },
};

export function answerOf(route: {
  readonly method: string;
  readonly path: string;
  readonly operation: string;
}): Answer | undefined {
  const known: Readonly<Record<string, Answer>> = answers;
  return known[`${route.method} ${route.path}`] ?? known[route.operation];
}
