import { beforeEach, describe, expect, it } from 'vitest';
import * as A from '../../assembly/layout/arena.ts';
import { INTEG } from '../../src/algorithms.ts';
import type { SaParameters } from '../../src/contract.ts';
import { ahPacket } from './ah.ts';
import { SA } from './bed.ts';
import { openEsp } from './esp.ts';
import { ALL4, ALL6, LOCAL6, OutboundBed, REMOTE6, selector } from './outbound-bed.ts';
import { frame, ip, isChecksumRight, parse, pattern, tcp, udp, unfinished } from './packets.ts';

const V6 = { source: '2001:db8:1::1', destination: '2001:db8:2::1' };
const HOSTS = { source: '192.0.2.1', destination: '192.0.2.2' };
const HOSTS6 = { source: LOCAL6.address, destination: REMOTE6.address };

let bed: OutboundBed;
beforeEach(async () => {
  bed = await OutboundBed.open();
});

describe('tunnel mode on raw lanes', () => {
  const raw: Partial<SaParameters> = { udpEncapsulation: false };

  it('builds the outer IPv4 header', () => {
    bed.protect(raw);
    const packet = ip(udp(pattern(100)), { tos: 0xb9 });
    const sent = bed.send(frame(packet), frame(packet));
    expect(sent.map(({ lane, message, to }) => [lane, message, to.address])).toEqual([
      [A.LANE_RAW4, 0, '192.0.2.2'],
      [A.LANE_RAW4, 1, '192.0.2.2'],
    ]);
    const [first, second] = sent.map(({ bytes }) => parse(bytes));
    expect(first).toMatchObject({ version: 4, header: 20, protocol: 50, id: 1 });
    expect(second!.id).toBe(2);
    expect([...sent[0]!.bytes.subarray(12, 20)]).toEqual([192, 0, 2, 1, 192, 0, 2, 2]);
    expect(sent[0]!.bytes[1]).toBe(0xb9);
    expect(sent[0]!.bytes[6]).toBe(0x40);
    expect(openEsp(SA, first!.upper)).toMatchObject({ next: 4, payload: packet });
  });

  it('builds the outer IPv6 header', () => {
    bed.protect({ ...raw, local: LOCAL6, remote: REMOTE6 });
    const packet = ip(udp(pattern(100)), { ...V6, tos: 0xb9 });
    const [datagram] = bed.send(frame(packet));
    expect(datagram).toMatchObject({ lane: A.LANE_RAW6, to: { address: '2001:db8::2', port: 0 } });
    const { version, protocol, upper } = parse(datagram!.bytes);
    expect({ version, protocol }).toEqual({ version: 6, protocol: 50 });
    expect([...datagram!.bytes.subarray(0, 4)]).toEqual([0x6b, 0x90, 0, 0]);
    expect(openEsp(SA, upper)).toMatchObject({ next: 41, payload: packet });
  });

  it('cuts super-frames', () => {
    bed.protect(raw);
    const big = ip(tcp(pattern(20_000)), { protocol: 6 });
    const sent = bed.send(unfinished(big, 20, 16, { gsoType: 1, gsoSize: 1300 }));
    const payloads = sent.map(({ bytes }) => openEsp(SA, parse(bytes).upper).payload);
    expect(payloads.every(isChecksumRight)).toBe(true);
    expect(Buffer.concat(payloads.map((payload) => payload.subarray(40)))).toEqual(Buffer.from(pattern(20_000)));
  });

  it.each([
    ['copy', 0x4000, true],
    ['copy', 0, false],
    ['set', 0, true],
    ['clear', 0x4000, false],
  ] as const)('with DF %s, takes an inner DF of %i for %s', (df, fragment, expected) => {
    bed.protect({ ...raw, df });
    const [datagram] = bed.send(frame(ip(udp(pattern(10)), { fragment })));
    expect((datagram!.bytes[6]! & 0x40) !== 0).toBe(expected);
    bed.protect({ df }, { priority: 1 });
    const [encapsulated] = bed.send(frame(ip(udp(pattern(10)), { fragment })));
    expect(encapsulated!.lane).toBe(expected ? A.LANE_UDP4_DF : A.LANE_UDP4);
  });

  it('copies ECN always and DSCP if told so (RFC 6040)', () => {
    bed.protect({ ...raw, copyDscp: false });
    expect(bed.send(frame(ip(udp(pattern(10)), { tos: 0xb9 })))[0]!.bytes[1]).toBe(1);
    bed.protect({ copyDscp: false }, { priority: 1 });
    expect(bed.send(frame(ip(udp(pattern(10)), { tos: 0xba })))[0]!.tos).toBe(2);
  });
});

