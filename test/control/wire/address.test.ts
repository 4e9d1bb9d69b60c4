import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addressBytes,
  addressText,
  canonicalAddress,
  compareAddresses,
  formatRange,
  isAddress,
  parseRange,
} from '../../../src/control/wire/address.ts';

describe('an address', () => {
  it('has one text: RFC 5952', () => {
    expect(canonicalAddress('2001:DB8:0:0:0:0:0:1')).toBe('2001:db8::1');
    expect(canonicalAddress('::ffff:192.0.2.1')).toBe('::ffff:c000:201');
    expect(canonicalAddress('192.0.2.1')).toBe('192.0.2.1');
  });

  it.each([
    '',
    '1',
    '1.2.3',
    '01.2.3.4',
    '1.2.3.256',
    '0x7f.1.1.1',
    'fe80::1%eth0',
    '::1::',
    'gw.example.org',
    '1.2.3.4 ',
  ])('is not "%s"', (text) => {
    expect(isAddress(text)).toBe(false);
    expect(() => addressBytes(text)).toThrow(/is not an IP address; write e.g. 192.0.2.1/);
  });

  it('comes back from its bytes', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 })),
        (bytes) => {
          expect(addressBytes(addressText(bytes))).toEqual(Uint8Array.from(bytes));
        },
      ),
    );
  });

  it('sorts by value, IPv4 first', () => {
    const sorted = ['::1', '10.0.0.1', '9.255.0.0', '::'].map(addressBytes).sort(compareAddresses).map(addressText);
    expect(sorted).toEqual(['9.255.0.0', '10.0.0.1', '::', '::1']);
  });
});

describe('a range', () => {
  it.each([
    ['10.1.0.0/16', '10.1.0.0', '10.1.255.255', '10.1.0.0/16'],
    ['10.1.2.3/16', '10.1.0.0', '10.1.255.255', '10.1.0.0/16'],
    ['0.0.0.0/0', '0.0.0.0', '255.255.255.255', '0.0.0.0/0'],
    ['192.0.2.1', '192.0.2.1', '192.0.2.1', '192.0.2.1'],
    ['192.0.2.1/32', '192.0.2.1', '192.0.2.1', '192.0.2.1'],
    ['192.0.2.4-192.0.2.9', '192.0.2.4', '192.0.2.9', '192.0.2.4..192.0.2.9'],
    ['192.0.2.4 - 192.0.2.7', '192.0.2.4', '192.0.2.7', '192.0.2.4/30'],
    ['2001:db8::/65', '2001:db8::', '2001:db8::7fff:ffff:ffff:ffff', '2001:db8::/65'],
  ])('%s goes from %s to %s and is written %s', (text, from, to, shown) => {
    expect(parseRange(text)).toEqual({ from, to });
    expect(formatRange({ from, to })).toBe(shown);
  });

  it.each([
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '10.0.0.0/-1',
    '10.0.0.9-10.0.0.1',
    '10.0.0.1-::1',
    '1.1.1.1-1.1.1.2-1.1.1.3',
    '',
  ])('is not "%s"', (text) => {
    expect(() => parseRange(text)).toThrow(/write e.g./);
  });
});
