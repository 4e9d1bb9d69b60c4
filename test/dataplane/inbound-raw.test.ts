import { beforeEach, describe, expect, it } from 'vitest';
import * as A from '../../assembly/layout/arena.ts';
import { INTEG, suiteLengths } from '../../src/algorithms.ts';
import type { SaParameters } from '../../src/contract.ts';
import { ahPacket } from './ah.ts';
import { SA_IN } from './bed.ts';
import { espPacket } from './esp.ts';
import { ipPacket, tcpPacket, udpPacket } from './ip.ts';
import { isChecksumRight } from './packets.ts';
import { type Datagram, gro, Receiver } from './receiver.ts';

const LOCAL4 = '192.0.2.1';
const REMOTE4 = '192.0.2.2';
const LOCAL6 = '2001:db8::1';
const REMOTE6 = '2001:db8::2';

const ESP4: SaParameters = {
  ...SA_IN,
  mode: 'transport',
  spi: 0x1111,
  udpEncapsulation: false,
  keys: { encryption: Uint8Array.from({ length: 20 }, (_, i) => i * 3), integrity: new Uint8Array() },
  replayWindow: 128,
};
const ESP6: SaParameters = {
  ...ESP4,
  local: { address: LOCAL6, port: 4500 },
  remote: { address: REMOTE6, port: 4500 },
};
const AH4: SaParameters = {
  ...ESP4,
  protocol: 'ah',
  suite: { keyBits: 0, integ: INTEG.HMAC_SHA2_256_128 },
  keys: { encryption: new Uint8Array(), integrity: Uint8Array.from({ length: 32 }, (_, i) => i) },
};
const AH6: SaParameters = { ...AH4, local: ESP6.local, remote: ESP6.remote };
const tunnel = (sa: SaParameters): SaParameters => ({ ...sa, mode: 'tunnel' });

const HOST4 = { source: REMOTE4, destination: LOCAL4 };
const HOST6 = { source: REMOTE6, destination: LOCAL6 };
const NET4 = { source: '10.2.0.1', destination: '10.1.0.1' };
const NET6 = { source: 'fd02::1', destination: 'fd01::1' };
const data = (length: number) => Uint8Array.from({ length }, (_, i) => i * 31);
const upperOf = (packet: Buffer) => packet.subarray(packet[0]! >> 4 === 4 ? (packet[0]! & 15) * 4 : 40);

let receiver: Receiver;
beforeEach(async () => {
  receiver = await Receiver.open();
});

describe('ESP as protocol 50', () => {
  it('delivers tunnel mode, IPv4 and IPv6 inside and outside', () => {
    for (const inner of [udpPacket({ ...NET4, payload: data(30) }), udpPacket({ ...NET6, payload: data(30) })]) {
      const outer4 = ipPacket(HOST4, 50, espPacket(ESP4, inner, { sequence: 1 }));
      const handle = receiver.install(tunnel(ESP4));
      expect(receiver.receive([{ data: outer4 }], A.SOURCE_RAW4).map((frame) => frame.packet)).toEqual([inner]);
      receiver.sad.remove(handle);
    }
    expect(receiver.drops()).toEqual({});
  });

  it('delivers tunnel mode from a raw IPv6 socket, coalesced', () => {
    receiver.install(tunnel(ESP6));
    const parts = [0, 1, 2].map((n) => tcpPacket({ ...NET4, sequence: n * 100, payload: data(100) }));
    const datagrams = parts.map((part, index) => ({ data: espPacket(ESP6, part, { sequence: index + 1 }) }));
    const frames = receiver.receive(datagrams, A.SOURCE_RAW6_ESP);
    expect(frames).toMatchObject([{ gsoSize: 100, gsoType: 1 }]);
    expect(frames[0]!.packet).toHaveLength(340);
  });

  it('gives transport mode its own IPv4 header back, options included', () => {
    receiver.install(ESP4);
    const packet = udpPacket({ ...HOST4, tos: 0x2e, ttl: 9, id: 77, payload: data(50) });
    const esp = espPacket(ESP4, upperOf(packet), { sequence: 1, next: 17 });
    const [frame] = receiver.receive(
      [{ data: ipPacket({ ...HOST4, tos: 0x2e, ttl: 9, id: 77 }, 50, esp) }],
      A.SOURCE_RAW4,
    );
    expect(frame?.packet).toEqual(packet);
    expect(frame?.iovecs).toBe(1);
  });

  it('makes the IPv6 header of transport mode again, with the extension headers in front of ESP', () => {
    receiver.install(ESP6);
    const packet = udpPacket({ ...HOST6, ttl: 17, tos: 5, payload: data(50) });
    const esp = espPacket(ESP6, upperOf(packet), { sequence: 1, next: 17 });
    const plain: Datagram = { data: esp, tos: 5, hopLimit: 17 };
    expect(receiver.receive([plain], A.SOURCE_RAW6_ESP).map((frame) => frame.packet)).toEqual([packet]);
    const hopByHop = Uint8Array.of(50, 0, 5, 2, 0, 0, 1, 0);
    const again = espPacket(ESP6, upperOf(packet), { sequence: 2, next: 17 });
    const [frame] = receiver.receive([{ ...plain, data: again, extensions: [[54, hopByHop]] }], A.SOURCE_RAW6_ESP);
    const expected = ipPacket({ ...HOST6, ttl: 17, tos: 5 }, 0, Buffer.concat([hopByHop, upperOf(packet)]));
    expected[40] = 17;
    expect(frame?.packet).toEqual(expected);
  });
});