describe('the DSCP of the outer header', () => {
  const dscpMap = { 46: 34, 10: 0 };

  it.each([
    [{ dscpMap }, 46, 34],
    [{ dscpMap }, 10, 0],
    [{ dscpMap }, 8, 8],
    [{ dscpMap, copyDscp: false }, 46, 34],
    [{ dscpMap, copyDscp: false }, 8, 0],
  ])('with %o is, for %i, %i, beside ECN', (more, inner, outer) => {
    bed.protect({ ...more, udpEncapsulation: false });
    const [datagram] = bed.send(frame(ip(udp(pattern(10)), { tos: (inner << 2) | 1 })));
    expect(datagram!.bytes[1]).toBe((outer << 2) | 1);
    bed.protect({ ...more, local: LOCAL6, remote: REMOTE6 }, { priority: 1 });
    expect(bed.send(frame(ip(udp(pattern(10)), { ...V6, tos: (inner << 2) | 1 })))[0]!.tos).toBe((outer << 2) | 1);
  });

  it('is still mapped when the SA has moved, and its table is given back', () => {
    const sa = bed.protect({ dscpMap, udpEncapsulation: false });
    bed.sad.move(sa, LOCAL6, REMOTE6, false);
    const [datagram] = bed.send(frame(ip(udp(pattern(10)), { tos: 46 << 2 })));
    expect([...datagram!.bytes.subarray(0, 2)]).toEqual([0x68, 0x80]);
    const before = bed.heap.used;
    bed.sad.remove(bed.sad.install({ ...SA, dscpMap }));
    expect(bed.heap.used).toBe(before);
  });
});

describe('traffic flow confidentiality', () => {
  it('pads packets behind their end in tunnel mode, and the receiver finds them by their length', () => {
    bed.protect({ tfcPadding: 1000 });
    for (const size of [0, 1, 400, 965, 968, 1200]) {
      const packet = ip(udp(pattern(size)));
      const { payload, padding } = openEsp(SA, bed.send(frame(packet))[0]!.bytes);
      expect(payload.subarray(0, packet.length)).toEqual(packet);
      expect(payload.length + padding.length + 2).toBe(Math.max(1000, ((packet.length + 2 + 3) >> 2) << 2));
      expect(payload.subarray(packet.length).every((byte) => byte === 0)).toBe(true);
    }
  });

  it('does not pad beyond what the path takes', () => {
    bed.protect({ tfcPadding: 4000 });
    expect(bed.send(frame(ip(udp(pattern(10)))))[0]!.bytes.length + 28).toBe(1500);
  });
});

