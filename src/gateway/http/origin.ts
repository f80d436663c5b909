import type { Exchange } from './exchange.js';

/**
 * The origin of short URLs for a client: scheme and host.
 * @param baseUrl The setting; without it the request's Host header decides.
 */
export function originOf(exchange: Exchange, baseUrl: string | undefined, port: number): string {
  if (baseUrl !== undefined) return baseUrl;
  const scheme = exchange.forwardedProto === 'https' ? 'https' : 'http';
  const host = /^[\w.:[\]-]{1,255}$/.test(exchange.host) ? exchange.host : `localhost:${port}`;
  return `${scheme}://${host}`;
}
