import { beforeEach, describe, expect, it } from 'vitest';
import * as A from '../../assembly/layout/arena.ts';
import { ENCR, INTEG } from '../../src/algorithms.ts';
import type { SaParameters, TrafficSelector } from '../../src/contract.ts';
import { SA_IN } from './bed.ts';
import { espPacket } from './esp.ts';
import { checksum, TCP, type TcpFields, tcpPacket, udpPacket } from './ip.ts';
import { isChecksumRight } from './packets.ts';
import { gro, Receiver } from './receiver.ts';

const ANY_PORTS = { from: 0, to: 65535 };
const NET4: TrafficSelector = {
  protocol: 0,
  local: { addresses: { from: '10.1.0.0', to: '10.1.255.255' }, ports: ANY_PORTS },
  remote: { addresses: { from: '10.2.0.0', to: '10.2.255.255' }, ports: ANY_PORTS },
};
const NET6: TrafficSelector = {
  protocol: 0,
  local: { addresses: { from: 'fd01::', to: 'fd01::ffff' }, ports: ANY_PORTS },
  remote: { addresses: { from: 'fd02::', to: 'fd02::ffff' }, ports: ANY_PORTS },
};

const GCM: SaParameters = {
  ...SA_IN,
  spi: 0x12345678,
  keys: { encryption: Uint8Array.from({ length: 20 }, (_, i) => i * 7), integrity: new Uint8Array() },
  replayWindow: 64,
  selectors: [NET4, NET6],
};

const V4 = { source: '10.2.0.1', destination: '10.1.0.1' };
const V6 = { source: 'fd02::1', destination: 'fd01::1' };
const data = (length: number, from = 0) => Uint8Array.from({ length }, (_, i) => (i + from) * 31);

/** `count` segments of one TCP flow. */
function segments(
  count: number,
  size: number,
  fields: TcpFields,
  change: (index: number) => Partial<TcpFields> = () => ({}),
) {
  return Array.from({ length: count }, (_, index) =>
    tcpPacket({ ...fields, sequence: 1000 + index * size, payload: data(size, index * size), ...change(index) }),
  );
}

let receiver: Receiver;
beforeEach(async () => {
  receiver = await Receiver.open();
});

/** Seals packets under consecutive numbers. */
const seal = (sa: SaParameters, packets: readonly Uint8Array[], first = 1) =>
  packets.map((packet, index) => espPacket(sa, packet, { sequence: first + index }));