describe('multicast SAs', () => {
  it('are found by SPI and group, before one that has the SPI alone (RFC 4301 §4.1)', () => {
    const group = { ...tunnel(ESP4), local: { address: '239.1.1.1', port: 4500 }, esn: false };
    const keys = { encryption: new Uint8Array(20).fill(7), integrity: new Uint8Array() };
    const other = { ...group, local: { address: '239.1.1.2', port: 4500 }, keys };
    const unicast = { ...tunnel(ESP4), esn: false, keys: { ...keys, encryption: new Uint8Array(20).fill(8) } };
    for (const sa of [group, unicast, other]) receiver.install(sa);
    const inner = udpPacket({ ...NET4, payload: data(30) });
    for (const [sa, destination] of [
      [group, '239.1.1.1'],
      [other, '239.1.1.2'],
      [unicast, LOCAL4],
    ] as const) {
      const packet = ipPacket({ source: REMOTE4, destination }, 50, espPacket(sa, inner, { sequence: 1 }));
      expect(receiver.receive([{ data: packet }], A.SOURCE_RAW4).map((frame) => frame.packet)).toEqual([inner]);
    }
    expect(() => receiver.install(group)).toThrow(expect.objectContaining({ code: 'ERR_SPI_IN_USE' }));
  });
});

describe('ESP in UDP, transport mode', () => {
  it.each([
    ['IPv4', { ...ESP4, udpEncapsulation: true }, HOST4, A.SOURCE_UDP4],
    ['IPv6', { ...ESP6, udpEncapsulation: true }, HOST6, A.SOURCE_UDP6],
  ] as const)('makes the %s header anew and coalesces', (_, sa, host, source) => {
    receiver.install(sa);
    const parts = [0, 1, 2].map((n) => tcpPacket({ ...host, sequence: n * 500, payload: data(500) }));
    const packets = parts.map((part, index) => espPacket(sa, upperOf(part), { sequence: index + 1, next: 6 }));
    const [frame, ...rest] = receiver.receive([gro(packets)], source);
    expect(rest).toEqual([]);
    const whole = tcpPacket({ ...host, payload: Buffer.concat([data(500), data(500), data(500)]) });
    const upper = frame!.checksumStart;
    expect(frame!.packet.subarray(upper + 20)).toEqual(whole.subarray(upper + 20));
    expect(frame!.packet.subarray(0, upper)).toEqual(whole.subarray(0, upper));
    expect(frame).toMatchObject({ gsoSize: 500, headerLength: upper + 20, iovecs: 6 });
  });

  it('mends the checksum that a NAT has made wrong', () => {
    const sa = { ...ESP4, udpEncapsulation: true };
    receiver.install(sa);
    const behindNat = udpPacket({ source: '10.9.9.9', destination: LOCAL4, payload: data(33) });
    const [frame] = receiver.receive([{ data: espPacket(sa, upperOf(behindNat), { sequence: 1, next: 17 }) }]);
    expect(frame?.packet.subarray(12, 16)).toEqual(Buffer.from([192, 0, 2, 2]));
    expect(isChecksumRight(frame!.packet)).toBe(true);
  });
});

