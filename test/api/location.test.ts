import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { locationOf } from '../../src/api/location.js';
import { isRedirectTarget } from '../../src/api/values.js';

describe('locationOf', () => {
  it.each([
    ['http://e.com/good space/路径', 'http://e.com/good%20space/%E8%B7%AF%E5%BE%84'],
    ['http://e.com/p?a[1]=A%2BB%3D#!x', 'http://e.com/p?a[1]=A%2BB%3D#!x'],
    ['http://e.com/%7Ea/%e4%zz?<">\\^`{|}', 'http://e.com/%7Ea/%e4%zz?<">\\^`{|}'],
    ['HTTPS://EXAMPLE.com:0443', 'HTTPS://EXAMPLE.com:0443'],
    ['https://exämple.com:8080/ü?ö#ä', 'https://xn--exmple-cua.com:8080/%C3%BC?%C3%B6#%C3%A4'],
    ['https://例え.テスト', 'https://xn--r8jz45g.xn--zckzah'],
    ['https://Bücher.de?ü', 'https://xn--bcher-kva.de?%C3%BC'],
    ['https://faß.de/', 'https://xn--fa-hia.de/'],
    ['https://nütze r:pä@ss@exämple.com/', 'https://n%C3%BCtze%20r:p%C3%A4@ss@xn--exmple-cua.com/'],
    ['https://ü@example.com/ü@b', 'https://%C3%BC@example.com/%C3%BC@b'],
    ['https://example.com\\ü@b', 'https://example.com\\%C3%BC@b'],
    ['https://[::1]:80/ü', 'https://[::1]:80/%C3%BC'],
    ['https://e.com/🚦', 'https://e.com/%F0%9F%9A%A6'],
    ['https://e.com/a\r\nSet-Cookie: x', 'https://e.com/a%0D%0ASet-Cookie:%20x'],
    ['https://e.com/\ud800', 'https://e.com/%EF%BF%BD'],
    ['no url at all, ü', 'no%20url%20at%20all,%20%C3%BC'],
  ])('%j is %j', (target, location) => {
    expect(locationOf(target)).toBe(location);
  });

  const anything = fc.string({ unit: 'binary' });
  const target = fc
    .tuple(fc.constantFrom('http://', 'https://', 'HTTP://'), fc.webAuthority(), anything)
    .map(([scheme, authority, rest]) => `${scheme}${authority}/${rest}`);

  it('is printable ASCII, whatever it is given', () => {
    fc.assert(
      fc.property(fc.oneof(anything, target), (text) => {
        expect(locationOf(text)).toMatch(/^[!-~]*$/);
      }),
      { numRuns: 2000 },
    );
  });

  it('leaves printable ASCII as it is', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^https?:\/\/[!-~]*$/), (text) => {
        expect(locationOf(text)).toBe(text);
      }),
      { numRuns: 2000 },
    );
  });

  it('is the same when it is made of itself', () => {
    fc.assert(
      fc.property(fc.oneof(anything, target), (text) => {
        expect(locationOf(locationOf(text))).toBe(locationOf(text));
      }),
      { numRuns: 2000 },
    );
  });

  it('leads where the target leads', () => {
    const part = fc.string({ unit: fc.constantFrom(...'abZ09-._~%/?#[]@!$&()*+,;= üß路🚦"<>|^`{}\\') });
    const host = fc.constantFrom('e.com', 'exämple.com', '例え.テスト', 'ＦＵＬＬ.com', '[::1]', '127.0.0.1');
    const user = fc.constantFrom('', 'u@', 'ü:pä@', 'a@b@');
    const whole = fc
      .tuple(user, host, fc.constantFrom('', ':80', ':8080'), part)
      .map(([who, name, port, rest]) => `https://${who}${name}${port}/${rest}`)
      .filter(isRedirectTarget);
    fc.assert(
      fc.property(whole, (text) => {
        // By the rules that a browser reads both by.
        expect(new URL(locationOf(text)).href).toBe(new URL(text).href);
      }),
      { numRuns: 5000 },
    );
  });
});
