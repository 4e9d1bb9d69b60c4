import { beforeEach, describe, expect, it } from 'vitest';
import * as A from '../../assembly/layout/arena.ts';
import * as R from '../../assembly/layout/records.ts';
import { ENCR, INTEG } from '../../src/algorithms.ts';
import { SA } from './bed.ts';
import { openEsp } from './esp.ts';
import { LOCAL6, OutboundBed, REMOTE6, selector } from './outbound-bed.ts';
import { frame, ip, isChecksumRight, parse, pattern, tcp, udp, unfinished } from './packets.ts';

const V6 = { source: '2001:db8:1::1', destination: '2001:db8:2::1' };
const TCPV4 = 1;
const TCPV6 = 4;
const UDP_L4 = 5;

let bed: OutboundBed;
beforeEach(async () => {
  bed = await OutboundBed.open();
});

describe('ESP in tunnel mode, UDP-encapsulated', () => {
  it('sends a packet unchanged inside ESP to the peer', () => {
    bed.protect();
    const packet = ip(udp(pattern(100)));
    const [datagram, ...rest] = bed.send(frame(packet));
    expect(rest).toEqual([]);
    expect(datagram).toMatchObject({ lane: A.LANE_UDP4_DF, to: SA.remote, from: '192.0.2.1', tos: 0 });
    const esp = openEsp(SA, datagram!.bytes);
    expect(esp).toMatchObject({ spi: SA.spi, sequence: 1, next: 4 });
    expect(esp.payload).toEqual(packet);
    expect(esp.padding).toEqual(Uint8Array.from({ length: esp.padding.length }, (_, i) => i + 1));
    expect(bed.drops()).toEqual({});
  });

  it('sends IPv6 as next header 41, inside IPv4 and inside IPv6', () => {
    bed.protect();
    const packet = ip(udp(pattern(77)), { ...V6, tos: 0x2c });
    const inside4 = bed.send(frame(packet))[0]!;
    expect(inside4).toMatchObject({ lane: A.LANE_UDP4_DF, tos: 0x2c });
    expect(openEsp(SA, inside4.bytes)).toMatchObject({ next: 41, payload: packet });
    bed.protect({ local: LOCAL6, remote: REMOTE6 }, { priority: 1 });
    const inside6 = bed.send(frame(packet))[0]!;
    expect(inside6).toMatchObject({ lane: A.LANE_UDP6, to: REMOTE6, tos: 0x2c });
    expect(inside6.from).toBe('20010db8000000000000000000000001');
    expect(openEsp(SA, inside6.bytes)).toMatchObject({ next: 41, payload: packet });
  });

  it('numbers packets from 1, without gaps, and puts them into one UDP_SEGMENT message', () => {
    bed.protect();
    const packets = Array.from({ length: 64 }, (_, i) => ip(udp(pattern(200, i))));
    const sent = bed.send(...packets.map((packet) => frame(packet)));
    expect(sent.map(({ message }) => message)).toEqual(packets.map(() => 0));
    sent.forEach(({ bytes }, i) => {
      expect(openEsp(SA, bytes)).toMatchObject({ sequence: i + 1, payload: packets[i] });
    });
  });

  it('lets only the last segment of a message be shorter, and keeps other marks in other messages', () => {
    bed.protect();
    const sizes = [300, 300, 120, 300, 300, 400];
    const sent = bed.send(
      ...sizes.map((size) => frame(ip(udp(pattern(size))))),
      frame(ip(udp(pattern(300)), { tos: 8 })),
    );
    expect(sent.map(({ message }) => message)).toEqual([0, 0, 0, 1, 1, 2, 3]);
  });

  it('lets flows of several lengths and SAs fill messages side by side, in order each', () => {
    bed.protect({}, { selector: selector('10.1.0.1', '10.2.0.1') });
    const other = { ...SA, spi: 0x777, remote: { address: '192.0.2.7', port: 4500 } };
    bed.protect(other, { selector: selector('10.1.0.1', '10.2.0.2') });
    const flows = [
      { size: 36, port: 1, destination: '10.2.0.1' },
      { size: 548, port: 2, destination: '10.2.0.1' },
      { size: 1280, port: 3, destination: '10.2.0.1' },
      { size: 548, port: 4, destination: '10.2.0.2' },
    ];
    const sent = bed.send(
      ...Array.from({ length: 24 }, (_, i) => flows[i % 4]!).map(({ size, port, destination }, i) =>
        frame(ip(udp(pattern(size, i), port), { destination })),
      ),
    );
    expect(sent).toHaveLength(24);
    expect(new Set(sent.map(({ message }) => message)).size).toBe(4);
    for (const { port } of flows) {
      const seeds = sent
        .map(({ bytes, to }) => openEsp(to.address === '192.0.2.7' ? other : SA, bytes).payload)
        .filter((payload) => payload[21] === port)
        .map((payload) => payload[28]!);
      expect(seeds).toEqual(seeds.map((_, i) => port - 1 + 4 * i));
    }
  });

  it('puts packets of several SAs to one peer into one message, until one of them moves', () => {
    const sas = [1, 2].map((host) =>
      bed.protect({ spi: 0x1000 + host }, { selector: selector('10.1.0.1', `10.2.0.${host}`) }),
    );
    const frames = Array.from({ length: 6 }, (_, i) =>
      frame(ip(udp(pattern(100, i)), { destination: `10.2.0.${1 + (i % 2)}` })),
    );
    const sent = bed.send(...frames);
    expect(sent.map(({ message }) => message)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(sent.map(({ bytes }) => Buffer.from(bytes).readUInt32BE(0))).toEqual(
      [1, 2, 1, 2, 1, 2].map((host) => 0x1000 + host),
    );
    bed.sad.move(sas[1]!, SA.local, { address: '192.0.2.9', port: 4500 }, SA.udpEncapsulation);
    const moved = bed.send(...frames);
    expect(new Set(moved.map(({ message, to }) => `${message} ${to.address}`))).toEqual(
      new Set(['0 192.0.2.2', '1 192.0.2.9']),
    );
  });

  it('does not let a packet without DF overtake more than a replay window forgives', () => {
    bed.protect();
    const big = ip(tcp(pattern(60_000)), { protocol: 6 });
    const frames = [
      unfinished(big, 20, 16, { gsoType: TCPV4, gsoSize: 1300 }),
      frame(ip(udp(pattern(10)), { fragment: 0 })),
      unfinished(big, 20, 16, { gsoType: TCPV4, gsoSize: 1300 }),
    ];
    const numbers = bed.send(...frames).map(({ bytes }) => openEsp(SA, bytes).sequence);
    expect(numbers).toEqual(Array.from({ length: 95 }, (_, i) => i + 1));
  });

  it('sends one message a packet where UDP_SEGMENT is missing', () => {
    bed.protect();
    bed.capabilities = 0;
    const sent = bed.send(...Array.from({ length: 5 }, () => frame(ip(udp(pattern(200))))));
    expect(sent.map(({ message }) => message)).toEqual([0, 1, 2, 3, 4]);
  });

  it('covers the high half of the sequence number with ESN', () => {
    const sa = bed.protect();
    bed.setSaLong(sa, R.SA_SEQUENCE, 0x2ffffffffn);
    const [datagram] = bed.send(frame(ip(udp(pattern(64)))));
    expect(openEsp(SA, datagram!.bytes, 3).sequence).toBe(0);
    expect(() => openEsp(SA, datagram!.bytes, 2)).toThrow();
  });

  it('uses every number for one IV only', () => {
    bed.protect();
    const frames = Array.from({ length: 64 }, () => frame(ip(udp(pattern(64)))));
    const ivs = [...bed.send(...frames), ...bed.send(...frames)].map(({ bytes }) =>
      Buffer.from(bytes.subarray(8, 16)).toString('hex'),
    );
    expect(new Set(ivs).size).toBe(128);
  });

  it.each([
    ['AES-256-GCM-16', { encr: ENCR.AES_GCM_16, keyBits: 256, integ: INTEG.NONE }, 36, 0],
    ['ChaCha20-Poly1305', { encr: ENCR.CHACHA20_POLY1305, keyBits: 256, integ: INTEG.NONE }, 36, 0],
    ['NULL with HMAC-SHA2-256', { encr: ENCR.NULL, keyBits: 0, integ: INTEG.HMAC_SHA2_256_128 }, 0, 32],
    ['NULL with HMAC-SHA2-512', { encr: ENCR.NULL, keyBits: 0, integ: INTEG.HMAC_SHA2_512_256 }, 0, 64],
  ])('frames for %s, with and without ESN', (_, suite, encryption, integrity) => {
    for (const esn of [true, false]) {
      const parameters = { suite, esn, keys: { encryption: pattern(encryption), integrity: pattern(integrity, 9) } };
      bed.protect(parameters, { priority: esn ? 50 : 10 });
      for (const size of [0, 1, 2, 3, 500]) {
        const packet = ip(udp(pattern(size)));
        expect(openEsp(parameters, bed.send(frame(packet))[0]!.bytes).payload).toEqual(packet);
      }
    }
  });
});

describe('offloads of the TUN', () => {
  it.each([
    ['IPv4', {}, 20],
    ['IPv6', V6, 40],
  ])('completes open TCP and UDP checksums over %s', (_, options, header) => {
    bed.protect();
    for (const size of [0, 1, 15, 16, 17, 64, 777]) {
      const t = bed.send(unfinished(ip(tcp(pattern(size)), { ...options, protocol: 6 }), header, 16))[0]!;
      expect(isChecksumRight(openEsp(SA, t.bytes).payload)).toBe(true);
      const u = bed.send(unfinished(ip(udp(pattern(size)), options), header, 6))[0]!;
      expect(isChecksumRight(openEsp(SA, u.bytes).payload)).toBe(true);
    }
  });

  it.each([
    ['IPv4', {}, 20, TCPV4, 1360],
    ['IPv6', V6, 40, TCPV6, 1280],
    ['IPv4, odd', {}, 20, TCPV4, 999],
  ])('cuts TCP super-frames over %s into right segments', (_, options, header, gsoType, gsoSize) => {
    bed.protect();
    const data = pattern(60_000);
    const timestamps = Uint8Array.from([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    const big = ip(tcp(data, { flags: 0x99, options: timestamps }), { ...options, protocol: 6, id: 0xfffe, tos: 2 });
    const sent = bed.send(unfinished(big, header, 16, { gsoType, gsoSize }));
    expect(sent).toHaveLength(Math.ceil(60_000 / gsoSize));
    const received: Uint8Array[] = [];
    sent.forEach(({ bytes, tos }, index) => {
      expect(tos).toBe(2);
      const { payload, sequence } = openEsp(SA, bytes);
      expect(sequence).toBe(index + 1);
      const { upper, id, protocol } = parse(payload);
      expect(protocol).toBe(6);
      expect(isChecksumRight(payload)).toBe(true);
      if (header === 20) expect(id).toBe((0xfffe + index) & 0xffff);
      const view = new DataView(upper.buffer, upper.byteOffset, upper.length);
      expect(view.getUint32(4)).toBe((0xfffff000 + index * gsoSize) >>> 0);
      // CWR on the first, FIN and PSH on the last.
      const last = index === sent.length - 1;
      expect(upper[13]).toBe(0x10 | (index === 0 ? 0x80 : 0) | (last ? 0x09 : 0));
      expect(upper.slice(20, 32)).toEqual(timestamps);
      received.push(upper.slice(32));
    });
    expect(Uint8Array.from(Buffer.concat(received))).toEqual(data);
  });

  it.each([
    ['IPv4', {}, 20],
    ['IPv6', V6, 40],
  ])('cuts UDP super-frames over %s into datagrams', (_, options, header) => {
    bed.protect();
    const data = pattern(10_001);
    const sent = bed.send(unfinished(ip(udp(data), options), header, 6, { gsoType: UDP_L4, gsoSize: 1200 }));
    expect(sent).toHaveLength(9);
    const received = sent.map(({ bytes }) => {
      const { payload } = openEsp(SA, bytes);
      expect(isChecksumRight(payload)).toBe(true);
      const { upper } = parse(payload);
      expect((upper[4]! << 8) | upper[5]!).toBe(upper.length);
      return upper.slice(8);
    });
    expect(Uint8Array.from(Buffer.concat(received))).toEqual(data);
  });

  it('goes on with the frames that did not fit into one batch', () => {
    bed.protect();
    const big = ip(tcp(pattern(64_000)), { protocol: 6 });
    const frames = Array.from({ length: 64 }, () => unfinished(big, 20, 16, { gsoType: TCPV4, gsoSize: 300 }));
    bed.fill(frames);
    const packets = bed.kernel.outboundPrepare(bed.arena, 64);
    expect(packets).toBeGreaterThan(5000);
    expect(bed.word(A.ARENA_OUT_TAKEN)).toBeLessThan(64);
    const first = bed.finish(packets).length;
    let more = 0;
    while (bed.word(A.ARENA_OUT_TAKEN) < 64) more += bed.finish(bed.kernel.outboundPrepare(bed.arena, 64)).length;
    expect(first + more).toBe(64 * Math.ceil(64_000 / 300));
    expect(bed.drops()).toEqual({});
  });

  it('drops frames whose virtio header does not fit the packet', () => {
    bed.protect();
    const packet = ip(tcp(pattern(3000)), { protocol: 6 });
    bed.send(
      unfinished(packet, 20, 16, { gsoType: TCPV6, gsoSize: 1000 }),
      unfinished(packet, 20, 16, { gsoType: TCPV4, gsoSize: 0 }),
      unfinished(packet, 20, 16, { gsoType: UDP_L4, gsoSize: 1000 }),
      frame(packet, { flags: 1, checksumStart: 3038, checksumOffset: 16 }),
      frame(packet, { flags: 1, checksumStart: 0, checksumOffset: 16 }),
      frame(packet, { gsoType: 3, gsoSize: 1000 }),
      frame(packet.subarray(0, 500)),
      frame(packet.subarray(0, 10)),
      new Uint8Array(4),
    );
    expect(bed.drops()).toEqual({ XfrmOutError: 9 });
  });
});

describe('what is not sent', () => {
  it('drops packets that no policy matches, and those a policy discards', () => {
    bed.spd.install({
      direction: 'out',
      priority: 1,
      action: 'discard',
      selector: selector('10.1.0.0-10.1.0.255', '10.2.0.1'),
      name: 'no',
    });
    expect(bed.send(frame(ip(udp(pattern(10)))), frame(ip(udp(pattern(10)), { source: '10.3.0.1' })))).toEqual([]);
    expect(bed.drops()).toEqual({ XfrmOutPolBlock: 1, OutNoPolicy: 1 });
  });

  it('sends an ICMP error from elsewhere the way of answers to the packet it quotes (RFC 4301 §6.2)', () => {
    const parameters = { selector: selector('10.1.0.0-10.1.0.255', '10.2.0.0-10.2.0.255') };
    bed.protect({}, parameters);
    const cameIn = ip(udp(pattern(300)), { source: '10.2.0.1', destination: '10.1.0.1' });
    const error = (quoted: Uint8Array, destination: string, type = 3) =>
      ip(Uint8Array.of(type, 1, 0, 0, 0, 0, 0, 0, ...quoted.subarray(0, 28)), {
        source: '172.16.0.1',
        destination,
        protocol: 1,
      });
    const packet = error(cameIn, '10.2.0.1');
    expect(openEsp(SA, bed.send(frame(packet))[0]!.bytes).payload).toEqual(packet);
    const elsewhere = ip(udp(pattern(300)), { source: '10.2.0.1', destination: '10.9.0.1' });
    expect(
      bed.send(
        frame(error(cameIn, '10.2.0.2')),
        frame(error(elsewhere, '10.2.0.1')),
        frame(error(cameIn, '10.2.0.1', 8)),
        frame(error(cameIn.subarray(0, 20), '10.2.0.1')),
      ),
    ).toEqual([]);
    expect(bed.drops()).toEqual({ OutNoPolicy: 4 });
  });

  it('stops an SA before its sequence numbers repeat, and asks for a successor before', () => {
    const sa = bed.protect({ esn: false });
    bed.setSaLong(sa, R.SA_SEQUENCE, 0xfffffffdn);
    const sent = bed.send(...Array.from({ length: 5 }, () => frame(ip(udp(pattern(10))))));
    expect(sent.map(({ bytes }) => openEsp({ ...SA, esn: false }, bytes).sequence)).toEqual([0xfffffffe, 0xffffffff]);
    expect(bed.drops()).toEqual({ XfrmOutStateSeqError: 3 });
    expect(bed.events().map(({ kind, reason, handle }) => [kind, reason, handle])).toEqual([
      [A.EVENT_EXPIRE, A.EVENT_EXPIRE_SOFT_SEQUENCE, sa],
      [A.EVENT_EXPIRE, A.EVENT_EXPIRE_HARD_SEQUENCE, sa],
    ]);
  });

  it('stops an SA at its hard lifetime', () => {
    const sa = bed.protect({ lifetime: { softPackets: 2, hardPackets: 3 } });
    const sent = bed.send(...Array.from({ length: 5 }, () => frame(ip(udp(pattern(10))))));
    expect(sent).toHaveLength(3);
    expect(bed.drops()).toEqual({ XfrmOutStateExpired: 2 });
    expect(bed.events().map(({ reason, handle }) => [reason, handle])).toEqual([
      [A.EVENT_EXPIRE_SOFT_PACKETS, sa],
      [A.EVENT_EXPIRE_HARD_PACKETS, sa],
    ]);
    expect(bed.sad.counters(sa)).toMatchObject({ packets: 3, bytes: 3 * 38, sequence: 3 });
  });

  it('sends nothing more by an SA that is stopped', () => {
    const sa = bed.protect();
    bed.setSaWord(sa, R.SA_STATE, R.SA_STATE_DEAD);
    expect(bed.send(frame(ip(udp(pattern(10)))))).toEqual([]);
    expect(bed.drops()).toEqual({ XfrmOutStateInvalid: 1 });
  });

  it('sends nothing that the backend did not seal', () => {
    bed.protect();
    bed.fill([frame(ip(udp(pattern(10))))]);
    expect(bed.kernel.outboundPrepare(bed.arena, 1)).toBe(1);
    expect(bed.kernel.outboundFinish(bed.arena)).toBe(0);
    expect(bed.drops()).toEqual({ XfrmOutStateProtoError: 1 });
  });
});