describe('AH', () => {
  const algorithms = [
    INTEG.HMAC_SHA1_96,
    INTEG.HMAC_SHA2_256_128,
    INTEG.HMAC_SHA2_384_192,
    INTEG.HMAC_SHA2_512_256,
    INTEG.AES_128_GMAC,
    INTEG.AES_256_GMAC,
  ];

  it.each(algorithms)('opens tunnel and transport mode over IPv4 with integrity algorithm %i', (integ) => {
    const { integKey, salt } = suiteLengths({ keyBits: 0, integ });
    const integrity = data(integKey + salt);
    const sa = { ...AH4, suite: { keyBits: 0, integ }, keys: { encryption: new Uint8Array(), integrity } };
    const transport = receiver.install(sa);
    const packet = udpPacket({ ...HOST4, tos: 3, payload: data(41) });
    const header = ipPacket({ ...HOST4, tos: 3 }, 51, new Uint8Array());
    for (const align of [4, 8]) {
      const sealed = ahPacket(sa, header, upperOf(packet), { sequence: align, next: 17, align });
      expect(receiver.receive([{ data: sealed }], A.SOURCE_RAW4).map((frame) => frame.packet)).toEqual([packet]);
    }
    receiver.sad.remove(transport);
    receiver.install(tunnel(sa));
    const inner = tcpPacket({ ...NET6, payload: data(10) });
    const sealed = ahPacket(sa, header.fill(0, 1, 2), inner, { sequence: 1, next: 41 });
    expect(receiver.receive([{ data: sealed }], A.SOURCE_RAW4).map((frame) => frame.packet)).toEqual([inner]);
    expect(receiver.drops()).toEqual({});
  });

  it('opens packets whose mutable fields have changed, and refuses those whose immutable ones have', () => {
    receiver.install(AH4);
    const packet = udpPacket({ ...HOST4, payload: data(41) });
    const header = ipPacket(HOST4, 51, new Uint8Array());
    const changes: [number, boolean][] = [
      [1, true],
      [4, false],
      [6, true],
      [8, true],
      [10, true],
      [12, false],
      [24, false],
      [40, false],
      [60, false],
    ];
    changes.forEach(([offset, harmless], index) => {
      const sealed = ahPacket(AH4, header, upperOf(packet), { sequence: index + 1, next: 17 });
      sealed[offset]! ^= offset === 6 ? 0x40 : 4;
      const frames = receiver.receive([{ data: sealed }], A.SOURCE_RAW4);
      expect(frames.length, `byte ${offset}`).toBe(harmless ? 1 : 0);
    });
    // Byte 24 is the SPI.
    expect(receiver.drops()).toEqual({ XfrmInStateProtoError: 4, XfrmInNoStates: 1 });
  });

  it('covers immutable IPv4 options and zeroes the others (appendix A1)', () => {
    receiver.install(AH4);
    const packet = udpPacket({ ...HOST4, payload: data(41) });
    const base = ipPacket(HOST4, 51, new Uint8Array());
    // Router alert, no operation, record route, end of options.
    const options = Buffer.from([148, 4, 0, 0, 1, 7, 7, 4, 1, 2, 3, 4, 0, 0, 0, 0].slice(0, 16));
    const header = Buffer.concat([base, options]);
    header[0] = 0x49;
    const masked = Buffer.from(header);
    masked.fill(0, 25, 32);
    const sealed = ahPacket(AH4, header, upperOf(packet), { sequence: 1, next: 17, masked });
    sealed[30]! = 99;
    const [frame] = receiver.receive([{ data: sealed }], A.SOURCE_RAW4);
    expect(upperOf(frame!.packet)).toEqual(upperOf(packet));
    expect(frame!.packet.subarray(20, 36)).toEqual(sealed.subarray(20, 36));
  });

  it('opens IPv6 with hop-by-hop and destination options and a routing header (appendix A2)', () => {
    receiver.install(AH6);
    const packet = udpPacket({ ...HOST6, ttl: 3, payload: data(41) });
    // Options of types 0x05 (immutable) and 0x3e (may change), then PadN.
    const hopByHop = Buffer.from([43, 1, 5, 2, 0, 0, 0x3e, 4, 1, 2, 3, 4, 1, 2, 0, 0]);
    const routing = Buffer.concat([Buffer.from([60, 2, 0, 0, 0, 0, 0, 0]), Buffer.alloc(16, 0x20)]);
    const options = Buffer.from([51, 0, 0x1f, 2, 7, 7, 1, 0]);
    const header = Buffer.concat([ipPacket({ ...HOST6, ttl: 3 }, 0, new Uint8Array()), hopByHop, routing, options]);
    const masked = Buffer.from(header);
    masked.fill(0, 48, 52);
    const sealed = ahPacket(AH6, header, upperOf(packet), { sequence: 1, next: 17, masked });
    const extensions: [number, Uint8Array][] = [
      [54, hopByHop],
      [57, routing],
      [59, options],
    ];
    const datagram: Datagram = { data: sealed.subarray(header.length), hopLimit: 3, extensions };
    const [frame] = receiver.receive([datagram], A.SOURCE_RAW6_AH);
    const expected = Buffer.concat([header, upperOf(packet)]);
    expected.writeUInt16BE(expected.length - 40, 4);
    expected[40 + 16 + 24] = 17;
    expect(frame?.packet).toEqual(expected);
    expect(receiver.drops()).toEqual({});
  });

  it('drops a replayed, a truncated and an unknown packet', () => {
    receiver.install(AH4);
    const header = ipPacket(HOST4, 51, new Uint8Array());
    const sealed = ahPacket(AH4, header, data(41), { sequence: 1, next: 17 });
    const cut = Buffer.from(sealed.subarray(0, 40));
    cut.writeUInt16BE(40, 2);
    const unknown = ahPacket({ ...AH4, spi: 0x3333 }, header, data(41), { sequence: 1, next: 17 });
    receiver.receive([{ data: sealed }, { data: sealed }, { data: cut }, { data: unknown }], A.SOURCE_RAW4);
    expect(receiver.drops()).toEqual({ XfrmInStateSeqError: 1, XfrmInHdrError: 1, XfrmInNoStates: 1 });
  });
});
