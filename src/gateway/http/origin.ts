import type { Exchange } from './exchange.js';

/**
 * Where short URLs are for a client: scheme and host.
 * @param baseUrl As it is set; without it the request's Host header says it.
 */
export function originOf(exchange: Exchange, baseUrl: string | undefined, port: number): string {
  if (baseUrl !== undefined) return baseUrl;
  const scheme = exchange.forwardedProto === 'https' ? 'https' : 'http';
  const host = /^[\w.:[\]-]{1,255}$/.test(exchange.host) ? exchange.host : `localhost:${port}`;
  return `${scheme}://${host}`;
}
