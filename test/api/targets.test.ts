import { describe, expect, it } from 'vitest';
import { targetFault } from '../../src/api/targets.js';

describe('a target', () => {
  it.each([
    'https://example.com',
    'https://example.com.',
    'https://example.com:8080/x\\y?z=\\',
    'https://user:password@example.com/',
    'https://127.0.0.1/',
    'https://[::1]:80/',
    'https://xn--mnchen-3ya.de/',
    'https://münchen.de/路径',
    `https://${'a'.repeat(63)}.example`,
    'https://example.com/..//a..b',
    `https://a/${'x'.repeat(8182)}`,
    `https://a/${'路'.repeat(1665)}`,
  ])('may be %s', (target) => {
    expect(targetFault(target)).toBeUndefined();
  });

  it.each([
    '',
    'ftp://a',
    'https://',
    'https:///a',
    'https://?a',
    'https://a\n',
    'https://a /',
    ' https://a',
  ])('is no http(s) URL with a host: %j', (target) => {
    expect(targetFault(target)).toEqual({});
  });

  it.each([
    ['https://example.com:0/', 'port 0'],
    ['https://example.com:000', 'port 0'],
    ['https://e..com/', 'a host with an empty label'],
    ['https://.e.com/', 'a host with an empty label'],
    ['https://e.com../', 'a host with an empty label'],
    [`https://${'a'.repeat(64)}.com/`, 'a host with a label of more than 63 characters'],
    [`https://${'ü'.repeat(64)}.com/`, 'a host with a label of more than 63 characters'],
    [`https://${'a.'.repeat(127)}com/`, 'a host of more than 253 characters'],
    ['https://good.example\\@bad.example/', "a '\\' before the end of the host"],
    ['https://\\bad.example/', "a '\\' before the end of the host"],
    ['https://example.com/\u202egnp.exe', 'bidirectional control characters'],
    ['https://example.com/\u2066x', 'bidirectional control characters'],
    [`https://a/${'路'.repeat(1666)}`, 'more than 15000 bytes once percent-encoded'],
    [`https://a/${' '.repeat(4997)}x`, 'more than 15000 bytes once percent-encoded'],
  ])('that misleads people or leads nowhere is refused with the reason: %j', (target, reason) => {
    expect(targetFault(target)).toEqual({ reason });
  });
});
