/** How the values of settings are read: each takes a variable's text and refuses it with one sentence. */
import { accessSync, constants } from 'node:fs';
import { isIP } from 'node:net';
import { z } from 'zod';

export function integer(fallback: number, minimum: number, maximum: number) {
  return z
    .string()
    .default(String(fallback))
    .transform((text, context) => {
      const value = Number(text);
      if (/^\d{1,15}$/.test(text) && value >= minimum && value <= maximum) return value;
      context.addIssue({ code: 'custom', message: `must be an integer from ${minimum} to ${maximum}` });
      return z.NEVER;
    });
}

export function flag(fallback: boolean) {
  return z
    .string()
    .default(String(fallback))
    .transform((text, context) => {
      const value = text.toLowerCase();
      if (['true', '1', 'yes', 'on'].includes(value)) return true;
      if (['false', '0', 'no', 'off'].includes(value)) return false;
      context.addIssue({ code: 'custom', message: 'must be true or false' });
      return z.NEVER;
    });
}

export function choice<const T extends readonly [string, ...string[]]>(values: T, fallback: T[number]) {
  return z
    .string()
    .default(fallback)
    .transform((text, context) => {
      const value = values.find((candidate) => candidate === text.toLowerCase());
      if (value !== undefined) return value as T[number];
      context.addIssue({ code: 'custom', message: `must be one of ${values.join(', ')}` });
      return z.NEVER;
    });
}

/** pino's words, and how others call the same. */
const logLevels = {
  trace: 'trace',
  debug: 'debug',
  info: 'info',
  notice: 'info',
  warn: 'warn',
  warning: 'warn',
  error: 'error',
  err: 'error',
  fatal: 'fatal',
  critical: 'fatal',
  silent: 'silent',
  off: 'silent',
} as const;

type LogLevelName = (typeof logLevels)[keyof typeof logLevels];

export function logLevel(fallback: LogLevelName) {
  return z
    .string()
    .default(fallback)
    .transform((text, context): LogLevelName => {
      const level = new Map<string, LogLevelName>(Object.entries(logLevels)).get(text.toLowerCase());
      if (level !== undefined) return level;
      const known = [...new Set(Object.values(logLevels))].join(', ');
      context.addIssue({ code: 'custom', message: `must be one of ${known}` });
      return z.NEVER;
    });
}

export function httpUrl() {
  return z
    .string()
    .optional()
    .transform((text, context) => {
      if (text === undefined) return undefined;
      if (/^https?:\/\/[^/?#][^?#]*$/i.test(text) && URL.canParse(text)) return text.replace(/\/+$/, '');
      context.addIssue({ code: 'custom', message: 'must be an http:// or https:// URL without a query' });
      return z.NEVER;
    });
}

/** A key of the API that is a setting. */
export function apiKey() {
  return z
    .string()
    .regex(/^[\x21-\x7e]{24,200}$/, 'must be 24 to 200 printable ASCII characters without a blank')
    .optional();
}

export function canRead(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

export function networks(fallback: string) {
  return z
    .string()
    .default(fallback)
    .transform((text): readonly string[] => text.split(',').map((entry) => entry.trim()))
    .refine((entries) => entries.every(isNetwork), 'must be addresses or CIDR networks, separated by commas');
}

function isNetwork(text: string): boolean {
  const [, address = '', bits = '0'] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  return isIP(address) !== 0 && Number(bits) <= (isIP(address) === 4 ? 32 : 128);
}

/** `*` for all, or origins as browsers write them. */
export function origins() {
  return z
    .string()
    .optional()
    .transform((text, context): readonly string[] => {
      const given = text === undefined ? [] : text.split(',').map((one) => one.trim());
      const found = given.map((one) => (one === '*' ? one : originOf(one)));
      const known = found.filter((one) => one !== undefined);
      const isMixed = known.includes('*') && known.length > 1;
      if (known.length === found.length && !isMixed) return known;
      const message = 'must be * or origins such as https://app.example.com, separated by commas';
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    });
}

function originOf(text: string): string | undefined {
  const isOrigin = /^https?:\/\/[^/?#@]+$/i.test(text) && URL.canParse(text);
  return isOrigin ? new URL(text).origin : undefined;
}

export function headerName() {
  return z
    .string()
    .regex(/^[\w-]{1,64}$/, 'must be the name of a header')
    .transform((name) => name.toLowerCase())
    .optional();
}

/** A URL a host: libpq's form has them separated by commas, each with its port. */
export function splitDatabaseUrl(text: string): string[] {
  const [, before = '', hosts = '', behind = ''] =
    /^(\w+:\/\/(?:[^/?#]*@)?)([^/?#@]*)(.*)$/s.exec(text) ?? [];
  const names = hosts.split(',');
  // A single host's URL is left as it is.
  return names.length === 1 ? [text] : names.map((host) => before + host + behind);
}

/** What may be asked of several hosts: which one is written to is found out, by more than this. */
const writableAttributes: readonly (string | null)[] = [null, 'read-write', 'primary'];

/** @param mustBeWritable Whether the primary among the hosts is meant. */
export function databaseUrl(mustBeWritable: boolean) {
  return z
    .string()
    .optional()
    .superRefine((text, context) => {
      if (text === undefined) return;
      const refuse = (message: string): void => context.addIssue({ code: 'custom', message });
      const urls = splitDatabaseUrl(text);
      const isUrl = (url: string): boolean => /^postgres(ql)?:\/\//.test(url) && URL.canParse(url);
      if (!urls.every(isUrl)) refuse('must be a postgresql:// URL');
      else if (urls.length > 1 && urls.some((url) => new URL(url).host === ''))
        refuse('must have no empty place between its hosts');
      else if (
        mustBeWritable &&
        !writableAttributes.includes(new URL(urls[0] ?? '').searchParams.get('target_session_attrs'))
      )
        refuse('must have target_session_attrs=read-write, or none: the primary is written to');
    });
}

/** When a journal is synced to the disk: never, in each event-loop turn, or every `everyMs`. */
export type SyncPolicy = 'never' | 'turn' | { readonly everyMs: number };

export function syncPolicy(fallback: string) {
  return z
    .string()
    .default(fallback)
    .transform((text, context): SyncPolicy => {
      if (text === 'never' || text === 'turn') return text;
      const everyMs = Number(text);
      if (/^\d{1,7}$/.test(text) && everyMs >= 1) return { everyMs };
      context.addIssue({ code: 'custom', message: 'must be never, turn or a number of milliseconds' });
      return z.NEVER;
    });
}

/** A server of a cluster. */
export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, separated by commas; an IPv6 address in brackets. */
export function brokers() {
  return z
    .string()
    .optional()
    .transform((text, context): readonly HostAndPort[] | undefined => {
      if (text === undefined) return undefined;
      const given = text.split(',').map((one) => brokerOf(one.trim()));
      const known = given.filter((one) => one !== undefined);
      if (known.length === given.length) return known;
      context.addIssue({ code: 'custom', message: 'must be host:port, separated by commas' });
      return z.NEVER;
    });
}

function brokerOf(text: string): HostAndPort | undefined {
  const [, v6, name, digits = ''] = /^(?:\[([\da-f:.]+)\]|([\w.-]+)):(\d{1,5})$/i.exec(text) ?? [];
  const host = v6 ?? name;
  const port = Number(digits);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}
