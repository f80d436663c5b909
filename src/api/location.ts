import { domainToASCII } from 'node:url';

/** Characters that a Location header may contain unchanged: printable ASCII. */
const printableAscii = /^[!-~]*$/;
const otherRun = /[^!-~]+/gu;
/** Scheme, user info with its @, host, and the rest. A backslash ends a host too, as browsers read it. */
const parts = /^([a-z][a-z0-9+.-]*:\/\/)((?:[^/\\?#]*@)?)([^/\\?#@]*)(.*)$/isu;
/** A port is no part of the name that IDNA writes. */
const hostAndPort = /^(.*?)((?::\d*)?)$/su;

/**
 * A target in the form of the Location header: in ASCII. Printable ASCII stays as it is, a host beyond it
 * gets its IDNA form, and every other byte of the UTF-8 is percent-encoded. Half of a surrogate pair counts
 * as U+FFFD.
 */
export function locationOf(target: string): string {
  if (printableAscii.test(target)) return target;
  const [, scheme = '', userInfo = '', authority = '', rest = ''] = parts.exec(target) ?? [];
  if (scheme === '') return percentEncoded(target);
  return scheme + percentEncoded(userInfo) + hostOf(authority) + percentEncoded(rest);
}

function hostOf(authority: string): string {
  if (printableAscii.test(authority)) return authority;
  const [, host = '', port = ''] = hostAndPort.exec(authority) ?? [];
  // Empty where there is no IDNA form; a target that was checked always has one.
  return (domainToASCII(host) || percentEncoded(host)) + port;
}

function percentEncoded(text: string): string {
  return text.replaceAll(otherRun, (run) => Buffer.from(run).toString('hex').replaceAll(/../g, toPercent));
}

function toPercent(byte: string): string {
  return `%${byte.toUpperCase()}`;
}