describe('ESP in UDP, tunnel mode', () => {
  const suites: [string, Partial<SaParameters>][] = [
    ['AES-GCM-16', {}],
    ['AES-GCM-16 without ESN', { esn: false }],
    [
      'ChaCha20-Poly1305',
      {
        suite: { encr: ENCR.CHACHA20_POLY1305, keyBits: 256, integ: INTEG.NONE },
        keys: { encryption: Uint8Array.from({ length: 36 }, (_, i) => i), integrity: new Uint8Array() },
      },
    ],
    [
      'NULL with HMAC-SHA2-256-128',
      {
        suite: { encr: ENCR.NULL, keyBits: 0, integ: INTEG.HMAC_SHA2_256_128 },
        keys: { encryption: new Uint8Array(), integrity: Uint8Array.from({ length: 32 }, (_, i) => i) },
      },
    ],
  ];
  it.each(suites)('delivers what %s protected', (_, change) => {
    const sa = { ...GCM, ...change };
    const handle = receiver.install(sa);
    const packets = [udpPacket({ ...V4, payload: data(101) }), tcpPacket({ ...V6, payload: data(33) })];
    const frames = receiver.receive(seal(sa, packets).map((packet) => ({ data: packet })));
    expect(frames.map((frame) => frame.packet)).toEqual(packets);
    expect(
      frames.every((frame) => frame.flags === 0 && frame.gsoType === 0 && frame.iovecs === 1 && frame.packets === 1),
    ).toBe(true);
    expect(receiver.sad.counters(handle)).toMatchObject({ packets: 2, sequence: 2, lastUsed: 1_700_000_000_000 });
    expect(receiver.drops()).toEqual({});
  });

  it('splits what GRO merged, and leaves the neighbours alone', () => {
    receiver.install(GCM);
    const packets = [3, 2, 1].map((n) => udpPacket({ ...V4, sourcePort: n, payload: data(50) }));
    packets.push(udpPacket({ ...V4, sourcePort: 9, payload: data(3) }));
    const frames = receiver.receive([gro(seal(GCM, packets))]);
    expect(frames.map((frame) => frame.packet)).toEqual(packets);
  });

  it('hands datagrams behind the non-ESP marker to IKE, and counts keepalives', () => {
    const message = Buffer.concat([Buffer.alloc(4), data(40)]);
    const from = { address: '198.51.100.7', port: 1234 };
    receiver.receive([{ data: message, from }, { data: Uint8Array.of(0xff) }]);
    expect(receiver.ike()).toEqual([{ data: Buffer.from(data(40)), from, family: 4 }]);
    expect(receiver.drops()).toEqual({ InKeepalive: 1 });
  });

  it('strips TFC padding and discards dummy packets', () => {
    receiver.install(GCM);
    const packet = udpPacket({ ...V4, payload: data(20) });
    const padded = espPacket(GCM, packet, { sequence: 1, tfc: 300 });
    const dummy = espPacket(GCM, data(40), { sequence: 2, next: 59 });
    const frames = receiver.receive([{ data: padded }, { data: dummy }]);
    expect(frames.map((frame) => frame.packet)).toEqual([packet]);
    expect(receiver.drops()).toEqual({ InDummy: 1 });
  });

  it('drops and counts, each under its reason, what is not as it should be', () => {
    const handle = receiver.install(GCM);
    const good = udpPacket({ ...V4, payload: data(20) });
    const bad: [string, Uint8Array][] = [
      ['XfrmInHdrError', espPacket(GCM, good, { sequence: 1 }).subarray(0, 30)],
      ['XfrmInNoStates', espPacket({ ...GCM, spi: 0x999 }, good, { sequence: 1 })],
      ['XfrmInStateSeqError', espPacket(GCM, good, { sequence: 0 })],
      ['InPaddingError', espPacket(GCM, good, { sequence: 3, padding: Uint8Array.of(1, 3) })],
      ['InPaddingError', espPacket(GCM, good, { sequence: 4, padLength: 200 })],
      ['XfrmInStateModeError', espPacket(GCM, good, { sequence: 5, next: 17 })],
      ['XfrmInStateModeError', espPacket(GCM, good, { sequence: 6, next: 41 })],
      ['InInnerError', espPacket(GCM, good.subarray(0, 30), { sequence: 7 })],
      ['XfrmInStateMismatch', espPacket(GCM, udpPacket({ ...V4, source: '10.3.0.1' }), { sequence: 8 })],
    ];
    const tampered = espPacket(GCM, good, { sequence: 9 });
    tampered[20]! ^= 1;
    bad.push(['XfrmInStateProtoError', tampered]);
    const expected: Record<string, number> = {};
    for (const [reason, packet] of bad) {
      expected[reason] = (expected[reason] ?? 0) + 1;
      expect(receiver.receive([{ data: packet }])).toEqual([]);
      expect(receiver.drops(), reason).toEqual(expected);
    }
    expect(receiver.sad.counters(handle)).toMatchObject({ integrityDrops: 1, replayDrops: 1 });
  });

  it('drops a replayed packet, also within one batch', () => {
    const handle = receiver.install(GCM);
    const packet = espPacket(GCM, udpPacket({ ...V4, payload: data(9) }), { sequence: 5 });
    expect(receiver.receive([{ data: packet }, { data: packet }])).toHaveLength(1);
    expect(receiver.receive([{ data: packet }])).toHaveLength(0);
    expect(receiver.drops()).toEqual({ XfrmInStateSeqError: 2 });
    expect(receiver.sad.counters(handle)?.replayDrops).toBe(2);
  });

  it('does not move the window for a packet that does not authenticate', () => {
    receiver.install(GCM);
    const payload = udpPacket({ ...V4, payload: data(9) });
    const forged = espPacket(GCM, payload, { sequence: 4000 });
    forged[forged.length - 1]! ^= 1;
    receiver.receive([{ data: forged }]);
    expect(receiver.receive(seal(GCM, [payload]).map((packet) => ({ data: packet })))).toHaveLength(1);
  });

  it('brings congestion marks inward as RFC 6040 says', () => {
    receiver.install(GCM);
    const table: [inner: number, outer: number, result: number | 'drop'][] = [
      [0, 1, 0],
      [0, 3, 'drop'],
      [2, 1, 1],
      [2, 3, 3],
      [1, 2, 1],
      [1, 3, 3],
      [3, 0, 3],
    ];
    let sequence = 1;
    for (const version of [V4, V6]) {
      for (const [inner, outer, result] of table) {
        const packet = udpPacket({ ...version, tos: 0x28 | inner, payload: data(8) });
        const sealed = espPacket(GCM, packet, { sequence: sequence++ });
        const [frame] = receiver.receive([{ data: sealed, tos: outer }]);
        if (result === 'drop') expect(frame).toBeUndefined();
        else expect(frame?.packet).toEqual(udpPacket({ ...version, tos: 0x28 | result, payload: data(8) }));
      }
    }
    expect(receiver.drops()).toEqual({ InEcnError: 2 });
  });

  it('lowers the MSS of SYNs so that answers fit the way back', () => {
    const sa = receiver.install(GCM);
    const mss = (sequence: number) => {
      const syn = { flags: TCP.SYN | TCP.ACK, options: Uint8Array.of(2, 4, 0x23, 0x28) };
      const packets = [V4, V6].map((ends) => tcpPacket({ ...ends, ...syn }));
      const frames = receiver.receive(seal(GCM, packets, sequence).map((bytes) => ({ data: bytes })));
      expect(frames.every(({ packet }) => isChecksumRight(packet))).toBe(true);
      return frames.map(({ packet }) => packet.readUInt16BE(packet.length - 2));
    };
    expect(mss(1)).toEqual([1438 - 40, 1438 - 60]);
    receiver.sad.setPathMtu(sa, 1300);
    expect(mss(3)).toEqual([1238 - 40, 1238 - 60]);
  });

  it('reports a peer that sends from a new address once, and only for its newest packet', () => {
    const handle = receiver.install(GCM);
    const [first, second, third] = seal(GCM, Array(3).fill(udpPacket({ ...V4, payload: data(9) })));
    const from = { address: '203.0.113.9', port: 40000 };
    receiver.receive([{ data: second! }, { data: first!, from }]);
    expect(receiver.events()).toEqual([]);
    receiver.receive([{ data: third!, from }]);
    expect(receiver.events()).toEqual([{ kind: A.EVENT_MAPPING, handle, reason: 0, remote: from }]);
    receiver.receive([{ data: espPacket(GCM, udpPacket(V4), { sequence: 4 }), from }]);
    expect(receiver.events()).toEqual([]);
  });

  it('reports soft and hard limits, and accepts nothing beyond the hard one', () => {
    const sa = { ...GCM, lifetime: { softPackets: 2, hardPackets: 4 } };
    const handle = receiver.install(sa);
    const packets = seal(sa, Array(6).fill(udpPacket({ ...V4, payload: data(9) }))).map((packet) => ({ data: packet }));
    receiver.capabilities = 0;
    expect(receiver.receive(packets.slice(0, 3))).toHaveLength(3);
    expect(receiver.events().map((event) => event.reason)).toEqual([A.EVENT_EXPIRE_SOFT_PACKETS]);
    expect(receiver.receive(packets.slice(3))).toHaveLength(1);
    expect(receiver.events()).toMatchObject([{ kind: A.EVENT_EXPIRE, handle, reason: A.EVENT_EXPIRE_HARD_PACKETS }]);
    expect(receiver.drops()).toEqual({ XfrmInStateExpired: 2 });
  });
});

