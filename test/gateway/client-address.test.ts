import { describe, expect, it } from 'vitest';
import { ClientAddresses, limitKey, plainAddress } from '../../src/gateway/http/client-address.js';

const addresses = new ClientAddresses(['127.0.0.0/8', '::1', '10.0.0.0/8', '2001:db8:f::/48']);

describe('the client’s address', () => {
  it.each([
    // Nobody in between: nothing is believed.
    ['203.0.113.7', '198.51.100.1', '203.0.113.7'],
    ['203.0.113.7', '', '203.0.113.7'],
    // A proxy says whom it was asked by.
    ['127.0.0.1', '198.51.100.1', '198.51.100.1'],
    ['127.0.0.1', '', '127.0.0.1'],
    ['0000:0000:0000:0000:0000:ffff:7f00:0001', '198.51.100.1', '198.51.100.1'],
    ['::1', '2001:DB8:0:0::1', '2001:db8:0:0:0:0:0:1'],
    // What the client itself had written stands further left.
    ['127.0.0.1', '1.2.3.4, 198.51.100.1', '198.51.100.1'],
    ['127.0.0.1', '1.2.3.4, 198.51.100.1, 10.0.0.3', '198.51.100.1'],
    ['127.0.0.1', '10.0.0.1, 10.0.0.3', '10.0.0.1'],
    ['127.0.0.1', '1.2.3.4, 198.51.100.1, 2001:db8:f::7', '198.51.100.1'],
    // Anything else ends the chain at what is known.
    ['127.0.0.1', '1.2.3.4, nonsense', '127.0.0.1'],
    ['127.0.0.1', '1.2.3.4, nonsense, 10.0.0.3', '10.0.0.3'],
    ['127.0.0.1', '198.51.100.1:4711', '198.51.100.1'],
    ['127.0.0.1', '[2001:db8::1]:4711', '2001:db8:0:0:0:0:0:1'],
  ])('of %s, forwarded for %j, is %s', (peer, forwardedFor, client) => {
    expect(addresses.of(peer, forwardedFor)).toBe(client);
  });

  it('goes into limits as itself, and of IPv6 as its /64', () => {
    expect(limitKey('203.0.113.7')).toBe('203.0.113.7');
    expect(limitKey('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64');
    expect(limitKey('2001:db8:1:2::9')).toBe(limitKey('2001:db8:1:2:ffff::1'));
    expect(limitKey('2001:db8:1:3::9')).not.toBe(limitKey('2001:db8:1:2::9'));
  });

  it('has one way to be written', () => {
    expect(plainAddress('::ffff:192.0.2.1')).toBe('192.0.2.1');
    expect(plainAddress('::FFFF:c000:0201')).toBe('192.0.2.1');
    expect(plainAddress('2001:0DB8::0001')).toBe('2001:db8:0:0:0:0:0:1');
    expect(plainAddress('fe80::1%eth0')).toBeUndefined();
    expect(plainAddress('no')).toBeUndefined();
  });
});
