import { createStore } from '../store.js';

/** A refusal, in the API's own words. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }

  /** The member of the request that was wrong; empty if the refusal names none. */
  get field(): string {
    return /'([a-z_]+)'/.exec(this.message)?.[1] ?? fieldsOfTexts[this.message] ?? '';
  }
}

/** Refusals that name their member only in words, with the member. */
const fieldsOfTexts: Readonly<Record<string, string>> = {
  'URL must start with http:// or https://': 'url',
  'Short code already taken': 'short_code',
  'User not found': 'user_id',
  'Username already exists': 'username',
  'Invalid or missing username': 'username',
  'Invalid or missing email': 'email',
  'Invalid username': 'username',
  'Invalid email': 'email',
};

/** Nobody answered. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';

  constructor() {
    super(navigator.onLine ? 'The server does not answer' : 'You are offline');
  }
}

/** What the whole page needs to know from the API's answers. */
export interface Connection {
  /** Whether the API requires keys, as far as is known. */
  readonly isGuarded: boolean;
  /** Whether a key has to be typed before anything can be shown. */
  readonly wantsKey: boolean;
  /** When the server last answered, if it does not answer now. */
  readonly lostSince: Date | undefined;
}

const KEY_NAME = 'switchyard.key';
const DEADLINE_MS = 30_000;

let key = sessionStorage.getItem(KEY_NAME) ?? '';

export const connection = createStore<Connection>({
  isGuarded: key !== '',
  wantsKey: false,
  lostSince: undefined,
});

let answeredAt = new Date();

/** Kept for this tab while it is open. */
export function useKey(next: string): void {
  key = next;
  if (next === '') sessionStorage.removeItem(KEY_NAME);
  else sessionStorage.setItem(KEY_NAME, next);
  connection.set({ ...connection.get(), isGuarded: true, wantsKey: next === '' });
}

/** Another page may be shown without a key, as with API_AUTH=off all but that of keys: its answers say. */
export function askAgain(): void {
  const now = connection.get();
  if (now.wantsKey) connection.set({ ...now, wantsKey: false });
}

export const hasKey = (): boolean => key !== '';

/** The options of every request. */
export function keyHeaders(): Record<string, string> {
  return key === '' ? {} : { Authorization: `Bearer ${key}` };
}

export interface Request {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly query?: URLSearchParams | Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
  /** Continues when the page is closed. */
  readonly keepalive?: boolean;
  /** Without a deadline, the request lasts until its reader ends it. */
  readonly hasDeadline?: boolean;
}

/** @throws Refused, Unreachable, or the reason of the signal. */
export async function send(path: string, request: Request = {}): Promise<Response> {
  const { method = 'GET', query = {}, body, signal, keepalive = false, hasDeadline = true } = request;
  const parameters = new URLSearchParams(query).toString();
  const signals = [
    ...(signal === undefined ? [] : [signal]),
    ...(hasDeadline ? [AbortSignal.timeout(DEADLINE_MS)] : []),
  ];
  let response: Response;
  try {
    response = await fetch(`${path}${parameters === '' ? '' : `?${parameters}`}`, {
      method,
      headers: { ...keyHeaders(), ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.any(signals),
      keepalive,
      credentials: 'omit',
      cache: 'no-store',
    });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    noteLoss();
    throw new Unreachable();
  }
  noteAnswer();
  if (response.ok) return response;
  throw await refusalOf(response);
}

export async function call<T>(path: string, request: Request = {}): Promise<T> {
  const response = await send(path, request);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

export async function refusalOf(response: Pick<Response, 'status' | 'text'>): Promise<Refused> {
  const refused = new Refused(response.status, messageOf(await response.text(), response.status));
  if (response.status === 401) askForKey();
  return refused;
}

export function messageOf(text: string, status: number): string {
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    if (typeof error === 'string') return error;
  } catch {
    // A proxy in between may answer with something other than JSON.
  }
  return `The server answered with ${status}`;
}

function askForKey(): void {
  useKey('');
}

export function noteLoss(): void {
  const now = connection.get();
  if (now.lostSince === undefined) connection.set({ ...now, lostSince: answeredAt });
}

export function noteAnswer(): void {
  answeredAt = new Date();
  const now = connection.get();
  if (now.lostSince !== undefined) connection.set({ ...now, lostSince: undefined });
}

/** Repeats all failed requests, as if the server had answered. */
export function tryAgain(): void {
  connection.set({ ...connection.get(), lostSince: undefined });
}

window.addEventListener('offline', noteLoss);

/** The error as a sentence for people. */
export function sentenceOf(error: unknown): string {
  if (error instanceof Refused && error.status === 403) return 'Your key may not do this';
  return error instanceof Error ? error.message : String(error);
}
