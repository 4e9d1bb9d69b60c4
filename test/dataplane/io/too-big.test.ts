import { describe, expect, it } from 'vitest';
import { tooBig4, tooBig6 } from '../../../src/dataplane/io/too-big.ts';
import { ip, pattern } from '../packets.ts';

const icmp = (type: number, code: number, quoted: Uint8Array) =>
  Uint8Array.from([type, code, 0, 0, 0, 0, 5, 20, ...quoted]);

describe('a router’s "too big"', () => {
  const quoted4 = ip(pattern(8), { source: '192.0.2.1', destination: '192.0.2.2', protocol: 50 });
  const quoted6 = ip(pattern(900), { source: '2001:db8::1', destination: '2001:db8::2' });
  const from4 = (message: Uint8Array, options?: Uint8Array) =>
    ip(message, { source: '198.51.100.1', destination: '192.0.2.1', protocol: 1, ...(options && { options }) });

  it('names the peer whose packet it was', () => {
    expect(tooBig4(from4(icmp(3, 4, quoted4)))).toEqual({ remote: '192.0.2.2' });
    expect(tooBig4(from4(icmp(3, 4, quoted4), Uint8Array.of(0x94, 4, 0, 0)))).toEqual({ remote: '192.0.2.2' });
    expect(tooBig6(icmp(2, 0, quoted6))).toEqual({ remote: '2001:db8::2' });
  });

  it.each([
    ['ESP', 50, [0xc0, 0xff, 0xee, 1, 0, 0, 0, 1]],
    ['AH', 51, [58, 4, 0, 0, 0xc0, 0xff, 0xee, 1, 0, 0, 0, 1]],
  ])('says of raw %s over IPv6 what the system does not keep', (_, protocol, header) => {
    const ends = { source: '2001:db8::1', destination: '2001:db8::2' };
    const quoted = ip(Uint8Array.from(header), { ...ends, protocol });
    expect(tooBig6(icmp(2, 0, quoted))).toEqual({ remote: '2001:db8::2', raw6: { mtu: 1300, spi: 0xc0ffee01 } });
    expect(tooBig6(icmp(2, 0, quoted.subarray(0, 43)))).toEqual({ remote: '2001:db8::2' });
  });

  it('is neither another error nor cut short', () => {
    expect(tooBig4(from4(icmp(3, 1, quoted4)))).toBeUndefined();
    expect(tooBig6(icmp(1, 0, quoted6))).toBeUndefined();
    const [short4, short6] = [from4(icmp(3, 4, quoted4.subarray(0, 19))), icmp(2, 0, quoted6.subarray(0, 39))];
    for (let length = 0; length <= short4.length; length++) expect(tooBig4(short4.subarray(0, length))).toBeUndefined();
    for (let length = 0; length <= short6.length; length++) expect(tooBig6(short6.subarray(0, length))).toBeUndefined();
  });
});