describe('ESP in transport mode', () => {
  const transport: Partial<SaParameters> = { mode: 'transport', udpEncapsulation: false };

  it('goes between the packet’s own IPv4 header and what follows', () => {
    bed.protect(transport);
    const options = Uint8Array.of(0x94, 4, 0, 0);
    const packet = ip(udp(pattern(50)), { ...HOSTS, options, ttl: 7, tos: 3, id: 99 });
    const [datagram] = bed.send(frame(packet));
    expect(datagram).toMatchObject({ lane: A.LANE_RAW4 });
    const { protocol, upper, id, header } = parse(datagram!.bytes);
    expect({ protocol, id, header }).toEqual({ protocol: 50, id: 99, header: 24 });
    expect(datagram!.bytes.subarray(12, 24)).toEqual(packet.subarray(12, 24));
    expect([datagram!.bytes[1], datagram!.bytes[8]]).toEqual([3, 7]);
    expect(openEsp(SA, upper)).toMatchObject({ next: 17, payload: packet.slice(24) });
  });

  it('goes behind the extension headers that routers read, in front of destination options', () => {
    bed.protect({ ...transport, local: LOCAL6, remote: REMOTE6 });
    const hopByHop = [60, 0, 1, 4, 0, 0, 0, 0];
    const destination = [17, 0, 1, 4, 0, 0, 0, 0];
    const options = Uint8Array.from([...hopByHop, ...destination]);
    const packet = ip(udp(pattern(50)), { ...HOSTS6, protocol: 0, options });
    const [datagram] = bed.send(frame(packet));
    const { protocol, upper } = parse(datagram!.bytes);
    expect(protocol).toBe(0);
    expect([...upper.subarray(0, 8)]).toEqual([50, ...hopByHop.slice(1)]);
    expect(openEsp(SA, upper.slice(8))).toMatchObject({ next: 60, payload: packet.slice(48) });
  });

  it('leaves the IP header to the system in UDP', () => {
    bed.protect({ mode: 'transport' });
    const packet = ip(udp(pattern(50)), HOSTS);
    const [datagram] = bed.send(frame(packet));
    expect(datagram).toMatchObject({ lane: A.LANE_UDP4_DF, to: SA.remote });
    expect(openEsp(SA, datagram!.bytes)).toMatchObject({ next: 17, payload: packet.slice(20) });
  });

  it.each([
    [true, HOSTS, 20],
    [false, HOSTS, 20],
    [true, HOSTS6, 40],
    [false, HOSTS6, 40],
  ])('cuts super-frames (UDP: %s, %o)', (udpEncapsulation, hosts, header) => {
    const ends = header === 40 ? { local: LOCAL6, remote: REMOTE6 } : {};
    bed.protect({ mode: 'transport', udpEncapsulation, ...ends });
    const big = ip(tcp(pattern(9000)), { ...hosts, protocol: 6 });
    const sent = bed.send(unfinished(big, header, 16, { gsoType: header === 40 ? 4 : 1, gsoSize: 1300 }));
    const data = sent.map(({ bytes }, index) => {
      const { payload, next } = openEsp(SA, udpEncapsulation ? bytes : parse(bytes).upper);
      if (!udpEncapsulation && header === 20) expect(parse(bytes).id).toBe(0x1234 + index);
      expect(next).toBe(6);
      expect(isChecksumRight(ip(payload, { ...hosts, protocol: 6 }))).toBe(true);
      return payload.subarray(20);
    });
    expect(Buffer.concat(data)).toEqual(Buffer.from(pattern(9000)));
  });

  it('is not for the other family, and in UDP not for options', () => {
    bed.protect({ mode: 'transport' });
    bed.send(
      frame(ip(udp(pattern(50)), HOSTS6)),
      frame(ip(udp(pattern(50)), { ...HOSTS, options: Uint8Array.of(0x94, 4, 0, 0) })),
    );
    expect(bed.drops()).toEqual({ XfrmOutStateModeError: 2 });
  });

  it('fragments the result where the packet was too long and may be fragmented', () => {
    bed.protect(transport);
    const packet = ip(udp(pattern(3000)), { ...HOSTS, fragment: 0, id: 5 });
    const parts = bed.send(frame(packet)).map(({ bytes }) => bytes);
    expect(parts.map((part) => parse(part).id)).toEqual([5, 5, 5]);
    expect(parts.every(({ length }) => length <= 1500)).toBe(true);
    const esp = Uint8Array.from(Buffer.concat(parts.map((part) => parse(part).upper)));
    expect(openEsp(SA, esp).payload).toEqual(packet.slice(20));
  });
});