describe('coalescing', () => {
  const options = Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2);

  it.each([
    ['IPv4', V4, 1, 20],
    ['IPv6', V6, 4, 40],
  ] as const)('makes one TCP frame of a run over %s', (_, addresses, gsoType, upper) => {
    receiver.install(GCM);
    const fields = { ...addresses, options };
    const parts = segments(40, 1000, fields, (index) => (index === 39 ? { flags: TCP.ACK | TCP.PSH } : {}));
    const frames = receiver.receive([gro(seal(GCM, parts))]);
    expect(frames).toHaveLength(1);
    const frame = frames[0]!;
    const whole = tcpPacket({ ...fields, sequence: 1000, payload: data(40_000), flags: TCP.ACK | TCP.PSH });
    expect(frame).toMatchObject({
      flags: 1,
      gsoType,
      headerLength: upper + 32,
      gsoSize: 1000,
      checksumStart: upper,
      checksumOffset: 16,
      packets: 40,
    });
    // With the sum of the pseudo-header in its place, the checksum over all the rest is the right one.
    const finished = Buffer.from(frame.packet);
    finished.writeUInt16BE(checksum(finished.subarray(upper)), upper + 16);
    expect(finished).toEqual(whole);
    expect(isChecksumRight(finished)).toBe(true);
  });

  it.each<[string, Partial<TcpFields>]>([
    ['acknowledgement', { acknowledgment: 77 }],
    ['TOS', { tos: 8 }],
    ['TTL', { ttl: 63 }],
    ['DF', { df: false }],
    ['window', { window: 99 }],
    ['options', { options: Uint8Array.of(1, 1, 1, 1) }],
    ['sequence number', { sequence: 5 }],
    ['source port', { sourcePort: 5 }],
    ['flags', { flags: TCP.ACK | TCP.ECE }],
    ['checksum', { spoil: 1 }],
  ])('keeps packets apart whose %s differs', (_, change) => {
    receiver.install(GCM);
    const parts = segments(3, 500, V4, (index) => (index === 1 ? change : {}));
    const frames = receiver.receive(seal(GCM, parts).map((packet) => ({ data: packet })));
    expect(frames.map((frame) => frame.packet)).toEqual(parts);
    expect(frames.every((frame) => frame.gsoType === 0)).toBe(true);
  });

  it('joins packets that may be fragmented only if their Identifications count up', () => {
    receiver.install(GCM);
    const counting = segments(3, 500, V4, (index) => ({ df: false, id: (65_535 + index) & 0xffff }));
    expect(receiver.receive([gro(seal(GCM, counting))])).toMatchObject([{ gsoType: 1 }]);
    const random = segments(3, 500, V4, (index) => ({ df: false, id: [5, 6, 9][index]! }));
    expect(receiver.receive([gro(seal(GCM, random, 10))]).map((frame) => frame.packet.length)).toEqual([1040, 540]);
  });

  it('ends a run at a short segment, at FIN and at 64 KiB', () => {
    receiver.install(GCM);
    const short = segments(4, 500, V4, (index) => (index === 1 ? { payload: data(100) } : {}));
    expect(
      receiver.receive([
        gro(seal(GCM, short.slice(0, 2))),
        ...seal(GCM, short.slice(2), 3).map((packet) => ({ data: packet })),
      ]),
    ).toMatchObject([{ gsoSize: 500 }, { gsoType: 1 }]);
    const fin = segments(4, 500, V4, (index) => (index === 1 ? { flags: TCP.ACK | TCP.FIN } : {}));
    expect(receiver.receive([gro(seal(GCM, fin, 10))]).map((frame) => frame.packet.length)).toEqual([1040, 1040]);
    const many = segments(60, 1400, V4);
    const frames = receiver.receive([gro(seal(GCM, many.slice(0, 30), 20)), gro(seal(GCM, many.slice(30), 50))]);
    expect(frames.map((frame) => frame.packet.length)).toEqual([40 + 46 * 1400, 40 + 14 * 1400]);
  });

  it('keeps the order of each of several flows that arrive interleaved', () => {
    receiver.install(GCM);
    const flows = [1, 2, 3].map((port) => segments(10, 300, { ...V4, sourcePort: port }));
    const mixed = flows[0]!.flatMap((_, index) => flows.map((flow) => flow[index]!));
    const frames = receiver.receive([gro(seal(GCM, mixed))]);
    expect(frames.map((frame) => frame.packet.readUInt16BE(20))).toEqual([1, 2, 3]);
    for (const frame of frames) expect(frame.packet.subarray(40)).toEqual(Buffer.from(data(3000)));
  });

  it('makes one piece of neighbours, and another one behind what was dropped', () => {
    receiver.install(GCM);
    const sealed = seal(GCM, segments(6, 1000, V4));
    expect(receiver.receive([gro(sealed)])).toMatchObject([{ iovecs: 1, packets: 6 }]);
    const again = seal(GCM, segments(6, 1000, V4), 10);
    const forged = Buffer.from(espPacket(GCM, segments(1, 1000, V4)[0]!, { sequence: 20 }));
    forged[30]! ^= 1;
    const [frame, ...others] = receiver.receive([gro([...again.slice(0, 3), forged, ...again.slice(3)])]);
    expect(others).toEqual([]);
    expect(frame).toMatchObject({ iovecs: 2, packets: 6 });
    expect(frame!.packet.subarray(40)).toEqual(Buffer.from(data(6000)));
  });

  it('moves nothing over a datagram for IKE', () => {
    receiver.install(GCM);
    const sealed = seal(GCM, segments(6, 1000, V4));
    const message = Buffer.concat([Buffer.alloc(4), data(sealed[0]!.length - 4)]);
    const frames = receiver.receive([gro([...sealed.slice(0, 3), message, ...sealed.slice(3)])]);
    expect(frames).toMatchObject([{ packets: 6 }]);
    expect(frames[0]!.packet.subarray(40)).toEqual(Buffer.from(data(6000)));
    expect(receiver.ike().map((one) => one.data)).toEqual([message.subarray(4)]);
  });

  it('leaves a packet whose checksum is wrong as it is, behind others that were moved', () => {
    receiver.install(GCM);
    const parts = segments(6, 1000, V4, (index) => (index === 3 ? { spoil: 1 } : {}));
    const frames = receiver.receive([gro(seal(GCM, parts))]);
    expect(frames.map((frame) => frame.packets)).toEqual([3, 1, 2]);
    expect(frames[1]!.packet).toEqual(parts[3]);
    expect(frames[0]!.packet.subarray(40)).toEqual(Buffer.from(data(3000)));
    expect(frames[2]!.packet.subarray(40)).toEqual(Buffer.from(data(2000, 4000)));
  });

  it('makes one UDP frame of datagrams of one size, the last shorter', () => {
    receiver.install(GCM);
    const parts = [0, 1, 2, 3].map((n) => udpPacket({ ...V6, payload: data(n === 3 ? 10 : 200, n * 200) }));
    const frames = receiver.receive([gro(seal(GCM, parts))]);
    expect(frames).toMatchObject([{ flags: 1, gsoType: 5, gsoSize: 200, headerLength: 48, checksumOffset: 6 }]);
    const packet = Buffer.from(frames[0]!.packet);
    expect(packet.subarray(48)).toEqual(Buffer.from(data(610)));
    expect(packet.readUInt16BE(44)).toBe(618);
  });

  it('leaves single packets as they came where the TUN takes no super-frames', () => {
    receiver.capabilities = 0;
    receiver.install(GCM);
    const parts = [...segments(3, 500, V4), ...[1, 2].map(() => udpPacket({ ...V4, payload: data(70) }))];
    const frames = receiver.receive(seal(GCM, parts).map((packet) => ({ data: packet })));
    expect(frames.map((frame) => frame.packet)).toEqual(parts);
  });
});