describe('BYPASS', () => {
  it('sends packets as they are, cut and complete', () => {
    bed.spd.install({ direction: 'out', priority: 1, action: 'bypass', selector: selector(ALL4, ALL4), name: 'clear' });
    const packet = ip(udp(pattern(50)), HOSTS);
    const [datagram] = bed.send(frame(packet));
    expect(datagram).toMatchObject({ lane: A.LANE_RAW4, to: { address: '192.0.2.2' }, bytes: packet });
    const big = ip(tcp(pattern(9000)), { ...HOSTS, protocol: 6 });
    const sent = bed.send(unfinished(big, 20, 16, { gsoType: 1, gsoSize: 1400 }));
    expect(sent).toHaveLength(7);
    expect(sent.every(({ bytes }) => isChecksumRight(bytes))).toBe(true);
    expect(bed.send(unfinished(packet, 20, 6)).every(({ bytes }) => isChecksumRight(bytes))).toBe(true);
  });
});

describe('AH', () => {
  const suites = [
    ['HMAC-SHA2-256', { keyBits: 0, integ: INTEG.HMAC_SHA2_256_128 }, 32],
    ['HMAC-SHA2-384', { keyBits: 0, integ: INTEG.HMAC_SHA2_384_192 }, 48],
  ] as const;
  const ahOf = (suite: SaParameters['suite'], key: number): Partial<SaParameters> => ({
    protocol: 'ah',
    udpEncapsulation: false,
    suite,
    keys: { encryption: new Uint8Array(), integrity: pattern(key) },
  });

  it.each(suites)('protects packets in tunnel and transport mode with %s', (_, suite, key) => {
    for (const esn of [true, false]) {
      for (const mode of ['tunnel', 'transport'] as const) {
        for (const ends of [{}, { local: LOCAL6, remote: REMOTE6 }]) {
          const parameters = { ...SA, ...ahOf(suite, key), ...ends, esn, mode };
          const outer6 = 'local' in ends;
          const packet = ip(udp(pattern(77)), { ...(outer6 ? HOSTS6 : HOSTS), tos: 0xb9, ttl: 9 });
          const handle = bed.sad.install(parameters);
          const all = outer6 ? selector(ALL6, ALL6) : selector(ALL4, ALL4);
          const chosen = bed.spd.install({
            direction: 'out',
            priority: 1,
            action: 'protect',
            sa: handle,
            selector: all,
            name: 'ah',
          });
          const header = outer6 ? 40 : 20;
          const sent = bed.send(frame(packet), frame(packet));
          sent.forEach(({ bytes, lane }, index) => {
            expect(lane).toBe(outer6 ? A.LANE_RAW6 : A.LANE_RAW4);
            expect(parse(bytes).protocol).toBe(51);
            const next = mode === 'transport' ? 17 : outer6 ? 41 : 4;
            const inside = mode === 'transport' ? packet.subarray(header) : packet;
            const expected = ahPacket(parameters, bytes.slice(0, header), inside, { sequence: index + 1, next });
            expect(Buffer.from(bytes)).toEqual(expected);
          });
          bed.spd.remove(chosen);
        }
      }
    }
  });

  it('cuts super-frames', () => {
    const parameters = { ...SA, ...ahOf(suites[0][1], 32) };
    bed.protect(parameters);
    const big = ip(tcp(pattern(9000)), { protocol: 6 });
    const sent = bed.send(unfinished(big, 20, 16, { gsoType: 1, gsoSize: 1300 }));
    const data = sent.map(({ bytes }, index) => {
      const packet = bytes.slice(20 + 28);
      expect(isChecksumRight(packet)).toBe(true);
      const again = ahPacket(parameters, bytes.slice(0, 20), packet, { sequence: index + 1, next: 4 });
      expect(Buffer.from(bytes)).toEqual(again);
      return packet.subarray(40);
    });
    expect(Buffer.concat(data)).toEqual(Buffer.from(pattern(9000)));
  });
});
